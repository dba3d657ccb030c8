"""The history of each conversion: `refersion_data.conversion_history`, kept forever.

`conversions` holds the current state of each row. The history gets a row whenever a conversion is first seen, whenever
its status, payment status, total, commission, affiliate or payment changes, and when it is deleted in Refersion or
restored. It is computed in the warehouse by comparing `conversions` with the latest row of the history. Running it
again therefore adds nothing, and the next run completes an interrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from refersion_dagster.ingest.history.readings import TABLE as READINGS
from refersion_dagster.ingest.history.readings import add_reading, create_readings
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.extract.stats import ReadSpan
from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.session import Session

TABLE = "conversion_history"
DESCRIPTION = """Every change of a conversion, kept forever: when it was first seen, each change of status, payment \
status, payment, total, commission or affiliate, and when it was deleted in Refersion or restored.

`seen_at` is the time of the reading that showed the change, which is at or after the change itself."""

COLUMNS = [
    dg.TableColumn("id", "text", "Conversion id."),
    dg.TableColumn("seen_at", "timestamptz", "When the reading that showed this state began."),
    dg.TableColumn("change", "text", "new, changed, vanished (deleted in Refersion) or returned."),
    dg.TableColumn("status", "text", "Status from then on; for a vanished row, the last one seen."),
    dg.TableColumn("payment_status", "text", "Payment status from then on."),
    dg.TableColumn("total", "decimal(18,4)", "Order amount from then on, in `currency`."),
    dg.TableColumn("commission_total", "decimal(18,4)", "Commission from then on, in `currency`."),
    dg.TableColumn("currency", "text", "Currency of the row."),
    dg.TableColumn(
        "updated", "timestamptz", "When the change was made according to Refersion; NULL if it does not say."
    ),
    dg.TableColumn(
        "affiliate_id",
        "text",
        "Numeric id of the affiliate from then on; NULL if it was not recorded yet or the account does not offer it.",
    ),
    dg.TableColumn("payment_id", "text", "Payment that had paid it at that time; NULL if unpaid or not recorded yet."),
    dg.TableColumn(
        "seen_before",
        "timestamptz",
        "When the last reading that showed the previous state began; NULL for new conversions and if not known.",
    ),
]
STATE = ("status", "payment_status", "total", "commission_total", "currency")
AFFILIATE = "coalesce(c.affiliate_id, c.affiliate__id)"
PAYMENT = "coalesce(c.payment_id, c.payment__id)"

CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  id text NOT NULL, seen_at timestamp with time zone NOT NULL, change text NOT NULL, status text, payment_status text,
  total decimal(18, 4), commission_total decimal(18, 4), currency text, updated timestamp with time zone,
  affiliate_id text, payment_id text, seen_before timestamp with time zone
)
"""
# For histories created before these columns existed.
ADD_UPDATED = f"ALTER TABLE {DATASET}.{TABLE} ADD COLUMN updated timestamp with time zone"
ADD_AFFILIATE = f"ALTER TABLE {DATASET}.{TABLE} ADD COLUMN affiliate_id text"
ADD_PAYMENT = f"ALTER TABLE {DATASET}.{TABLE} ADD COLUMN payment_id text"
# The payment of each conversion, if its latest entry shows it paid. Earlier entries stay empty.
FILL_PAYMENT = f"""
UPDATE {DATASET}.{TABLE} AS h SET payment_id = {PAYMENT}
FROM {DATASET}.conversions AS c
WHERE c.id = h.id AND h.payment_status = 'PAID' AND c.payment_status = 'PAID'
  AND NOT EXISTS (SELECT 1 FROM {DATASET}.{TABLE} AS l WHERE l.id = h.id AND l.seen_at > h.seen_at)
"""  # noqa: S608 - names of ours
ADD_SEEN_BEFORE = f"ALTER TABLE {DATASET}.{TABLE} ADD COLUMN seen_before timestamp with time zone"
# Only the current affiliate of each conversion is known. Earlier entries stay empty.
FILL_AFFILIATE = f"""
UPDATE {DATASET}.{TABLE} AS h SET affiliate_id = {AFFILIATE}
FROM {DATASET}.conversions AS c
WHERE c.id = h.id
  AND NOT EXISTS (SELECT 1 FROM {DATASET}.{TABLE} AS l WHERE l.id = h.id AND l.seen_at > h.seen_at)
"""  # noqa: S608 - names of ours

# Rows that a complete read of their span no longer returned.
MARK_VANISHED = f"""
UPDATE {DATASET}.conversions SET vanished_at = $read_at
WHERE created >= $start AND created < $end AND read_at < $read_at AND vanished_at IS NULL
"""  # noqa: S608 - names of ours

