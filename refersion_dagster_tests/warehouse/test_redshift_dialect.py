"""SQL for Redshift: what has another result there is rewritten, and what Redshift lacks is refused by name."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp

from refersion_dagster.warehouse.dialects.dialect import UntestedSql
from refersion_dagster.warehouse.dialects.redshift import RedshiftDialect
from refersion_dagster.warehouse.dialects.redshift_limits import LIMITS, find_limits
from refersion_dagster.warehouse.sql import parse

REDSHIFT = RedshiftDialect()


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("a / nullif(b, 0)", "CAST(a AS DECIMAL(27, 12)) / CAST(NULLIF(b, 0) AS DECIMAL(30, 10))"),
        ("a * 0.8", "a * 0.8"),
        ("CAST(a AS BIGINT)", "CAST(CAST(a AS DECIMAL(38, 0)) AS BIGINT)"),
        ("CAST(NULL AS BIGINT)", "CAST(NULL AS BIGINT)"),
        ("CAST(a AS DOUBLE)", "CAST(a AS DOUBLE PRECISION)"),
        ("'new'", "CAST('new' AS VARCHAR(MAX))"),
        ("CAST(CAST(a AS DECIMAL(18, 2)) AS TEXT)", "CAST(CAST(a AS DECIMAL(18, 2)) AS VARCHAR(MAX))"),
        ("CAST(CAST(a AS DATE) AS TEXT)", "TO_CHAR(CAST(a AS DATE), 'YYYY-MM-DD')"),
        ("CAST(date_trunc('second', a) AS TEXT)", "TO_CHAR(DATE_TRUNC('SECOND', a), 'YYYY-MM-DD HH24:MI:SS')"),
        ("concat('x', a)", "('x' || COALESCE(a, ''))"),
        (
            "concat_ws('; ', a, b)",
            "SUBSTRING((COALESCE(('; ' || a), '') || COALESCE(('; ' || b), '')) FROM 3)",
        ),
        ("greatest(a, b)", "GREATEST(a, b)"),
        ("upper(a)", "UPPER(REPLACE(a, 'ß', 'ẞ'))"),
        ("lower(a)", "LOWER(REPLACE(REPLACE(a, 'Σ', 'σ'), 'İ', 'i'))"),
        ("a AT TIME ZONE 'UTC'", "a AT TIME ZONE 'UTC'"),
        ("a + INTERVAL '24' HOUR * 30", "a + INTERVAL '720 HOUR'"),
        (
            "CAST(a AS TIMESTAMP) - INTERVAL '1' MONTH",
            "CAST(DATEADD(MONTH, -1, CAST(a AS TIMESTAMP)) AS TIMESTAMP)",
        ),
        ("date_diff('day', a, b)", "DATEDIFF(DAY, a, b)"),
        (
            "extract(epoch FROM a)",
            "(CAST(DATEDIFF(MICROSECOND, CAST('1970-01-01 00:00:00' AS TIMESTAMP), CAST(a AS TIMESTAMP)) AS "
            "DECIMAL(20, 0)) / CAST(1000000 AS DECIMAL(7, 0)))",
        ),
        ("lag(a) OVER (ORDER BY b, c DESC)", "LAG(a) OVER (ORDER BY b, c DESC NULLS LAST)"),
        (
            "string_agg(a, ', ' ORDER BY b)",
            "CASE WHEN COUNT(a) > 0 THEN LISTAGG(a, ', ') WITHIN GROUP (ORDER BY b) END",
        ),
        ("a IS DISTINCT FROM b", "(NOT COALESCE(a = b, a IS NULL AND b IS NULL))"),
        (r"concat(a, '\N it''s')", r"(COALESCE(a, '') || '\\N it\'s')"),
        ('"order"', '"order"'),
    ],
)
def test_an_expression_means_the_same(expression: str, written: str) -> None:
    assert REDSHIFT.write(parse(f"SELECT {expression} AS x FROM t")) == f"SELECT {written} AS x FROM t"


def test_the_clock_is_that_of_the_statement_and_a_moment() -> None:
    assert REDSHIFT.fit(parse("SELECT current_timestamp AS x")).sql("redshift") == (
        "SELECT CAST(GETDATE() AS TIMESTAMP WITH TIME ZONE) AS x"
    )


def test_a_series_is_a_join_with_numbers() -> None:
    select = """
    SELECT CAST(s.moment AS DATE) AS month FROM t
    CROSS JOIN LATERAL generate_series(t.a, t.b, INTERVAL '1' MONTH) AS s(moment)
    """
    written = REDSHIFT.write(parse(select))
    moment = "CAST(DATEADD(MONTH, s.number, CAST(t.a AS TIMESTAMP)) AS TIMESTAMP)"
    assert written.startswith(
        f"SELECT CAST({moment} AS DATE) AS month FROM t JOIN (SELECT d0.digit * 1 + d1.digit * 10"
    )
    assert written.endswith(f") AS s ON {moment} <= t.b")


def test_a_subquery_that_is_asked_for_a_row_becomes_a_join() -> None:
    select = "SELECT EXISTS(SELECT 1 FROM a.asked AS k WHERE k.month = w.month AND k.seen > 1) AS x FROM a.b AS w"
    assert REDSHIFT.write(parse(select)) == (
        "SELECT (NOT members_1.member_1 IS NULL) AS x FROM a.b AS w LEFT JOIN (SELECT DISTINCT k.month AS member_1 "
        "FROM a.asked AS k WHERE k.seen > 1) AS members_1 ON members_1.member_1 = w.month"
    )


def test_a_subquery_in_a_case_becomes_a_join_and_one_in_where_stays() -> None:
    select = "SELECT sum(CASE WHEN id IN (SELECT c.id FROM a.c AS c) THEN 1 END) AS x FROM a.b"
    assert REDSHIFT.write(parse(select)) == (
        "SELECT SUM(CASE WHEN (NOT members_1.member_1 IS NULL) THEN 1 END) AS x FROM a.b LEFT JOIN "
        "(SELECT DISTINCT c.id AS member_1 FROM a.c AS c) AS members_1 ON members_1.member_1 = id"
    )
    kept = "SELECT a.b AS x FROM a WHERE NOT a.id IN (SELECT c.id FROM c)"
    assert REDSHIFT.write(parse(kept)) == kept


def test_rows_without_a_partner_that_is_greater_are_found_by_a_join() -> None:
    select = "SELECT w.id AS x FROM b AS w WHERE NOT EXISTS(SELECT 1 FROM k WHERE k.id = w.id AND k.seen >= w.seen)"
    assert REDSHIFT.write(parse(select)) == (
        "SELECT w.id AS x FROM b AS w LEFT JOIN (SELECT k.id AS member_1, k.seen AS member_2 FROM k) AS members_1 "
        "ON members_1.member_1 = w.id AND members_1.member_2 >= w.seen WHERE NOT (NOT members_1.member_1 IS NULL)"
    )


def test_a_percentile_is_the_value_at_its_place() -> None:
    select = "SELECT a AS a, percentile_disc(0.5) WITHIN GROUP (ORDER BY b) AS x FROM s.t WHERE c GROUP BY a"
    assert REDSHIFT.write(parse(select)) == (
        "SELECT a AS a, MAX(CASE WHEN place_1 = GREATEST(CEIL(0.5 * count_1), 1) THEN b END) AS x FROM "
        "(SELECT *, ROW_NUMBER() OVER (PARTITION BY a ORDER BY b) AS place_1, COUNT(b) OVER (PARTITION BY a) "
        "AS count_1 FROM s.t WHERE c) AS t GROUP BY a"
    )


def test_a_table_that_is_changed_goes_by_its_own_name() -> None:
    update = "UPDATE a.b AS h SET c = f.c FROM d AS f WHERE h.id = f.id"
    assert REDSHIFT.write(parse(update)) == "UPDATE a.b SET c = f.c FROM d AS f WHERE b.id = f.id"


def test_columns_of_text_hold_as_much_as_they_can() -> None:
    create = "CREATE TABLE IF NOT EXISTS a.b (c TEXT NOT NULL, d DOUBLE, e TIMESTAMPTZ)"
    assert REDSHIFT.write(parse(create)) == (
        "CREATE TABLE IF NOT EXISTS a.b (c VARCHAR(MAX) NOT NULL, d DOUBLE PRECISION, e TIMESTAMP WITH TIME ZONE)"
    )
    assert (
        REDSHIFT.write(parse("CREATE TABLE IF NOT EXISTS a.b AS SELECT 1 AS c")) == "CREATE TABLE a.b AS SELECT 1 AS c"
    )


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("CAST(amount AS TEXT)", "makes a text of amount"),
        ("CAST(CAST(a AS TIMESTAMP) AS TEXT)", "cut times to seconds"),
        ("CAST(CAST(a AS DOUBLE) AS TEXT)", "make numbers a DECIMAL"),
        ("CAST(date_trunc('hour', a) AS TEXT)", "cut it to seconds"),
        ("concat_ws(a, b, c)", "The separator a"),
        ("a + INTERVAL '1' MONTH", "months are added to a TIMESTAMP"),
        ("string_agg(a, ', ')", "a list has an order"),
        (r"a LIKE 'x\%'", "a pattern is a text"),
        ("a IN (SELECT b FROM c) AND NOT d IN (SELECT e FROM f)", "use NOT EXISTS"),
        ("NOT (a AND d IN (SELECT e FROM f))", "use NOT EXISTS"),
        ("EXISTS(SELECT 1 FROM k WHERE k.a > t.a)", "it compares with = only"),
        ("EXISTS(SELECT 1 FROM k WHERE a = t.a)", "name the table of each column"),
        ("EXISTS(SELECT 1 FROM k)", "compare it with the query around it"),
        ("EXISTS(SELECT k.a FROM k WHERE k.a = t.a GROUP BY k.a)", "is a SELECT of rows"),
    ],
)
def test_what_was_not_thought_of_is_refused(expression: str, said: str) -> None:
    with pytest.raises(UntestedSql, match=said):
        REDSHIFT.write(parse(f"SELECT {expression} AS x FROM t"))


@pytest.mark.parametrize("step", ["INTERVAL '1' HOUR", "INTERVAL '2' DAY"])
def test_a_series_of_something_else_is_refused(step: str) -> None:
    select = f"SELECT s.at AS at FROM t CROSS JOIN LATERAL generate_series(t.a, t.b, {step}) AS s(at)"
    with pytest.raises(UntestedSql, match="one of days or months"):
        REDSHIFT.write(parse(select))


# A statement for each limit, in the dialect in which it can be written.
LACKING = {
    "generate_series": "SELECT generate_series(1, 2)",
    "STRING_AGG": "SELECT string_agg(a, ',') FROM t",
    "ARRAY_AGG": "SELECT array_agg(a) FROM t",
    "IS DISTINCT FROM": "SELECT a IS DISTINCT FROM b FROM t",
    "a function of PostgreSQL that it lacks": "SELECT clock_timestamp() FROM t",
    "an array": "SELECT [a, b] FROM t",
    "a row constructor": "SELECT a FROM t WHERE (a, b) = (1, 2)",
    "a system column's name": "SELECT a AS oid FROM t",
    "COLLATE of a locale": "SELECT a COLLATE de FROM t",
    "LATERAL": "SELECT a FROM t CROSS JOIN LATERAL (SELECT t.a) AS s",
    "CONCAT of several texts, of which NULL makes NULL": "SELECT concat(a, b) FROM t",
    "DISTINCT ON": "SELECT DISTINCT ON (a) a, b FROM t",
    "FILTER of an aggregate": "SELECT count(*) FILTER (WHERE a) FROM t",
    "PERCENTILE_DISC as an aggregate": "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY a) FROM t",
    "LISTAGG in two orders": "",
    "a RANGE frame": "SELECT sum(a) OVER (ORDER BY b RANGE BETWEEN 7 PRECEDING AND CURRENT ROW) FROM t",
    "an aggregate OVER (ORDER BY …) without a frame": "SELECT sum(a) OVER (ORDER BY b) FROM t",
    "LAG or LEAD with a default": "SELECT lag(a, 1, 0) OVER (ORDER BY b) FROM t",
    "IS TRUE or IS FALSE": "SELECT a IS TRUE FROM t",
    "MIN or MAX of a condition": "SELECT max(a = 1) FROM t",
    "the text of a condition": "SELECT CAST(a = 1 AS TEXT) FROM t",
    "DECIMAL without digits, which is DECIMAL(18, 0)": "",
    "WITH inside WITH": "WITH a AS (WITH b AS (SELECT 1 AS x) SELECT x FROM b) SELECT x FROM a",
    "WITH RECURSIVE": "WITH RECURSIVE a AS (SELECT 1 AS x UNION ALL SELECT x FROM a) SELECT x FROM a",
    "FULL JOIN without equality": "SELECT a.x FROM a FULL JOIN b ON a.x = b.x AND a.y > b.y",
    "an outer join in UPDATE": "UPDATE a SET x = 1 FROM b LEFT JOIN c ON b.x = c.x WHERE a.x = b.x",
    "a subquery in GROUP BY or HAVING": "SELECT a FROM t GROUP BY a HAVING sum(b) > (SELECT max(c) FROM u)",
    "a correlated subquery": "SELECT (SELECT max(u.a) FROM u WHERE u.b = t.b) AS x FROM t",
    "a text in ORDER BY": "SELECT a FROM t ORDER BY 'a'",
    "an INTERVAL of months, quarters or years": "SELECT a - INTERVAL '1' YEAR FROM t",
    "CURRENT_TIMESTAMP": "SELECT current_timestamp",
    "CREATE TABLE IF NOT EXISTS … AS": "CREATE TABLE IF NOT EXISTS a AS SELECT 1 AS x",
}
IN_REDSHIFT = {
    "LISTAGG in two orders": "SELECT LISTAGG(a) WITHIN GROUP (ORDER BY a), LISTAGG(a) WITHIN GROUP (ORDER BY b)",
    "DECIMAL without digits, which is DECIMAL(18, 0)": "SELECT CAST(a AS DECIMAL) FROM t",
}


@pytest.mark.parametrize("name", [limit.name for limit in LIMITS])
def test_what_redshift_lacks_is_found(name: str) -> None:
    tree = sqlglot.parse_one(IN_REDSHIFT[name], dialect="postgres") if name in IN_REDSHIFT else parse(LACKING[name])
    assert name in [limit.name for limit in find_limits(tree)]


def test_nothing_is_found_where_there_is_nothing() -> None:
    select = "WITH a AS (SELECT sum(x) AS x FROM s.t WHERE y IN (SELECT z FROM s.u)) SELECT x FROM a ORDER BY x DESC"
    assert [*find_limits(parse(select))] == []
    assert isinstance(parse(select), exp.Select)


def test_the_message_names_the_page_that_says_so() -> None:
    with pytest.raises(UntestedSql, match=r"a RANGE frame \(https://docs.aws.amazon.com/.*c_Window_functions.html\)"):
        REDSHIFT.write(parse("SELECT sum(a) OVER (ORDER BY b RANGE BETWEEN 7 PRECEDING AND CURRENT ROW) AS x FROM t"))
