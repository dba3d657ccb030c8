"""When which conversions were read: `refersion_data.conversion_readings`, kept forever.

A change of a conversion happened between the last read that showed the previous state and the first that shows the new
one. What was due at the end of a month is known only to that precision. The warehouse therefore keeps every read, with
the span of `created` that it covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.extract.stats import ReadSpan
from refersion_dagster.refersion.windows import Window
from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.session import Session

TABLE = "conversion_readings"
DESCRIPTION = """Every reading of conversions, kept forever: when it happened and which conversions it covered.

A reading of the last days is not a reading of older conversions. Months whose totals have not changed in Refersion \
since their conversions were read count as read again, in the currency of the totals; so do months whose counts by \
status have not changed."""
READ, TOTALS, COUNTS, EVERY = "read", "totals", "counts", "(all)"

COLUMNS = [
    dg.TableColumn("read_at", "timestamptz", "When the reading began, by Refersion's clock."),
    dg.TableColumn("read_from", "timestamptz", "Conversions created from this time on were read."),
    dg.TableColumn("read_to", "timestamptz", "Exclusive end of that range."),
    dg.TableColumn(
        "proven_by", "text", "read, or what has not changed since the last reading: totals, or counts by status."
    ),
    dg.TableColumn("currency", "text", "Currency of the conversions; (all) if they were read or counted."),
]
KEY = ("read_at", "read_from", "proven_by", "currency")

CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  read_at timestamp with time zone NOT NULL, read_from timestamp with time zone NOT NULL,
  read_to timestamp with time zone NOT NULL, proven_by text NOT NULL, currency text NOT NULL
)
"""
# A run may be retried within a second.
ADD = f"""
INSERT INTO {DATASET}.{TABLE} (read_at, read_from, read_to, proven_by, currency)
SELECT s.* FROM (SELECT
  CAST($read_at AS TIMESTAMPTZ) AS read_at, CAST($start AS TIMESTAMPTZ) AS read_from,
  CAST($end AS TIMESTAMPTZ) AS read_to, CAST($proven_by AS VARCHAR) AS proven_by, '{EVERY}' AS currency
) AS s
WHERE NOT EXISTS (
  SELECT 1 FROM {DATASET}.{TABLE} AS r
  WHERE r.read_at = s.read_at AND r.read_from = s.read_from AND r.proven_by = s.proven_by
)
"""  # noqa: S608 - names of ours

# Months whose totals are all the same as when the month was last read. They prove nothing about currencies other than
# that of the totals.
ADD_UNCHANGED = f"""
INSERT INTO {DATASET}.{TABLE} (read_at, read_from, read_to, proven_by, currency)
SELECT s.* FROM (
  SELECT
    min(t.read_at) AS read_at,
    t.period_from AS read_from,
    max(t.period_to) + INTERVAL '1' SECOND AS read_to,
    '{TOTALS}' AS proven_by,
    t.currency
  FROM {DATASET}.conversion_totals AS t
  LEFT JOIN {DATASET}._totals_when_read AS k
    ON k.period_from = t.period_from AND k.status = t.status AND k.payment_status = t.payment_status
    AND k.currency = t.currency
  WHERE t.granularity = 'month' AND t.currency IS NOT NULL
  GROUP BY t.period_from, t.currency
  HAVING count(*) = count(
    CASE
      WHEN t.conversions_count = k.conversions_count AND t.commission_total = k.commission_total
        AND t.order_total = k.order_total THEN 1
    END
  )
) AS s
WHERE NOT EXISTS (
  SELECT 1 FROM {DATASET}.{TABLE} AS r
  WHERE r.read_from = s.read_from AND r.read_at >= s.read_at AND r.read_to >= s.read_to
)
"""  # noqa: S608


def create_readings(session: Session) -> None:
    """Creates the table if it does not exist."""
    session.query(CREATE)


def add_reading(session: Session, span: ReadSpan) -> None:
    """Records that a span was read."""
    session.query(ADD, read_at=span.read_at, start=span.start, end=span.end, proven_by=READ)


def keep_counted_months(warehouse: Warehouse, counted: Sequence[Window], read_at: datetime) -> None:
    """Records the months whose counts by status have not changed since they were read."""
    with warehouse.session() as session, session.transaction():
        create_readings(session)
        for month in counted:
            session.query(ADD, read_at=read_at, start=month.start, end=month.end, proven_by=COUNTS)


def keep_unchanged_months(warehouse: Warehouse) -> None:
    """Records the months that are unchanged according to Refersion's totals; none if totals are not loaded."""
    with warehouse.session() as session:
        create_readings(session)
        if session.columns(DATASET, "conversion_totals") and session.columns(DATASET, "_totals_when_read"):
            session.query(ADD_UNCHANGED)
