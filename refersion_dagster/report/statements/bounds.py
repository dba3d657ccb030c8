"""Statements of a month that is not known in full: lower and upper bounds of balances, by affiliate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from refersion_dagster.report.statements.figures import (
    CurrencyOrder,
    Statement,
    StatementConversion,
    by_affiliate,
    currency_order,
)
from refersion_dagster.report.statements.reconciliation import Difference
from refersion_dagster.warehouse.session import Session

# In the current month the closing is what is due now, which is known.
STRETCHES = """
now AS (
  SELECT max(CAST(date_trunc('month', today) AS DATE)) AS month
  FROM refersion_summaries.data_as_of
),

stretches AS (
  SELECT
    b.conversion_id,
    b.affiliate_id,
    b.currency,
    CASE
      WHEN b.from_month < $month AND (b.until_month IS NULL OR b.until_month >= $month) THEN 1
      ELSE 0
    END AS at_begin,
    CASE
      WHEN b.from_month <= $month AND (b.until_month IS NULL OR b.until_month > $month) AND $month < n.month THEN 1
      ELSE 0
    END AS at_end,
    b.lowest,
    b.highest,
    b.lowest_of_all,
    b.highest_of_all
  FROM refersion_summaries.due_bounds AS b
  CROSS JOIN now AS n
)
"""

# An amount that is known for all affiliates together may not be known for each.
NOT_KNOWN = f"""
WITH {STRETCHES}

SELECT currency, CASE WHEN closing_due IS NULL THEN basis ELSE 'what was due when it began is not known' END
FROM refersion_summaries.commission_roll_forward
WHERE month = $month
  AND (opening_due IS NULL OR newly_due IS NULL OR paid IS NULL OR closing_due IS NULL)
UNION ALL
SELECT r.currency, 'when conversions moved from one affiliate to another is not known'
FROM refersion_summaries.commission_roll_forward AS r
WHERE r.month = $month
  AND r.opening_due IS NOT NULL AND r.newly_due IS NOT NULL AND r.paid IS NOT NULL AND r.closing_due IS NOT NULL
  AND EXISTS (
    SELECT 1 FROM stretches AS s
    WHERE s.currency = r.currency AND (s.at_begin = 1 OR s.at_end = 1) AND s.lowest <> s.highest
  )
ORDER BY 1
"""  # noqa: S608 - all parts are ours

BALANCES = f"""
WITH {STRETCHES},

balances AS (
  SELECT
    affiliate_id,
    currency,
    at_begin * lowest AS opening_lowest,
    at_begin * highest AS opening_highest,
    at_end * lowest AS closing_lowest,
    at_end * highest AS closing_highest
  FROM stretches
  WHERE at_begin = 1 OR at_end = 1
  UNION ALL
  SELECT c.affiliate_id, c.currency, 0, 0, c.commission, c.commission
  FROM refersion_summaries.conversions AS c
  CROSS JOIN now AS n
  WHERE c.commission_state = 'due' AND n.month = $month
)
{by_affiliate("balances", ("opening_lowest", "opening_highest", "closing_lowest", "closing_highest"))}
"""  # noqa: S608 - all parts are ours

# If a conversion moved between two affiliates at an unknown time, either may have had all of it. For all other
# conversions, the bounds have to equal those of the roll-forward.
ROLLED = f"""
WITH {STRETCHES},

moved AS (
  SELECT currency, sum(lowest_of_all - lowest) AS lowest, sum(highest - highest_of_all) AS highest
  FROM stretches
  WHERE at_end = 1
    AND conversion_id IN (
      SELECT conversion_id FROM refersion_summaries.conversion_states WHERE affiliate_id <> affiliate_before
    )
  GROUP BY currency
)

SELECT
  r.currency,
  r.paid,
  CAST(r.closing_lowest - coalesce(m.lowest, 0) AS DECIMAL(38, 4)),
  CAST(r.closing_highest + coalesce(m.highest, 0) AS DECIMAL(38, 4))
