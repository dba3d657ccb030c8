"""A generated account of any size, written directly into raw tables by DuckDB: two years, currencies, every state."""

from pathlib import Path

import duckdb

from refersion_dagster.ingest.history import conversions
from refersion_dagster.ingest.specs import SQL_TYPES
from refersion_dagster.refersion.tables.catalog import ENTITIES

DATASET = "refersion_data"
DAYS = 730

# A hash used as a die with this many sides, so the account is the same on every machine.
DIE = "CREATE TEMP MACRO die(i, salt, sides) AS CAST(hash(i, salt) % sides AS BIGINT)"
CONVERSIONS = """
WITH numbered AS (
  SELECT
    i,
    TIMESTAMPTZ '2024-01-01 00:00:00+00' + INTERVAL (CAST(i * ({days} * 86400.0 / {rows}) AS BIGINT)) SECOND AS created,
    die(i, 1, 100) AS fate,
    -- A few affiliates make most sales.
    CAST(floor(power((die(i, 2, 1000000)) / 1000000.0, 3) * {affiliates}) AS BIGINT) AS affiliate,
    CAST(10 + die(i, 3, 30000) / 100.0 AS DECIMAL(18, 4)) AS amount,
    ['USD', 'USD', 'USD', 'EUR', 'GBP'][1 + die(i, 4, 5)] AS currency
  FROM range({rows}) AS r(i)
),
typed AS (
  SELECT
    *,
    fate >= 97 AS is_credit,
    fate >= 93 AND fate < 97 AS is_cancellation,
    date_diff('day', created, TIMESTAMPTZ '2026-01-01 00:00:00+00') AS age
  FROM numbered
)
SELECT
  CAST(10000000 + i AS TEXT) AS id,
  CASE
    WHEN age < 30 AND die(i, 5, 10) < 8 THEN 'PENDING'
    WHEN age < 90 AND die(i, 5, 10) < 3 THEN 'PENDING'
    WHEN die(i, 5, 100) < 5 THEN 'DENIED'
    WHEN die(i, 5, 100) < 7 THEN 'UNQUALIFIED'
    ELSE 'APPROVED'
  END AS status,
  CASE
    WHEN is_credit THEN 'MANUAL_CREDIT_BY_CLIENT'
    WHEN is_cancellation THEN 'CANCELLATION_AFFILIATE_SITE_CONVERSION'
    WHEN die(i, 6, 4) = 0 THEN 'CONVERSION_TRIGGER_COUPON'
    ELSE 'AFFILIATE_SITE_CONVERSION'
  END AS type,
  CASE
    WHEN NOT is_credit THEN CAST(CASE WHEN is_cancellation THEN i - 1 - die(i, 7, 500) ELSE i END AS TEXT)
  END AS order_id,
  CASE WHEN is_credit THEN 0 WHEN is_cancellation THEN -amount ELSE amount END AS total,
  CAST(CASE WHEN is_cancellation THEN -amount ELSE amount END / 10 AS DECIMAL(18, 4)) AS commission_total,
  currency,
  created,
  created + INTERVAL (die(i, 8, 40)) DAY AS updated,
  CAST(30000000 + affiliate AS TEXT) AS affiliate_id,
  CAST(die(i, 9, 12) AS TEXT) AS offer__id,
  'Offer ' || CAST(die(i, 9, 12) AS TEXT) AS offer__name,
  'PERCENT_OF_SALE' AS offer__type,
  10 AS offer__amount,
  CASE WHEN die(i, 6, 4) = 0 THEN 'CODE' || CAST(affiliate AS TEXT) END AS coupon_code,
  FALSE AS is_recurring,
  i % 1000 = 0 AS is_test_conversion,
  sha256(CAST(die(i, 10, {rows} // 2 + 1) AS TEXT)) AS customer__email,
  sha256('ip' || CAST(die(i, 11, {rows} // 2 + 1) AS TEXT)) AS customer__browser_ip,
  CASE WHEN die(i, 6, 4) <> 0 THEN created - INTERVAL (30 + die(i, 12, 100000)) SECOND END AS click__created,
  TIMESTAMPTZ '2026-01-01 00:00:00+00' AS read_at
FROM typed
"""

