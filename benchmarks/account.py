"""A generated account of any size, written directly into raw tables by DuckDB: currencies, every state, late changes.

It was read every night, always the last 120 days. Most conversions are decided within a month of their creation, and
one in ten within 80 days; some approvals are withdrawn, some conversions deleted. Approved ones are paid in the month
after.
"""

from pathlib import Path

import duckdb

from refersion_dagster.ingest.history import conversions, readings, schemas
from refersion_dagster.ingest.specs import SQL_TYPES
from refersion_dagster.refersion.tables.catalog import ENTITIES

DATASET = "refersion_data"
DAYS = 730
LOOK_BACK_DAYS = 120

MACROS = (
    # A hash used as a die with this many sides, so the account is the same on every machine.
    "CREATE TEMP MACRO die(i, salt, sides) AS CAST(hash(i, salt) % sides AS BIGINT)",
    "CREATE TEMP MACRO now_at() AS TIMESTAMPTZ '2026-01-01 00:00:00+00' + INTERVAL ({nights}) DAY",
    # The reading that shows first what happened at a moment.
    "CREATE TEMP MACRO night_after(moment) AS date_trunc('day', moment) + INTERVAL 1 DAY",
    """
    CREATE TEMP MACRO outcome(i) AS
    CASE WHEN die(i, 5, 100) < 5 THEN 'DENIED' WHEN die(i, 5, 100) < 7 THEN 'UNQUALIFIED' ELSE 'APPROVED' END
    """,
    # Unqualified ones are so from the beginning.
    """
    CREATE TEMP MACRO decided_at(i, created) AS created + INTERVAL (
      CASE
        WHEN outcome(i) = 'UNQUALIFIED' THEN 0
        WHEN die(i, 15, 10) = 0 THEN 20 + die(i, 8, 60)
        ELSE die(i, 8, 33)
      END
    ) DAY
    """,
    # The moment when an approval is withdrawn.
    """
    CREATE TEMP MACRO withdrawn_at(i, created) AS
    CASE WHEN outcome(i) = 'APPROVED' AND die(i, 13, 200) = 0 THEN decided_at(i, created) + INTERVAL 3 DAY END
    """,
    # One affiliate in ten is not paid.
    """
    CREATE TEMP MACRO paid_at(i, created, affiliate) AS
    CASE
      WHEN outcome(i) = 'APPROVED' AND withdrawn_at(i, created) IS NULL AND i % 1000 <> 0 AND die(affiliate, 20, 10) > 0
        THEN date_trunc('month', decided_at(i, created)) + INTERVAL 1 MONTH + INTERVAL 5 DAY
    END
    """,
    """
    CREATE TEMP MACRO deleted_at(i, created) AS
    CASE
      WHEN outcome(i) <> 'APPROVED' AND die(i, 14, 50) = 0
        THEN night_after(decided_at(i, created)) + INTERVAL 5 DAY
    END
    """,
)
CONVERSIONS = """
WITH numbered AS (
  SELECT
    i,
    now_at() - INTERVAL ({days} + {nights}) DAY + INTERVAL (CAST(i * ({days} * 86400.0 / {rows}) AS BIGINT)) SECOND
      AS created,
    die(i, 1, 100) AS fate,
    -- A few affiliates make most sales.
    CAST(floor(power((die(i, 2, 1000000)) / 1000000.0, 3) * {affiliates}) AS BIGINT) AS affiliate,
    CAST(10 + die(i, 3, 30000) / 100.0 AS DECIMAL(18, 4)) AS amount,
    ['USD', 'USD', 'USD', 'EUR', 'GBP'][1 + die(i, 4, 5)] AS currency
  FROM range({rows} + {rows} * {nights} // {days}) AS r(i)
),
typed AS (
  SELECT
    *,
    fate >= 97 AS is_credit,
    fate >= 93 AND fate < 97 AS is_cancellation,
    fate < 8 AS is_renewal,
    CASE WHEN decided_at(i, created) < now_at() THEN decided_at(i, created) END AS decided_at,
    CASE WHEN withdrawn_at(i, created) < now_at() THEN withdrawn_at(i, created) END AS withdrawn_at,
    CASE WHEN paid_at(i, created, affiliate) < now_at() THEN paid_at(i, created, affiliate) END AS paid_at,
    CASE WHEN deleted_at(i, created) <= now_at() THEN deleted_at(i, created) END AS deleted_at
  FROM numbered
),
paid AS (
  SELECT
    *,
    CASE WHEN paid_at IS NOT NULL THEN substr(md5(concat(affiliate, currency, paid_at)), 1, 12) END AS payment
  FROM typed
)
SELECT
  CAST(10000000 + i AS TEXT) AS id,
  CASE
    WHEN withdrawn_at IS NOT NULL THEN 'DENIED'
    WHEN decided_at IS NOT NULL THEN outcome(i)
    ELSE 'PENDING'
  END AS status,
  CASE WHEN paid_at IS NULL THEN 'UNPAID' ELSE 'PAID' END AS payment_status,
  payment AS payment_id,
  payment AS payment__id,
  paid_at AS payment__created,
  CASE
    WHEN is_credit THEN 'MANUAL_CREDIT_BY_CLIENT'
    WHEN is_cancellation THEN 'CANCELLATION_AFFILIATE_SITE_CONVERSION'
    WHEN die(i, 6, 4) = 0 THEN 'CONVERSION_TRIGGER_COUPON'
    ELSE 'AFFILIATE_SITE_CONVERSION'
  END AS type,
  CASE
    -- Cancellations and renewals of an earlier order, and orders credited to two affiliates.
    WHEN NOT is_credit THEN CAST(
      CASE
        WHEN is_cancellation THEN i - 1 - die(i, 7, 500)
        WHEN is_renewal THEN i - 1000 * (1 + die(i, 16, 6))
        WHEN die(i, 17, 50) = 0 THEN i - 1
        ELSE i
      END AS TEXT
    )
  END AS order_id,
  CASE WHEN is_credit THEN 0 WHEN is_cancellation THEN -amount ELSE amount END AS total,
  CAST(CASE WHEN is_cancellation THEN -amount ELSE amount END / 10 AS DECIMAL(18, 4)) AS commission_total,
  currency,
  created,
  coalesce(paid_at, withdrawn_at, decided_at, created) AS updated,
  CAST(30000000 + affiliate AS TEXT) AS affiliate_id,
  CAST(die(i, 9, 12) AS TEXT) AS offer__id,
  'Offer ' || CAST(die(i, 9, 12) AS TEXT) AS offer__name,
  'PERCENT_OF_SALE' AS offer__type,
  10 AS offer__amount,
  CASE WHEN die(i, 6, 4) = 0 THEN 'CODE' || CAST(affiliate AS TEXT) END AS coupon_code,
  is_renewal AS is_recurring,
  i % 1000 = 0 AS is_test_conversion,
  -- One order in 200 is of a customer who orders again and again.
  sha256(CASE WHEN die(i, 18, 200) = 0 THEN 'often' || i // 2000 ELSE CAST(die(i, 10, {rows} // 2 + 1) AS TEXT) END)
    AS customer__email,
  sha256('ip' || CAST(die(i, 11, {rows} // 2 + 1) AS TEXT)) AS customer__browser_ip,
  CASE WHEN die(i, 6, 4) <> 0 THEN created - INTERVAL (30 + die(i, 12, 100000)) SECOND END AS click__created,
  deleted_at AS vanished_at,
  coalesce(deleted_at - INTERVAL 1 DAY, now_at()) AS read_at
FROM paid
"""

