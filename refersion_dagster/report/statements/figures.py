"""The figures of a month's statements and their conversions, from the summaries.

Movements have the same meaning as in commission_roll_forward. Each of its lines is the sum of the statements' lines
(see `reconciliation.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from refersion_dagster.report.statements.effects import EFFECTS
from refersion_dagster.warehouse.session import Session

ROWS_AT_ONCE = 20_000


def by_affiliate(source: str, amounts: Sequence[str]) -> str:
    """Returns SQL that sums amounts by affiliate and currency.

    Args:
        source: a table with affiliate_id, currency and the amounts.
        amounts: columns with amounts.

    Returns:
        A SELECT of affiliate_id, affiliate_name, company, currency, place and the sums.
    """
    sums = ",\n  ".join(f"CAST(sum(x.{name}) AS DECIMAL(38, 4)) AS {name}" for name in amounts)
    return f"""
SELECT
  x.affiliate_id,
  max(coalesce(a.name, n.name)) AS affiliate_name,
  max(a.company) AS company,
  x.currency,
  k.place,
  {sums}
FROM {source} AS x
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = x.affiliate_id
LEFT JOIN (
  SELECT affiliate_id, max(affiliate_name) AS name FROM refersion_summaries.conversions GROUP BY affiliate_id
) AS n ON n.affiliate_id = x.affiliate_id
LEFT JOIN refersion_summaries.currencies AS k ON k.currency = x.currency
GROUP BY x.affiliate_id, x.currency, k.place
ORDER BY x.affiliate_id, k.place, x.currency
"""  # noqa: S608 - all parts are ours


BALANCES = f"""
WITH {EFFECTS},

all_of_it AS (
  SELECT affiliate_id, currency, opening, 0 AS earned, approved, adjustments, reversed, paid, closing FROM effects
  UNION ALL
  SELECT affiliate_id, currency, 0, earned, 0, 0, 0, 0, 0 FROM made
)
{by_affiliate("all_of_it", ("opening", "earned", "approved", "adjustments", "reversed", "paid", "closing"))}
"""  # noqa: S608 - all parts are ours

CONCERNED = f"""
WITH {EFFECTS},

moved AS (
  SELECT
    conversion_id,
    affiliate_id,
    currency,
    sum(approved) AS approved,
    sum(adjustments) AS adjustments,
    sum(reversed) AS reversed,
    sum(paid) AS paid
  FROM effects
  WHERE moved
  GROUP BY conversion_id, affiliate_id, currency
),

concerned AS (
  SELECT
    coalesce(m.affiliate_id, b.affiliate_id) AS affiliate_id,
    coalesce(m.currency, b.currency) AS currency,
    coalesce(m.conversion_id, b.conversion_id) AS conversion_id,
    coalesce(b.earned, 0) AS earned,
    coalesce(m.approved, 0) AS approved,
    coalesce(m.adjustments, 0) AS adjustments,
    coalesce(m.reversed, 0) AS reversed,
    coalesce(m.paid, 0) AS paid
  FROM moved AS m
  FULL JOIN made AS b
    ON b.conversion_id = m.conversion_id AND b.currency = m.currency AND b.affiliate_id = m.affiliate_id
)

SELECT
  x.affiliate_id,
  x.currency,
  x.conversion_id,
  c.order_id,
  c.booked_day,
  c.conversion_kind,
  c.commission_state,
  c.commission,
  CAST(x.earned AS DECIMAL(38, 4)) AS earned,
  CAST(x.approved AS DECIMAL(38, 4)) AS approved,
  CAST(x.adjustments AS DECIMAL(38, 4)) AS adjustments,
  CAST(x.reversed AS DECIMAL(38, 4)) AS reversed,
  CAST(x.paid AS DECIMAL(38, 4)) AS paid
FROM concerned AS x
JOIN refersion_summaries.conversions AS c ON c.conversion_id = x.conversion_id
LEFT JOIN refersion_summaries.currencies AS k ON k.currency = x.currency
WHERE $affiliate IS NULL OR x.affiliate_id = $affiliate
ORDER BY x.affiliate_id, k.place, x.currency, c.booked_at, x.conversion_id
"""  # noqa: S608

ROLL_FORWARD = """
SELECT r.currency, r.opening_due, r.newly_due, r.manual_credits, r.reversed, r.paid, r.closing_due
FROM refersion_summaries.commission_roll_forward AS r
LEFT JOIN refersion_summaries.currencies AS k ON k.currency = r.currency
WHERE r.month = $month
  AND r.opening_due IS NOT NULL AND r.newly_due IS NOT NULL AND r.paid IS NOT NULL AND r.closing_due IS NOT NULL
