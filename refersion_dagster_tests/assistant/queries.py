"""Queries that an assistant may write: which run, and which are refused and why."""

from __future__ import annotations

ALLOWED = [
    "SELECT currency, sum(due) AS due FROM commission_liability GROUP BY currency",
    "SELECT currency, sum(due) AS due FROM commission_liability GROUP BY 1 ORDER BY 2 DESC LIMIT 5",
    "SELECT currency, sum(due) AS due FROM commission_liability GROUP BY ALL ORDER BY currency",
    "SELECT sum(due) AS due FROM refersion_summaries.commission_liability WHERE currency = 'USD'",
    "SELECT sum(due) AS due FROM commission_liability WHERE 'USD' = currency AND affiliate_id > '1'",
    "SELECT sum(due) AS due FROM commission_liability WHERE currency IN ('USD')",
    "WITH t AS (SELECT currency AS c, due FROM commission_liability) SELECT c, sum(due) AS d FROM t GROUP BY c",
    "SELECT currency, affiliate_id, sum(due) OVER (PARTITION BY currency) AS d FROM commission_liability",
    "SELECT (SELECT sum(due) FROM commission_liability WHERE currency = 'USD') "
    "+ (SELECT sum(pending) FROM commission_liability WHERE currency = 'USD') AS d",
    "SELECT c, sum(d) AS d FROM (SELECT currency AS c, due AS d FROM commission_liability "
    "UNION ALL SELECT currency, pending FROM commission_liability) GROUP BY c",
    "SELECT a.due + b.due AS d, a.currency FROM commission_liability a JOIN payout_preview b "
    "USING (affiliate_id, currency)",
    "SELECT c.currency, sum(l.due) AS d FROM currencies c LEFT JOIN commission_liability l "
    "ON l.currency = c.currency GROUP BY c.currency",
    "SELECT c.currency, (SELECT sum(l.due) FROM commission_liability l WHERE l.currency = c.currency) AS d "
    "FROM currencies c",
    "SELECT sum(due) FILTER (WHERE currency = 'USD') AS usd, count(*) AS n FROM commission_liability",
    "SELECT * FROM commission_liability",
    "SELECT currency FROM commission_liability GROUP BY currency HAVING sum(due) > 10",
    "SELECT currency, round(avg(commission), 2) AS mean, median(commission) AS m, max(total) AS t, "
    "arg_max(order_id, commission) AS o FROM conversions GROUP BY currency",
    "SELECT currency, percentile_cont(0.5) WITHIN GROUP (ORDER BY commission) AS m FROM conversions GROUP BY currency",
    "SELECT conversion_id FROM conversions c WHERE commission > "
    "(SELECT avg(x.commission) FROM conversions x WHERE x.currency = c.currency)",
    "SELECT month, currency, closing_due - lag(closing_due) OVER (PARTITION BY currency ORDER BY month) AS change "
    "FROM commission_roll_forward",
    "SELECT totals_currency, sum(loaded_commission) AS s FROM control_totals GROUP BY totals_currency",
    "SELECT amount - amount_before AS d, currency FROM conversion_states WHERE currency = currency_before",
    "SELECT avg(approval_rate) AS rate FROM commission_liability",
    "SELECT count(*) AS n, count(DISTINCT commission) AS c FROM conversions",
    "SELECT offer_id, offer_amount FROM conversions",
    "SELECT affiliate_id FROM conversions WHERE affiliate_id IN (SELECT affiliate_id FROM commission_liability)",
    "SELECT g FROM generate_series(1, 3) t(g)",
]