STATEMENTS = (
    # Approved rows are paid two months later, except for those of one affiliate in ten.
    """
    CREATE TABLE paying AS
    SELECT
      id AS conversion,
      date_trunc('month', created) + INTERVAL 2 MONTH + INTERVAL 5 DAY AS paid_at,
      substr(md5(concat(affiliate_id, currency, date_trunc('month', created))), 1, 12) AS payment
    FROM refersion_data.conversions
    WHERE status = 'APPROVED' AND NOT is_test_conversion AND die(affiliate_id, 20, 10) > 0
      AND date_trunc('month', created) + INTERVAL 2 MONTH + INTERVAL 5 DAY < TIMESTAMPTZ '2026-01-01 00:00:00+00'
    """,
    """
    UPDATE refersion_data.conversions AS c
    SET payment_status = 'PAID', payment_id = p.payment, payment__id = p.payment, payment__created = p.paid_at
    FROM paying AS p WHERE p.conversion = c.id
    """,
    "UPDATE refersion_data.conversions SET payment_status = 'UNPAID' WHERE payment_status IS NULL",
    "DROP TABLE paying",
    """
    INSERT INTO refersion_data.payments BY NAME
    SELECT payment_id AS id, any_value(payment__created) AS created, sum(commission_total) AS commission_total,
      currency, count(*) AS total_conversions, affiliate_id AS affiliate__id, 'PAYPAL' AS payment_method,
      TIMESTAMPTZ '2026-01-01 00:00:00+00' AS read_at
    FROM refersion_data.conversions WHERE payment_id IS NOT NULL GROUP BY payment_id, currency, affiliate_id
    """,
    """
    INSERT INTO refersion_data.affiliates BY NAME
    SELECT CAST(30000000 + i AS TEXT) AS id, 'ACTIVE' AS status, 'Affiliate ' || i AS name,
      'affiliate' || i || '@example.com' AS email, sha256('a' || i) AS email_hash,
      '&rfsn=' || (30000000 + i) || '.c' || i AS rfsn_parameter,
      CASE WHEN i % 9 <> 0 THEN 'paypal' || i || '@example.com' END AS paypal_email,
      CASE WHEN i % 9 <> 0 THEN sha256('p' || i) END AS paypal_email_hash,
      TIMESTAMPTZ '2026-01-01 00:00:00+00' AS read_at
    FROM range({affiliates}) AS r(i)
    """,
    """
    INSERT INTO refersion_data.affiliate_list BY NAME
    SELECT 'c' || i AS id, CAST(i % 12 AS TEXT) AS offer_id, 'ACTIVE' AS status, 'Affiliate' AS first_name,
      CAST(i AS TEXT) AS last_name, 'affiliate' || i || '@example.com' AS email,
      TIMESTAMPTZ '2026-01-01 00:00:00+00' AS read_at
    FROM range({affiliates}) AS r(i)
    """,
    """
    INSERT INTO refersion_data.affiliate_get BY NAME
    SELECT CAST(30000000 + i AS TEXT) AS id, 'c' || i AS affiliate_code, CAST(i % 12 AS TEXT) AS offer_id,
      'ACTIVE' AS status, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS read_at
    FROM range({affiliates}) AS r(i)
    """,
    """
    INSERT INTO refersion_data.offers BY NAME
    SELECT CAST(i AS TEXT) AS id, 'Offer ' || i AS name, 10 AS commission, 'PERCENT_OF_SALE' AS type,
      TIMESTAMPTZ '2026-01-01 00:00:00+00' AS read_at
    FROM range(12) AS r(i)
    """,
    """
    INSERT INTO refersion_data.conversion_history BY NAME
    SELECT id, created AS seen_at, 'new' AS change, 'PENDING' AS status, 'UNPAID' AS payment_status, total,
      commission_total, currency
    FROM refersion_data.conversions
    """,
    """
    INSERT INTO refersion_data.conversion_history BY NAME
    SELECT id, updated + INTERVAL 1 HOUR AS seen_at, 'changed' AS change, status, payment_status, total,
      commission_total, currency
    FROM refersion_data.conversions WHERE status <> 'PENDING'
    """,
    """
    INSERT INTO refersion_data.conversion_totals BY NAME
    SELECT 'month' AS granularity, date_trunc('month', created) AS period_from,
      date_trunc('month', created) + INTERVAL 1 MONTH - INTERVAL 1 SECOND AS period_to, status, payment_status,
      count(*) AS conversions_count, sum(commission_total) AS commission_total, sum(total) AS order_total,
      sum(total) AS commissionable_order_total, 'USD' AS currency, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS read_at
    FROM refersion_data.conversions WHERE currency = 'USD' AND NOT is_test_conversion
    GROUP BY date_trunc('month', created), status, payment_status
    """,
)


def make_account(database: Path, rows: int, affiliates: int) -> None:
    """Fills a new DuckDB file with the raw tables of an account that has `rows` conversions."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(DIE)
        connection.execute(f"CREATE SCHEMA {DATASET}")
        for entity in ENTITIES.values():
            columns = ", ".join(f"{column.name} {SQL_TYPES[column.kind].split(' (')[0]}" for column in entity.columns)
            connection.execute(f"CREATE TABLE {DATASET}.{entity.name} ({columns})")
        connection.execute(conversions.CREATE)
        sizes = {"rows": rows, "affiliates": affiliates, "days": DAYS}
        connection.execute(f"INSERT INTO {DATASET}.conversions BY NAME {CONVERSIONS.format(**sizes)}")
        for statement in STATEMENTS:
            connection.execute(statement.format(**sizes))
