"""The figures of the report, from the summaries: per currency, exact, and limited to what a page can show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from refersion_dagster.ingest.control_totals.hidden_tests import describe_unknown_tests
from refersion_dagster.refersion.tables.catalog import name_state
from refersion_dagster.report.commissions.proof import Coverage
from refersion_dagster.report.commissions.queries import rows
from refersion_dagster.summaries.knowledge import describe_gaps, is_lacking, load_gaps
from refersion_dagster.warehouse.session import Session

# Maximum number of currencies shown in full, and of those that only have a row in a table.
MOST_CURRENCIES, MOST_LISTED = 6, 100
# Maximum number of affiliates and of findings in each table.
MOST = 10
# Months in the charts, and months over which orders are followed.
CHARTED, FOLLOWED = 24, 12
ZERO = Decimal(0)


@dataclass(frozen=True)
class ReadingTime:
    """When the account was last read, in UTC, and the day of that reading in the reporting time zone."""

    as_of: datetime
    today: date
    timezone: str


@dataclass(frozen=True)
class Period:
    """First days of the last month that had ended when the account was last read, and of the month before."""

    month: date
    before: date


@dataclass(frozen=True)
class Month:
    """A row of commission_monthly. As in all classes here, None means not known on this account."""

    currency: str
    month: date
    is_complete: bool
    affiliates: int | None
    new_affiliates: int | None
    orders: int | None
    sales: Decimal | None
    net_sales: Decimal | None
    aov: Decimal | None
    commission: Decimal | None


@dataclass(frozen=True)
class RollForward:
    """A row of commission_roll_forward; None means not known."""

    currency: str
    month: date
    opening_due: Decimal | None
    newly_due: Decimal | None
    manual_credits: Decimal | None
    paid: Decimal | None
    reversed: Decimal | None
    closing_due: Decimal | None
    closing_lowest: Decimal | None
    closing_highest: Decimal | None
    difference: Decimal | None
    basis: str


@dataclass(frozen=True)
class AffiliateFigures:
    """One of the top affiliates by sales in the period; `due` is the current amount.

    Args:
        all_sales, all_sales_before: sales of all affiliates; a purchase counts for each affiliate credited with it.
    """

    currency: str
    affiliate_id: str
    name: str | None
    sales: Decimal | None
    sales_before: Decimal | None
    all_sales: Decimal | None
    all_sales_before: Decimal | None
    commission: Decimal | None
    due: Decimal | None


@dataclass(frozen=True)
class Liability:
    """The current liability: commission due by days since approval, and the number of affiliates in each age group.

    Args:
        credits_not_set_off: amount that lowers it, 0 or less, not included in the age groups.
        blocked: part that cannot be paid now.
        not_known: part that may or may not be payable, because the affiliate's payment method is not known.
        negative: sum of negative balances, below 0.
    """

    currency: str
    affiliates: int
    due: Decimal | None
    due_0_30_days: Decimal | None
    due_31_60_days: Decimal | None
    due_61_90_days: Decimal | None
    due_over_90_days: Decimal | None
    credits_not_set_off: Decimal | None
    affiliates_0_30: int
    affiliates_31_60: int
    affiliates_61_90: int
    affiliates_over_90: int
    affiliates_credits: int
    blocked: Decimal | None
    affiliates_blocked: int
    not_known: Decimal | None
    affiliates_not_known: int
    negative: Decimal | None
    affiliates_negative: int
    pending: Decimal | None
    accrued: Decimal | None
    accrued_if_all_approved: Decimal | None


@dataclass(frozen=True)
class Creditor:
    """One of the affiliates with the highest amount due now."""

    currency: str
    affiliate_id: str
    name: str | None
    due: Decimal | None
    due_over_90_days: Decimal | None
    oldest_unpaid_days: int | None
    block_reason: str | None


@dataclass(frozen=True)
class State:
    """Conversions of orders by current state: pending, due, paid, denied, unqualified or unknown."""

    currency: str
    commission_state: str
    conversions: int
    commission: Decimal | None


@dataclass(frozen=True)
class ExceptionCounts:
    """Totals of the findings of one kind."""

    currency: str
    kind: str
    findings: int
    conversions: int
    at_stake: Decimal | None
    unpaid: Decimal | None


@dataclass(frozen=True)
class ExceptionRow:
    """One of the findings with the highest commission that can still be stopped."""

    currency: str
    kind: str
    affiliate_id: str
    name: str | None
    order_id: str | None
    unpaid: Decimal | None
    evidence: str


@dataclass(frozen=True)
class ControlTotal:
    """Refersion's totals and the loaded ones, for months with the same status, payment status and verdict."""

    status: str
    payment_status: str
    verdict: str
    months: int
    from_month: date
    to_month: date
    refersion_count: int | None
    loaded_count: int | None
    refersion_commission: Decimal | None
    loaded_commission: Decimal | None
    refersion_order_total: Decimal | None
    loaded_order_total: Decimal | None
    totals_currency: str | None
    interpretation: str | None
    totals_read_at: datetime | None
    remark: str | None


