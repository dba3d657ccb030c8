"""Late changes: conversions before the look-back that were approved, denied or paid since they were last read.

A refresh reads the look-back window again, and a slice of what is older (see rotation.py). The following show, without
reading the rest, that it changed:

- a payment was made or first seen after unpaid rows of its affiliate and currency were last read, and the conversions
  known to belong to it do not account for it. It may be backdated, so PAYMENTS_SEEN records when each payment was
  first seen;
- a payment was deleted after rows that name it were last read;
- Refersion's totals of a month differ from those known when the month was last read. These are stored in TABLE
  whenever whole months are read, so an interrupted run misses nothing;
- Refersion's counts of a month differ from the loaded rows (see counts.py). This is the only sign of changes in
  currencies that the totals leave out.

In each case the whole month is read again. After that, the sign is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.extract.stats import ReadSpan
from refersion_dagster.refersion.windows import Window, month_start, next_month
from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.session import Session, UndefinedTable

TABLE = "_totals_when_read"
PAYMENTS_SEEN = "_payments_seen"
SUMS = ("conversions_count", "commission_total", "order_total")

CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  period_from timestamp with time zone NOT NULL, status text NOT NULL, payment_status text NOT NULL,
  conversions_count bigint, commission_total decimal(18, 4), order_total decimal(18, 4), currency text
)
"""
# For totals stored before the column existed: they are in the account's own currency.
ADD_CURRENCY = f"ALTER TABLE {DATASET}.{TABLE} ADD COLUMN currency text"
FILL_CURRENCY = f"""
UPDATE {DATASET}.{TABLE} SET currency = (SELECT max(currency) FROM {DATASET}.conversion_totals)
"""  # noqa: S608 - names of ours
# Months inside a span, by their currently loaded totals.
WHOLE = "t.granularity = 'month' AND t.period_from >= $start AND t.period_to < $end"
FORGET = f"""
DELETE FROM {DATASET}.{TABLE}
WHERE period_from IN (SELECT t.period_from FROM {DATASET}.conversion_totals AS t WHERE {WHOLE})
"""  # noqa: S608 - names of ours
KEEP = f"""
INSERT INTO {DATASET}.{TABLE} (period_from, status, payment_status, currency, {", ".join(SUMS)})
SELECT t.period_from, t.status, t.payment_status, t.currency, {", ".join(f"t.{name}" for name in SUMS)}
FROM {DATASET}.conversion_totals AS t
WHERE {WHOLE}
"""  # noqa: S608
# For months that were never read completely since totals are stored, the first known totals are used.
KEEP_FIRST = f"""
INSERT INTO {DATASET}.{TABLE} (period_from, status, payment_status, currency, {", ".join(SUMS)})
SELECT t.period_from, t.status, t.payment_status, t.currency, {", ".join(f"t.{name}" for name in SUMS)}
FROM {DATASET}.conversion_totals AS t
WHERE t.granularity = 'month' AND NOT EXISTS (
  SELECT 1 FROM {DATASET}.{TABLE} AS k
  WHERE k.period_from = t.period_from AND k.status = t.status AND k.payment_status = t.payment_status
    AND k.currency = t.currency
)
"""  # noqa: S608

OTHER_TOTALS = f"""
SELECT date_trunc('month', t.period_from), count(*)
FROM {DATASET}.conversion_totals AS t
JOIN {DATASET}.{TABLE} AS k
  ON k.period_from = t.period_from AND k.status = t.status AND k.payment_status = t.payment_status
    AND k.currency = t.currency
WHERE t.granularity = 'month' AND t.period_from < $before
  AND ({" OR ".join(f"t.{name} IS DISTINCT FROM k.{name}" for name in SUMS)})
GROUP BY date_trunc('month', t.period_from)
"""  # noqa: S608

# Refersion removes the paid status from the rows of an undone payment.
UNDONE_PAYMENTS = f"""
SELECT date_trunc('month', c.created), max(p.id)
FROM {DATASET}.conversions AS c
JOIN {DATASET}.payments AS p ON p.id = coalesce(c.payment_id, c.payment__id)
WHERE c.created < $before AND c.vanished_at IS NULL AND p.vanished_at > c.read_at
GROUP BY date_trunc('month', c.created)
"""  # noqa: S608