ADD_CHANGES = f"""
INSERT INTO {DATASET}.{TABLE} (id, seen_at, change, {", ".join(STATE)}, updated, affiliate_id, payment_id)
WITH latest AS (
  SELECT h.*, row_number() OVER (PARTITION BY id ORDER BY seen_at DESC) AS age FROM {DATASET}.{TABLE} AS h
)
SELECT
  c.id,
  -- Two readings within one second of the server's clock still have an order.
  greatest(coalesce(c.vanished_at, c.read_at), h.seen_at + INTERVAL '1 microsecond'),
  CASE
    WHEN c.vanished_at IS NOT NULL THEN 'vanished'
    WHEN h.id IS NULL THEN 'new'
    WHEN h.change = 'vanished' THEN 'returned'
    ELSE 'changed'
  END,
  {", ".join(f"c.{name}" for name in STATE)},
  c.updated,
  -- An account that stops offering the affiliate takes nothing from what is known.
  coalesce({AFFILIATE}, h.affiliate_id),
  {PAYMENT}
FROM {DATASET}.conversions AS c
LEFT JOIN latest AS h ON h.id = c.id AND h.age = 1
WHERE h.id IS NULL
  OR (c.vanished_at IS NOT NULL) <> (h.change = 'vanished')
  OR (c.vanished_at IS NULL AND ({" OR ".join(f"c.{name} IS DISTINCT FROM h.{name}" for name in STATE)}))
  OR (c.vanished_at IS NULL AND {AFFILIATE} <> h.affiliate_id)
  OR (c.vanished_at IS NULL AND {PAYMENT} <> h.payment_id)
"""  # noqa: S608 - names of ours

# For the changes just added: the last read that covered the conversion and showed it unchanged. It may have covered
# only the last days, or a month that was read again.
FILL_SEEN_BEFORE = f"""
UPDATE {DATASET}.{TABLE} AS h
SET seen_before = f.seen_before
FROM (
  SELECT seen.id, seen.seen_at, greatest(seen.before, covered.read_at) AS seen_before
  FROM (
    SELECT n.id, n.seen_at, max(e.seen_at) AS before
    FROM {DATASET}.{TABLE} AS n
    JOIN {DATASET}.conversions AS c ON c.id = n.id
    JOIN {DATASET}.{TABLE} AS e ON e.id = n.id AND e.seen_at < n.seen_at
    WHERE n.seen_before IS NULL AND n.change <> 'new'
    GROUP BY n.id, n.seen_at
  ) AS seen
  -- By itself, as not every database joins rows that it keeps in any case by comparisons alone.
  LEFT JOIN (
    SELECT n.id, n.seen_at, max(r.read_at) AS read_at
    FROM {DATASET}.{TABLE} AS n
    JOIN {DATASET}.conversions AS c ON c.id = n.id
    JOIN {DATASET}.{READINGS} AS r
      ON r.read_from <= c.created AND r.read_to > c.created AND r.read_at < n.seen_at AND r.proven_by = 'read'
    WHERE n.seen_before IS NULL AND n.change <> 'new'
    GROUP BY n.id, n.seen_at
  ) AS covered ON covered.id = seen.id AND covered.seen_at = seen.seen_at
) AS f
WHERE h.id = f.id AND h.seen_at = f.seen_at
"""  # noqa: S608 - names of ours


def update_history(warehouse: Warehouse, spans: Sequence[ReadSpan]) -> int:
    """Marks rows that vanished from the spans just read and adds all changes to the history, in one transaction.

    Args:
        spans: spans of `created` that were read completely, and when.

    Returns the number of rows added.
    """
    with warehouse.session() as session:
        session.query(CREATE)
        _add_columns(session)
        create_readings(session)
        before = session.count(DATASET, TABLE)
        with session.transaction():
            for span in spans:
                session.query(MARK_VANISHED, read_at=span.read_at, start=span.start, end=span.end)
            session.query(ADD_CHANGES)
            # Before the current read is added.
            session.query(FILL_SEEN_BEFORE)
            for span in spans:
                add_reading(session, span)
        return session.count(DATASET, TABLE) - before


def _add_columns(session: Session) -> None:
    """Adds columns that a history of an earlier version lacks."""
    there = dict(session.columns(DATASET, TABLE))
    if "updated" not in there:
        session.query(ADD_UPDATED)
    if "affiliate_id" not in there:
        with session.transaction():
            session.query(ADD_AFFILIATE)
            session.query(FILL_AFFILIATE)
    if "payment_id" not in there:
        with session.transaction():
            session.query(ADD_PAYMENT)
            session.query(FILL_PAYMENT)
    if "seen_before" not in there:
        session.query(ADD_SEEN_BEFORE)