@dataclass(frozen=True)
class CurrencySection:
    """Everything that is shown for one currency.

    Args:
        months: at most CHARTED complete months and the current one, in order.
        now, before: the months of the period; None if the currency had no conversion by then.
    """

    currency: str
    months: list[Month]
    now: Month | None
    before: Month | None
    roll_forward: list[RollForward]
    affiliates: list[AffiliateFigures]
    owed: Liability | None
    creditors: list[Creditor]
    states: list[State]
    exceptions: list[ExceptionCounts]
    findings: list[ExceptionRow]

    def get_roll_forward(self, month: date) -> RollForward | None:
        """Returns the roll-forward of a month; None if there is none."""
        return next((row for row in self.roll_forward if row.month == month), None)


@dataclass(frozen=True)
class Figures:
    """The figures of the report.

    Args:
        as_of, period: None if the account was never read.
        followed_since: first day of the first month whose orders are followed.
        currencies: currencies shown in full: the account's own, then those with the most conversions.
        others: currencies that only have a row in a table.
        not_shown: number of currencies that are not shown.
        lacking: description of tables and fields that the account does not offer.
        tests_left_out: whether test conversions can be identified and are therefore excluded from all figures.
        tests_not_known: otherwise, what is not known about them, if Refersion's totals were queried.
    """

    as_of: ReadingTime | None
    period: Period | None
    followed_since: date | None
    currencies: list[CurrencySection]
    others: list[CurrencySection]
    not_shown: int
    control_totals: list[ControlTotal]
    coverage: list[Coverage] = field(default_factory=list)
    lacking: str = ""
    tests_left_out: bool = True
    tests_not_known: str | None = None


def months_before(month: date, number: int) -> date:
    """Returns the first day of the month `number` months earlier."""
    years, months = divmod(month.year * 12 + month.month - 1 - number, 12)
    return date(years, months + 1, 1)


def report_figures(session: Session) -> Figures:
    """Reads the figures. Raises UndefinedTable if a summary was never built."""
    as_of = next(iter(rows(session, "as_of", ReadingTime)), None)
    control_totals = rows(session, "control_totals", ControlTotal)
    coverage = rows(session, "proof_coverage", Coverage)
    gaps = load_gaps(session)
    lacking = describe_gaps(gaps)
    tests_left_out = not is_lacking(gaps, "conversions", "is_test_conversion")
    unknown = None if tests_left_out else describe_unknown_tests(session)
    if as_of is None:
        return Figures(None, None, None, [], [], 0, control_totals, coverage, lacking, tests_left_out, unknown)
    month = months_before(as_of.today.replace(day=1), 1)
    period = Period(month, months_before(month, 1))
    since, followed = months_before(month, CHARTED - 1), months_before(month, FOLLOWED - 1)
    known = rows(session, "currencies", _Currency)
    in_full, listed = known[:MOST_CURRENCIES], known[MOST_CURRENCIES : MOST_CURRENCIES + MOST_LISTED]
    months = _by_currency(rows(session, "months", Month, since=since))
    roll_forward = _by_currency(rows(session, "roll_forward", RollForward, since=since))
    affiliates = _by_currency(
        rows(session, "top_affiliates", AffiliateFigures, month=period.month, before=period.before, most=MOST)
    )
    owed = {row.currency: row for row in rows(session, "owed", Liability)}
    creditors = _by_currency(rows(session, "creditors", Creditor, most=MOST))
    # Shares of all orders are not known if denied ones are not shown.
    all_states = not is_lacking(gaps, "conversions", name_state("DENIED"))
    states = _by_currency(rows(session, "funnel", State, since=followed, month=month) if all_states else [])
    exceptions = _by_currency(rows(session, "exceptions", ExceptionCounts))
    findings = _by_currency(rows(session, "findings", ExceptionRow, most=MOST))
    found = [
        CurrencySection(
            name,
            months[name],
            next((row for row in months[name] if row.month == period.month), None),
            next((row for row in months[name] if row.month == period.before), None),
            roll_forward[name],
            affiliates[name],
            owed.get(name),
            creditors[name],
            states[name],
            exceptions[name],
            findings[name],
        )
        for name in (*_sort_currencies(in_full), *_sort_currencies(listed))
    ]
    return Figures(
        as_of,
        period,
        followed,
        found[:MOST_CURRENCIES],
        found[MOST_CURRENCIES:],
        len(known) - len(in_full) - len(listed),
        control_totals,
        coverage,
        lacking,
        tests_left_out,
        unknown,
    )


@dataclass(frozen=True)
class _Currency:
    currency: str
    conversions: int | None
    place: int


def _sort_currencies(currencies: Iterable[_Currency]) -> list[str]:
    return [one.currency for one in sorted(currencies, key=lambda one: one.place)]


class _HasCurrency(Protocol):
    @property
    def currency(self) -> str: ...


OfOne = TypeVar("OfOne", bound=_HasCurrency)


def _by_currency(found: Iterable[OfOne]) -> defaultdict[str, list[OfOne]]:
    of: defaultdict[str, list[OfOne]] = defaultdict(list)
    for row in found:
        of[row.currency].append(row)
    return of