CREATE_PAYMENTS_SEEN = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{PAYMENTS_SEEN} (id text NOT NULL, seen_at timestamp with time zone NOT NULL)
"""
SEE_PAYMENTS = f"""
INSERT INTO {DATASET}.{PAYMENTS_SEEN} (id, seen_at)
SELECT p.id, p.read_at FROM {DATASET}.payments AS p
WHERE p.id NOT IN (SELECT s.id FROM {DATASET}.{PAYMENTS_SEEN} AS s)
"""  # noqa: S608

# Conversions account for a payment if those that name it match its count and commission. Some accounts do not tell
# whom a payment paid: then it may belong to any affiliate of its currency.
UNACCOUNTED_PAYMENTS = f"""
WITH named AS (
  SELECT coalesce(payment_id, payment__id) AS id, count(*) AS conversions, sum(commission_total) AS commission
  FROM {DATASET}.conversions
  WHERE vanished_at IS NULL AND coalesce(payment_id, payment__id) IS NOT NULL
  GROUP BY coalesce(payment_id, payment__id)
),
latest AS (
  SELECT
    p.id, p.affiliate__id, p.currency, p.created, s.seen_at,
    row_number() OVER (
      PARTITION BY p.affiliate__id, p.currency ORDER BY greatest(p.created, s.seen_at) DESC, p.id
    ) AS place
  FROM {DATASET}.payments AS p
  JOIN {DATASET}.{PAYMENTS_SEEN} AS s ON s.id = p.id
  LEFT JOIN named AS n ON n.id = p.id
  WHERE p.vanished_at IS NULL
    AND (n.conversions IS DISTINCT FROM p.total_conversions OR n.commission IS DISTINCT FROM p.commission_total)
)
SELECT date_trunc('month', c.created), max(p.id)
FROM {DATASET}.conversions AS c
JOIN latest AS p
  ON p.currency = c.currency AND p.place = 1 AND (p.created >= c.read_at OR p.seen_at > c.read_at)
  AND (p.affiliate__id IS NULL OR p.affiliate__id = coalesce(c.affiliate_id, c.affiliate__id))
WHERE c.created < $before AND c.vanished_at IS NULL
  AND c.status IN ('APPROVED', 'PENDING') AND c.payment_status IS DISTINCT FROM 'PAID'
  AND coalesce(c.payment_id, c.payment__id) IS NULL AND c.payment__created IS NULL
GROUP BY date_trunc('month', c.created)
"""  # noqa: S608


@dataclass
class LateMonth:
    """A month before the look-back that must have changed, and the evidence."""

    start: datetime
    reasons: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.start:%Y-%m} ({', '.join(self.reasons)})"


def keep_totals(warehouse: Warehouse, spans: Sequence[ReadSpan]) -> None:
    """Stores the totals that were known before these spans of conversions were read, for the whole months in them."""
    with warehouse.session() as session:
        _create(session)
        if session.columns(DATASET, "conversion_totals"):
            with session.transaction():
                for span in spans:
                    session.query(FORGET, start=span.start, end=span.end)
                    session.query(KEEP, start=span.start, end=span.end)


def keep_first_totals(warehouse: Warehouse) -> None:
    """Stores the totals of months that have none stored yet."""
    with warehouse.session() as session:
        _create(session)
        if session.columns(DATASET, "conversion_totals"):
            session.query(KEEP_FIRST)


def late_months(
    warehouse: Warehouse, before: datetime, counts_differ: Mapping[Window, int] | None = None
) -> list[LateMonth]:
    """Months that begin before `before` and have to be read again, in order.

    Args:
        before: where the next look-back begins. Older rows have to be correct now.
        counts_differ: the number of counts per month that differ from the loaded rows.
    """
    found: dict[datetime, LateMonth] = {}

    def add(rows: Iterable[tuple[datetime, object]], reason: str) -> None:
        for start, detail in rows:
            month = start.astimezone(UTC)
            found.setdefault(month, LateMonth(month)).reasons.append(reason.format(detail))

    with warehouse.session() as session:
        _create(session)
        session.query(CREATE_PAYMENTS_SEEN)
        if session.columns(DATASET, "payments"):
            session.query(SEE_PAYMENTS)
        add(_rows(session, UNACCOUNTED_PAYMENTS, before), "payment {}")
        add(_rows(session, UNDONE_PAYMENTS, before), "payment {} was deleted")
        add(_rows(session, OTHER_TOTALS, before), "{} totals changed")
    differ = (counts_differ or {}).items()
    add(((month_start(period.start), number) for period, number in differ), "{} counts differ")
    keep_first_totals(warehouse)
    return [found[start] for start in sorted(found)]


def spans(months: Sequence[LateMonth], earliest: datetime, latest: datetime) -> list[Window]:
    """The months as spans to read, adjacent ones joined, limited to what was ever read."""
    joined: list[Window] = []
    for month in months:
        start, end = max(month.start, earliest), min(next_month(month.start), latest)
        if start >= end:
            continue
        if joined and joined[-1].end == start:
            joined[-1] = Window(joined[-1].start, end)
        else:
            joined.append(Window(start, end))
    return joined


def _create(session: Session) -> None:
    session.query(CREATE)
    if "currency" not in dict(session.columns(DATASET, TABLE)):
        with session.transaction():
            session.query(ADD_CURRENCY)
            if session.columns(DATASET, "conversion_totals"):
                session.query(FILL_CURRENCY)


def _rows(session: Session, sql: str, before: datetime) -> list[tuple[datetime, object]]:
    """The rows of a query. Empty if one of its tables was never loaded."""
    try:
        return [(start, detail) for start, detail in session.query(sql, before=before)]
    except UndefinedTable:
        return []