# With a part of the reason.
REFUSED = [
    ("SELECT sum(due) FROM commission_liability", "Add the currency to GROUP BY"),
    ("SELECT avg(due) AS d FROM commission_liability", "Add the currency to GROUP BY"),
    ("SELECT affiliate_id, sum(due) AS d FROM commission_liability GROUP BY affiliate_id", "different currencies"),
    ("SELECT sum(due) AS d FROM commission_liability WHERE currency IN ('USD', 'EUR')", "different currencies"),
    ("SELECT sum(due) AS d FROM commission_liability WHERE currency = 'USD' OR 1 = 1", "different currencies"),
    ("SELECT sum(due) AS d FROM commission_liability WHERE NOT currency = 'USD'", "different currencies"),
    ("SELECT sum(due) AS d FROM commission_liability WHERE currency = currency", "different currencies"),
    ("SELECT min(currency) AS currency, sum(due) AS d FROM commission_liability", "different currencies"),
    ("SELECT left(currency, 1) AS c, sum(due) AS d FROM commission_liability GROUP BY c", "different currencies"),
    ("SELECT sum(CAST(CAST(due AS VARCHAR) AS DECIMAL(38, 4))) AS d FROM commission_liability", "different currencies"),
    ("SELECT count(*) AS n FROM commission_liability HAVING sum(due) > 10", "different currencies"),
    ("SELECT due, currency FROM commission_liability ORDER BY sum(due) OVER ()", "Add the currency to PARTITION BY"),
    (
        "SELECT affiliate_id, currency, sum(due) OVER (PARTITION BY affiliate_id) AS d FROM commission_liability",
        "Add the currency to PARTITION BY",
    ),
    (
        "SELECT month, currency, closing_due - lag(closing_due) OVER () AS d FROM commission_roll_forward",
        "Add the currency to PARTITION BY",
    ),
    (
        "WITH t AS (SELECT affiliate_id, due FROM commission_liability) SELECT sum(due) AS d FROM t",
        "different currencies",
    ),
    (
        "WITH t AS (SELECT 'USD' AS currency, due FROM commission_liability) "
        "SELECT currency, sum(due) AS d FROM t GROUP BY currency",
        "different currencies",
    ),
    (
        "SELECT sum(a) AS d FROM (SELECT 'USD' AS currency, due AS a FROM commission_liability) WHERE currency = 'USD'",
        "different currencies",
    ),
    (
        "SELECT (SELECT sum(due) FROM commission_liability WHERE currency = 'USD') "
        "+ (SELECT sum(due) FROM commission_liability WHERE currency = 'EUR') AS d",
        "currencies may differ",
    ),
    (
        "SELECT sum(d) AS d FROM (SELECT due AS d FROM commission_liability WHERE currency = 'USD' "
        "UNION ALL SELECT due FROM commission_liability WHERE currency = 'EUR')",
        "different currencies",
    ),
    (
        "SELECT c, sum(d) AS d FROM (SELECT currency AS c, due AS d FROM commission_liability "
        "UNION ALL SELECT 'USD', due FROM commission_liability WHERE currency = 'EUR') GROUP BY c",
        "different currencies",
    ),
    (
        "SELECT a.due + b.due AS d, a.currency FROM commission_liability a JOIN payout_preview b "
        "ON a.affiliate_id = b.affiliate_id",
        "Join them on their currency",
    ),
    (
        "SELECT sum(a.due) AS d FROM commission_liability a LEFT JOIN payout_preview b "
        "ON a.currency = b.currency AND a.currency = 'USD'",
        "different currencies",
    ),
    (
        "SELECT sum(a.due) AS d FROM payout_preview b RIGHT JOIN commission_liability a "
        "ON a.currency = b.currency AND a.currency = 'USD'",
        "different currencies",
    ),
    (
        "SELECT c.currency, sum(l.due) AS d FROM currencies c FULL JOIN commission_liability l "
        "ON l.currency = c.currency GROUP BY c.currency",
        "different currencies",
    ),
    (
        "SELECT b.currency, sum(a.due) AS d FROM commission_liability a, payout_preview b GROUP BY b.currency",
        "different currencies",
    ),
    (
        "SELECT c.currency, (SELECT sum(l.due) FROM commission_liability l) AS d FROM currencies c",
        "different currencies",
    ),
    ("SELECT sum(CASE WHEN currency = 'USD' THEN due END) AS d FROM commission_liability", "different currencies"),
    ("SELECT list_sum(list(due)) AS d FROM commission_liability", "cannot be followed"),
    ("SELECT fsum(due) AS d FROM commission_liability", "cannot be followed"),
    ("SELECT sum(d.due) AS s FROM (SELECT {'due': due} AS d FROM commission_liability)", "cannot be followed"),
    ("SELECT sum(u) AS s FROM (SELECT unnest([due, pending]) AS u FROM commission_liability)", "cannot be followed"),
    ("SELECT sum(x.v) AS s FROM commission_liability, unnest([due]) x(v)", "cannot be followed"),
    ("SELECT string_agg(due::varchar, ',') AS d FROM commission_liability", "cannot be followed"),
    ("SELECT l FROM commission_liability l", "cannot be followed"),
    ("SELECT sum(COLUMNS('due.*')) FROM commission_liability", "COLUMNS"),
    ("SELECT currency, sum(due) AS d FROM commission_liability GROUP BY ROLLUP (currency)", "ROLLUP"),
    ("SELECT currency, sum(due) AS d FROM commission_liability GROUP BY GROUPING SETS ((currency), ())", "GROUPING"),
    ("PIVOT commission_liability ON currency USING sum(due)", "Only one SELECT|PIVOT"),
    ("SELECT sum(a) AS s FROM (VALUES ((SELECT due FROM commission_liability LIMIT 1))) t(a)", "VALUES"),
    ("SELECT currency, sum(offer_amount) AS d FROM conversions GROUP BY currency", "currencies of offers"),
    ("SELECT amount - amount_before AS d, currency FROM conversion_states", "currencies may differ"),
    ("SELECT sum(amount_before) AS d FROM conversion_states WHERE currency = 'USD'", "different currencies"),
    ("SELECT affiliate_id, due FROM commission_liability", "without their currency"),
    ("SELECT * FROM read_csv('/etc/passwd')", "is not a table"),
    ("SELECT * FROM '/etc/passwd'", "no table"),
    ("SELECT * FROM glob('/*')", "is not a table"),
    ("SELECT * FROM duckdb_settings()", "is not a table"),
    ("SELECT * FROM query('SELECT 1')", "is not a table"),
    ("SELECT * FROM information_schema.tables", "only summaries"),
    ("SELECT * FROM other.refersion_summaries.conversions", "only summaries"),
    ("SELECT current_setting('secret_directory') AS s", "not allowed"),
    ("SELECT getvariable('a') AS s", "not allowed"),
    ("ATTACH '/tmp/x.duckdb'", "Only one SELECT"),
    ("COPY conversions TO '/tmp/x.csv'", "Only one SELECT"),
    ("COPY (SELECT 1) TO '/tmp/x.csv'", "Only one SELECT"),
    ("PRAGMA database_list", "Only one SELECT"),
    ("SET threads = 1", "Only one SELECT"),
    ("INSTALL httpfs", "Only one SELECT"),
    ("CREATE TEMP TABLE t AS SELECT 1 AS a", "Only one SELECT"),
    ("DELETE FROM conversions", "Only one SELECT"),
    ("EXPLAIN SELECT 1", "Only one SELECT"),
    ("SELECT 1 AS a; SELECT 2 AS b", "Only one SELECT"),
    ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r", "RECURSIVE"),
    ("SELECT 1 AS a, 2 AS a", "a name of its own"),
    ("SELECT FROM WHERE", "cannot be parsed"),
    ("SELECT 1 AS a -- " + "x" * 10_000, "longer than"),
]