STATEMENTS = (
    """
    INSERT INTO refersion_data.payments BY NAME
    SELECT payment_id AS id, any_value(payment__created) AS created, sum(commission_total) AS commission_total,
      currency, count(*) AS total_conversions, affiliate_id AS affiliate__id, 'PAYPAL' AS payment_method,
      now_at() AS read_at
    FROM refersion_data.conversions WHERE payment_id IS NOT NULL GROUP BY payment_id, currency, affiliate_id
    """,
    """
    INSERT INTO refersion_data.affiliates BY NAME
    SELECT CAST(30000000 + i AS TEXT) AS id, 'ACTIVE' AS status, 'Affiliate ' || i AS name,
      'affiliate' || i || '@example.com' AS email, sha256('a' || i) AS email_hash,
      '&rfsn=' || (30000000 + i) || '.c' || i AS rfsn_parameter,
      CASE WHEN i % 9 <> 0 THEN 'paypal' || i || '@example.com' END AS paypal_email,
      CASE WHEN i % 9 <> 0 THEN sha256('p' || i) END AS paypal_email_hash,
      now_at() AS read_at
    FROM range({affiliates}) AS r(i)
    """,
    """
    INSERT INTO refersion_data.affiliate_list BY NAME
    SELECT 'c' || i AS id, CAST(i % 12 AS TEXT) AS offer_id, 'ACTIVE' AS status, 'Affiliate' AS first_name,
      CAST(i AS TEXT) AS last_name, 'affiliate' || i || '@example.com' AS email,
      now_at() AS read_at
    FROM range({affiliates}) AS r(i)
    """,
    """
    INSERT INTO refersion_data.affiliate_get BY NAME
    SELECT CAST(30000000 + i AS TEXT) AS id, 'c' || i AS affiliate_code, CAST(i % 12 AS TEXT) AS offer_id,
      'ACTIVE' AS status, now_at() AS read_at
    FROM range({affiliates}) AS r(i)
    """,
    """
    INSERT INTO refersion_data.offers BY NAME
    SELECT CAST(i AS TEXT) AS id, 'Offer ' || i AS name, 10 AS commission, 'PERCENT_OF_SALE' AS type,
      now_at() AS read_at
    FROM range(12) AS r(i)
    """,
    # Each conversion as it was first seen.
    """
    INSERT INTO refersion_data.conversion_history BY NAME
    SELECT id, night_after(created) AS seen_at, 'new' AS change,
      CASE WHEN night_after(decided_at(i, created)) = night_after(created) THEN outcome(i) ELSE 'PENDING' END AS status,
      'UNPAID' AS payment_status, total, commission_total, currency, created AS updated, affiliate_id
    FROM refersion_data.conversions, LATERAL (SELECT CAST(id AS BIGINT) - 10000000 AS i) AS numbered
    """,
    # Decided, withdrawn, paid and deleted.
    """
    INSERT INTO refersion_data.conversion_history BY NAME
    SELECT c.id, night_after(e.moment) AS seen_at, 'changed' AS change, e.status, e.payment_status, c.total,
      c.commission_total, c.currency, e.moment AS updated, c.affiliate_id,
      CASE WHEN e.payment_status = 'PAID' THEN c.payment_id END AS payment_id,
      night_after(e.moment) - INTERVAL 1 DAY AS seen_before
    FROM refersion_data.conversions AS c, LATERAL (SELECT CAST(id AS BIGINT) - 10000000 AS i) AS n, LATERAL (
      SELECT decided_at(i, created) AS moment, outcome(i) AS status, 'UNPAID' AS payment_status
      UNION ALL SELECT withdrawn_at(i, created), 'DENIED', 'UNPAID'
      UNION ALL SELECT c.payment__created, 'APPROVED', 'PAID'
    ) AS e
    WHERE e.moment < now_at() AND night_after(e.moment) > night_after(c.created)
    """,
    """
    INSERT INTO refersion_data.conversion_history BY NAME
    SELECT id, vanished_at AS seen_at, 'vanished' AS change, status, payment_status, total, commission_total, currency,
      updated, affiliate_id, vanished_at - INTERVAL 1 DAY AS seen_before
    FROM refersion_data.conversions WHERE vanished_at IS NOT NULL
    """,
    """
    INSERT INTO refersion_data.conversion_readings BY NAME
    SELECT now_at() - INTERVAL (i) DAY AS read_at, now_at() - INTERVAL (i + {look_back}) DAY AS read_from,
      now_at() - INTERVAL (i) DAY AS read_to, 'read' AS proven_by, '(all)' AS currency
    FROM range({days} + {nights}) AS r(i)
    """,
    """
    INSERT INTO refersion_data.conversion_totals BY NAME
    SELECT 'month' AS granularity, date_trunc('month', created) AS period_from,
      date_trunc('month', created) + INTERVAL 1 MONTH - INTERVAL 1 SECOND AS period_to, status, payment_status,
      count(*) AS conversions_count, sum(commission_total) AS commission_total, sum(total) AS order_total,
      sum(total) AS commissionable_order_total, 'USD' AS currency, now_at() AS read_at
    FROM refersion_data.conversions WHERE currency = 'USD' AND NOT is_test_conversion AND vanished_at IS NULL
    GROUP BY date_trunc('month', created), status, payment_status
    """,
)