ORDER BY k.place, r.currency
"""


CurrencyOrder = tuple[bool, int, str]


def currency_order(currency: str, place: int | None) -> CurrencyOrder:
    """Returns the sort key that orders statements by currency.

    Args:
        place: place in summaries/currencies; None for a currency that no conversion has any more, which comes last.
    """
    return place is None, place or 0, currency


@dataclass(frozen=True)
class LastReading:
    """When Refersion was last read.

    Args:
        as_of: that moment, UTC.
        today: day of that moment in the reporting time zone.
        timezone: the reporting time zone.
    """

    as_of: datetime
    today: date
    timezone: str

    @property
    def month(self) -> date:
        """First day of the month of the reading, which had not ended."""
        return self.today.replace(day=1)


class Lines(NamedTuple):
    """The lines of a statement, or sums of lines, in one currency.

    Args:
        earned: commission of orders made in the month, pending or approved; not part of the balance.
        approved: amount that became due (newly_due of commission_roll_forward).
        adjustments: manual credits, less negative ones; plus due conversions that moved here from another affiliate,
            less those that moved away.
        reversed: amount that is no longer due without having been paid; positive amounts lower the balance.
        paid: positive amounts lower the balance.
    """

    opening: Decimal
    earned: Decimal
    approved: Decimal
    adjustments: Decimal
    reversed: Decimal
    paid: Decimal
    closing: Decimal

    @property
    def difference(self) -> Decimal:
        """Opening plus movements minus closing; has to be 0."""
        return self.opening + self.approved + self.adjustments - self.reversed - self.paid - self.closing


@dataclass(frozen=True)
class Statement:
    """The statement of one affiliate in one currency.

    Args:
        name: None if Refersion never returned it.
        place: place of the currency in every list; None for one that no conversion has any more, which comes last.
    """

    affiliate_id: str
    name: str | None
    company: str | None
    currency: str
    lines: Lines
    place: int | None = None

    @property
    def order(self) -> CurrencyOrder:
        return currency_order(self.currency, self.place)


class StatementConversion(NamedTuple):
    """A conversion that was made in the month, or changed the amount owed in it.

    Args:
        made_on: day in the reporting time zone.
        commission_state: state as of the last reading.
        commission: commission as of the last reading; the four movements are those of the month.
    """

    affiliate_id: str
    currency: str
    conversion_id: str
    order_id: str | None
    made_on: date
    conversion_kind: str
    commission_state: str
    commission: Decimal
    earned: Decimal
    approved: Decimal
    adjustments: Decimal
    reversed: Decimal
    paid: Decimal


def read_last_reading(session: Session) -> LastReading | None:
    """Returns the last reading; None before the first."""
    found = session.query("SELECT as_of, today, timezone FROM refersion_summaries.data_as_of")
    return LastReading(*found[0]) if found else None


def first_month(session: Session) -> date | None:
    """Returns the first day of the roll-forward's first month; None for an account without conversions."""
    return session.query("SELECT min(month) FROM refersion_summaries.commission_roll_forward")[0][0]


def statements(session: Session, month: date) -> list[Statement]:
    """Returns the statements of all affiliates with a balance or a conversion in the month, by affiliate and currency.

    Args:
        month: its first day.
    """
    return [
        Statement(affiliate_id, name, company, currency, Lines(*lines), place)
        for affiliate_id, name, company, currency, place, *lines in session.query(BALANCES, month=month)
    ]


def roll_forward(session: Session, month: date) -> dict[str, Lines]:
    """Returns the month in commission_roll_forward, by currency, for currencies in which it is known in full.

    The roll-forward has no earned commission, so `earned` is 0.
    """
    return {
        currency: Lines(opening, Decimal(0), approved, adjustments, reversed_, paid, closing)
        for currency, opening, approved, adjustments, reversed_, paid, closing in session.query(
            ROLL_FORWARD, month=month
        )
    }


def select_conversions(session: Session, month: date, affiliate: str | None = None) -> Iterator[StatementConversion]:
    """Yields the conversions of the month's statements, by affiliate, currency and time.

    They are read in chunks, so that memory does not grow with the account.

    Args:
        affiliate: its id; None for all.
    """
    for chunk in session.arrow(CONCERNED, ROWS_AT_ONCE, month=month, affiliate=affiliate):
        for row in zip(*(column.to_pylist() for column in chunk.columns), strict=True):
            yield StatementConversion(*row)
