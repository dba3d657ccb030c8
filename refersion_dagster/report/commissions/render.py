"""Renders the report as HTML from figures and checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from refersion_dagster.charts import NARROW, Line, line_chart
from refersion_dagster.report.checks import CheckState, group_checks
from refersion_dagster.report.commissions.figures import (
    FOLLOWED,
    ZERO,
    CurrencySection,
    Figures,
    Month,
    Period,
    RollForward,
)
from refersion_dagster.report.money import money
from refersion_dagster.report.page import month, percent, render

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATE = "commissions/report.html.j2"
# Number of complete months in the roll-forward table.
MONTHS_MOVED = 6
# Maximum number of checks that are named in a group.
CHECKS_NAMED = 12
# Maximum number of currencies whose proof coverage is in the first line.
MOST_PROOFS = 6


@dataclass(frozen=True)
class Origin:
    """The origin of a report: package version, Dagster run, and time in any time zone."""

    version: str
    run_id: str
    at: datetime


@dataclass(frozen=True)
class Share:
    """A row of a table with a bar: name, number, amount, and the share of the whole that the bar shows.

    Args:
        part: whether it is part of the row above.
    """

    name: str
    number: int
    amount: Decimal | None
    share: Decimal | None
    part: bool = False


def report_page(figures: Figures, checks: Sequence[CheckState], made: Origin) -> str:
    """Renders the report as one self-contained HTML page."""
    as_of = figures.as_of
    zone = ZoneInfo(as_of.timezone) if as_of else made.at.tzinfo
    return render(
        TEMPLATE,
        figures=figures,
        as_of=as_of.as_of.astimezone(zone) if as_of else None,
        period=figures.period,
        zone=zone,
        made=made,
        checks=checks,
        groups=group_checks(checks),
        not_passed=sum(check.verdict != "passed" for check in checks),
        failed=sum(check.verdict == "failed" for check in checks),
        checks_named=CHECKS_NAMED,
        most_proofs=MOST_PROOFS,
        followed=FOLLOWED,
        change=change,
        signed=signed,
        charts=charts,
        list_roll_forwards=list_roll_forwards,
        ages=ages,
        funnel=funnel,
        approval_rate=approval_rate,
        quality_rate=quality_rate,
        sum_shared_orders=sum_shared_orders,
        sum_others=sum_others,
        share=share,
    )


def change(now: Decimal | int | None, before: Decimal | int | None) -> Decimal | None:
    """Returns the relative change as a fraction; None if the previous value was not above 0."""
    if now is None or before is None or before <= 0:
        return None
    return (Decimal(now) - Decimal(before)) / Decimal(before)


def signed(value: Decimal) -> str:
    """Formats a fraction with its sign: +12.3%."""
    text = percent(value)
    return text if text.startswith("-") or text == "0.0%" else f"+{text}"


def charts(of: CurrencySection, name: str) -> list[Markup]:
    """Draws charts of sales, commission, orders and due commission by month.

    Returns no charts before the first month has ended, and no chart of due commission if it is not known for any month.

    Args:
        name: prefix of the charts' ids, unique for each currency of the page.
    """
    over = [row for row in of.months if row.is_complete]
    if not over:
        return []
    closings = {row.month: row.closing_due for row in of.roll_forward}
    short = _shorten(of.currency)
    orders = [None if row.orders is None else Decimal(row.orders) for row in over]
    due = [closings.get(row.month) for row in over]
    drawn = [
        _chart(f"Sales by month, {short}", [row.sales for row in over], over, f"{name}-sales", of.currency),
        _chart(f"Commission by month, {short}", [row.commission for row in over], over, f"{name}-earned", of.currency),
        _chart(f"Orders by month, {short}", orders, over, f"{name}-orders", None),
    ]
    if any(value is not None for value in due):
        drawn.append(_chart(f"Commission due at the month’s end, {short}", due, over, f"{name}-due", of.currency))
    return drawn


def _chart(
    title: str, values: Sequence[Decimal | None], months: Sequence[Month], name: str, currency: str | None
) -> Markup:
    """Draws a line over the months. Without a currency, the values are numbers instead of amounts."""
    from markupsafe import Markup

    found = [(value, row.month) for value, row in zip(values, months, strict=True) if value is not None]
    told = f"{month(months[0].month)} to {month(months[-1].month)}. "
    if found:
        ends = {"Lowest": min(found), "highest": max(found), "last": found[-1]}
        words = [
            f"{which} {money(value, currency) if currency else f'{value:,}'} in {month(when)}"
            for which, (value, when) in ends.items()
        ]
        told += f"{', '.join(words)}."
    labels = [f"{row.month:%b %Y}" for row in months]
    # Floating point is only for pixels; the table beside the chart has the exact figures.
    line = Line(title, [None if value is None else float(value) for value in values])
    return Markup(line_chart(title, told, labels, [line], name, NARROW))  # noqa: S704 - SVG generated from escaped texts


def _shorten(text: str) -> str:
    return text if len(text) <= 12 else f"{text[:11]}…"


def list_roll_forwards(of: CurrencySection) -> list[RollForward]:
    """Returns the newest months of the roll-forward, including the current one."""
    return of.roll_forward[-(MONTHS_MOVED + 1) :]


def ages(of: CurrencySection) -> list[Share]:
    """Returns what is due by days since approval. The bars are shares of the sum without negative amounts."""
    owed = of.owed
    if owed is None:
        return []
    lines = [
        ("0 to 30 days", owed.affiliates_0_30, owed.due_0_30_days),
        ("31 to 60 days", owed.affiliates_31_60, owed.due_31_60_days),
        ("61 to 90 days", owed.affiliates_61_90, owed.due_61_90_days),
        ("Over 90 days", owed.affiliates_over_90, owed.due_over_90_days),
    ]
    if owed.credits_not_set_off:
        lines.append(("Credits not set off yet", owed.affiliates_credits, owed.credits_not_set_off))
    known = [max(amount, ZERO) for _, _, amount in lines if amount is not None]
    whole = sum(known, ZERO) if len(known) == len(lines) else None
    return [
        Share(name, number, amount, max(amount, ZERO) / whole if whole and amount is not None else None)
        for name, number, amount in lines
    ]


def funnel(of: CurrencySection) -> list[Share]:
    """Returns orders by status, from all to approved to paid, with shares of all orders."""
    number = {state.commission_state: state.conversions for state in of.states}
    amount = {state.commission_state: state.commission for state in of.states}

    def line(name: str, *states: str, part: bool = False) -> Share:
        conversions = sum(number.get(state, 0) for state in states)
        commission = sum_if_known(amount.get(state, ZERO) for state in states)
        return Share(name, conversions, commission, Decimal(conversions) / made if made else None, part)

    made = sum(number.values())
    lines = [
        line("All orders", *number),
        line("Approved", "due", "paid"),
        line("of which paid", "paid", part=True),
        line("Pending", "pending"),
        line("Denied", "denied"),
        line("Unqualified", "unqualified"),
    ]
    unknown = line("Unknown status", "unknown")
    return lines + [unknown] * bool(unknown.number) if made else []


def approval_rate(of: CurrencySection) -> Decimal | None:
    """Returns approved divided by approved and denied conversions of orders; None before any was decided."""
    return _approved(of, "denied")


def quality_rate(of: CurrencySection) -> Decimal | None:
    """Returns approved divided by approved, denied and unqualified conversions of orders; None if there are none."""
    return _approved(of, "denied", "unqualified")


def _approved(of: CurrencySection, *rejections: str) -> Decimal | None:
    number = {state.commission_state: state.conversions for state in of.states}
    approved, rejected = (sum(number.get(state, 0) for state in states) for states in (("due", "paid"), rejections))
    return Decimal(approved) / (approved + rejected) if approved + rejected else None


def sum_shared_orders(of: CurrencySection) -> tuple[Decimal | None, Decimal | None]:
    """Returns the difference, 0 or less, for purchases that count for several affiliates: in the period, and before."""
    if not of.affiliates:
        return ZERO, ZERO
    first = of.affiliates[0]
    return (
        difference(of.now.sales if of.now else ZERO, first.all_sales),
        difference(of.before.sales if of.before else ZERO, first.all_sales_before),
    )


def sum_others(
    of: CurrencySection, period: Period
) -> tuple[int | None, Decimal | None, Decimal | None, Decimal | None]:
    """Returns totals of the affiliates that are not named: number, sales, sales before, commission."""
    named, now = of.affiliates, of.now
    affiliates = now.affiliates if now else 0
    return (
        None if affiliates is None else affiliates - len(named),
        difference(named[0].all_sales if named else ZERO, sum_if_known(row.sales for row in named)),
        difference(named[0].all_sales_before if named else ZERO, sum_if_known(row.sales_before for row in named)),
        difference(now.commission if now else ZERO, sum_if_known(row.commission for row in named)),
    )


def sum_if_known(values: Iterable[Decimal | None]) -> Decimal | None:
    """Returns the sum; None if a value is not known."""
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known, ZERO) if len(known) == len(found) else None


def difference(value: Decimal | None, other: Decimal | None) -> Decimal | None:
    """Returns `value` minus `other`; None if one is not known."""
    return None if value is None or other is None else value - other


def share(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    """Returns a fraction; None if the whole is 0 or one of them is not known."""
    return part / whole if part is not None and whole else None