def make_account(database: Path, rows: int, affiliates: int, days: int = DAYS, nights: int = 0) -> None:
    """Writes the raw tables of an account into a DuckDB file. Replaces those of an earlier call; other tables stay.

    Args:
        rows: number of conversions in these days.
        days: days over which they are spread evenly, the last of which is 2025-12-31.
        nights: number of further days and nightly readings. The same account without them is a part of this one.
    """
    sizes = {"rows": rows, "affiliates": affiliates, "days": days, "nights": nights, "look_back": LOOK_BACK_DAYS}
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        # Otherwise DuckDB keeps all rows of an INSERT in memory until it knows their order.
        connection.execute("SET preserve_insertion_order = FALSE")
        for macro in MACROS:
            connection.execute(macro.format(**sizes))
        connection.execute(f"DROP SCHEMA IF EXISTS {DATASET} CASCADE")
        connection.execute(f"CREATE SCHEMA {DATASET}")
        for entity in ENTITIES.values():
            columns = ", ".join(f"{column.name} {SQL_TYPES[column.kind].split(' (')[0]}" for column in entity.columns)
            connection.execute(f"CREATE TABLE {DATASET}.{entity.name} ({columns})")
        connection.execute(conversions.CREATE)
        connection.execute(readings.CREATE)
        connection.execute(schemas.CREATE)
        connection.execute(schemas.CREATE_CHANGES)
        connection.execute(f"INSERT INTO {DATASET}.conversions BY NAME {CONVERSIONS.format(**sizes)}")
        for statement in STATEMENTS:
            connection.execute(statement.format(**sizes))