FROM refersion_summaries.commission_roll_forward AS r
LEFT JOIN moved AS m ON m.currency = r.currency
WHERE r.month = $month
"""  # noqa: S608 - all parts are ours


class Bounds(NamedTuple):
    """The lower and upper bound of an amount. If they are equal, the amount is known."""

    lowest: Decimal
    highest: Decimal

    @property
    def is_known(self) -> bool:
        return self.lowest == self.highest


# Opening and closing without a balance.
NOTHING = (Bounds(Decimal(0), Decimal(0)), Bounds(Decimal(0), Decimal(0)))


@dataclass(frozen=True)
class BoundedStatement:
    """The statement of one affiliate in one currency, for a month that is not known in full.

    The amounts approved, adjusted and reversed in the month are not known.

    Args:
        name: None if Refersion never returned it.
        reason: why the month is not known.
        earned: commission of orders made in the month, pending or approved.
        paid: None if the month in which some conversions were paid is not known.
        place: as in Statement.
    """

    affiliate_id: str
    name: str | None
    company: str | None
    currency: str
    reason: str
    opening: Bounds
    earned: Decimal
    paid: Decimal | None
    closing: Bounds
    place: int | None = None

    @property
    def order(self) -> CurrencyOrder:
        return currency_order(self.currency, self.place)


def find_unknown_currencies(session: Session, month: date) -> dict[str, str]:
    """Returns the currencies in which the month is not known in full, with the reason."""
    return dict(session.query(NOT_KNOWN, month=month))


def rolled_bounds(session: Session, month: date) -> dict[str, tuple[Decimal | None, Bounds]]:
    """Returns the amount paid in the month and the bounds of the closing, from commission_roll_forward.

    The bounds are those of all affiliates together, wider if conversions moved between them at an unknown time.
    """
    found = session.query(ROLLED, month=month)
    return {currency: (paid, Bounds(lowest, highest)) for currency, paid, lowest, highest in found}


def bound_statements(
    session: Session, month: date, found: Iterable[Statement], unknown: Mapping[str, str]
) -> list[BoundedStatement]:
    """Returns the statements in currencies in which the month is not known, by affiliate and currency.

    Args:
        found: the statements of the month, calculated as if conversions had been approved at the latest possible time.
        unknown: reason by currency.
    """
    balances = {
        (affiliate_id, currency): (name, company, place, Bounds(*amounts[:2]), Bounds(*amounts[2:]))
        for affiliate_id, name, company, currency, place, *amounts in session.query(BALANCES, month=month)
        if currency in unknown
    }
    lines = {(one.affiliate_id, one.currency): one for one in found if one.currency in unknown}
    rolled = rolled_bounds(session, month)
    made = []
    for affiliate_id, currency in sorted({*balances, *lines}):
        one = lines.get((affiliate_id, currency))
        name, company, place, opening, closing = balances.get(
            (affiliate_id, currency), (one and one.name, one and one.company, one and one.place, *NOTHING)
        )
        earned, paid = (one.lines.earned, one.lines.paid) if one else (Decimal(0), Decimal(0))
        if rolled[currency][0] is None:
            paid = None
        made.append(
            BoundedStatement(
                affiliate_id, name, company, currency, unknown[currency], opening, earned, paid, closing, place
            )
        )
    return made


def from_bounds(
    bounded_: Iterable[BoundedStatement], rolled: Mapping[str, tuple[Decimal | None, Bounds]]
) -> Iterator[Difference]:
    """Yields differences between the sums of bounded statements and the known amounts of commission_roll_forward."""
    of: dict[str, list[BoundedStatement]] = {}
    for one in bounded_:
        of.setdefault(one.currency, []).append(one)
    for currency, own in sorted(of.items()):
        paid, closing = rolled[currency]
        pairs = [
            ("lowest closing", sum((one.closing.lowest for one in own), Decimal(0)), closing.lowest),
            ("highest closing", sum((one.closing.highest for one in own), Decimal(0)), closing.highest),
        ]
        if paid is not None:
            pairs.append(("paid", sum((one.paid or Decimal(0) for one in own), Decimal(0)), paid))
        for line, stated, expected in pairs:
            if stated != expected:
                yield Difference(f"all statements in {currency}", line, stated, expected)


def select_known(
    rows: Iterable[StatementConversion], month: date, partly: Iterable[BoundedStatement]
) -> Iterator[StatementConversion]:
    """Yields the conversions, except those that belong to the month only by an unknown date."""
    paid = {one.currency: one.paid is not None for one in partly}
    for row in rows:
        is_known = row.currency not in paid
        if is_known or row.made_on.replace(day=1) == month or (paid[row.currency] and row.paid):
            yield row
