"""The package's figures for an account: roll-forward, statements, the report's cards, and the current liability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

from refersion_dagster.report.commissions.figures import report_figures
from refersion_dagster.report.commissions.queries import find_summaries
from refersion_dagster.report.commissions.render import report_page
from refersion_dagster.report.statements.asset import READS, StatementsConfig, choose_request
from refersion_dagster.report.statements.bounds import BoundedStatement, bound_statements, find_unknown_currencies
from refersion_dagster.report.statements.errors import StatementsNotMade
from refersion_dagster.report.statements.figures import Statement, statements
from refersion_dagster.resources import Warehouse
from refersion_dagster.summaries.build import build
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.warehouse.session import Session
from refersion_dagster_tests.report.commissions.report_helpers import MADE
from refersion_dagster_tests.report.html_reader import read, text
from refersion_dagster_tests.summaries.builders import all_summaries, with_those_they_read

OWED = ("commission_roll_forward", "commission_liability", "commission_monthly", *READS)


class Figure(NamedTuple):
    """A figure as displayed: a fact, bounds, or nothing.

    Args:
        place: where it is shown, and what it describes.
        line: the kind of figure: closing, opening, paid, …
        currency, affiliate_id: whose figure it is; an affiliate_id of None means all affiliates.
        month: first day of the month in the time zone; None for now.
        values: one amount for a fact, two for bounds, none if it is not known.
    """

    place: str
    line: str
    currency: str
    affiliate_id: str | None
    month: date | None
    values: tuple[Decimal, ...]
    basis: str = ""


@dataclass(frozen=True)
class Shown:
    """All figures of one reading, in one time zone."""

    zone: str
    as_of: datetime
    figures: list[Figure] = field(default_factory=list)

    @property
    def running(self) -> date:
        """First day of the month of the reading."""
        return self.as_of.astimezone(ZoneInfo(self.zone)).date().replace(day=1)

    def bounds(self, month: date) -> tuple[int, int]:
        """The last second before a month and its own last one (now, if it has not ended), in Unix seconds."""
        begin, end = (
            int(datetime(day.year, day.month, 1, tzinfo=ZoneInfo(self.zone)).timestamp()) - 1
            for day in (month, (month + timedelta(days=32)).replace(day=1))
        )
        return begin, min(end, int(self.as_of.timestamp()))


def shown(warehouse: Warehouse, zone: str, *, report: bool) -> Shown:
    """Build what is needed, and read it.

    Args:
        report: whether to include the report's cards, which depend on nearly all summaries.
    """
    names = [*OWED, *(find_summaries({one.name for one in all_summaries()}) if report else ())]
    values = ReportSettings(report_timezone=zone).parameters()
    with warehouse.session() as session:
        for summary in with_those_they_read(names):
            build(session, summary, values)
        ((as_of,),) = session.query("SELECT as_of FROM refersion_summaries.data_as_of")
        found = Shown(zone, as_of.astimezone(UTC))
        found.figures.extend(roll_forward(session))
        found.figures.extend(of_affiliates(session))
        found.figures.extend(present(session))
        if report:
            found.figures.extend(cards(session))
    return found


def roll_forward(session: Session) -> Iterator[Figure]:
    bounds = ("closing_lowest", "closing_highest")
    lines = ("opening_due", "newly_due", "manual_credits", "paid", "reversed", "closing_due")
    names = ("currency", "month", "basis", *lines, *bounds)
    for row in session.query(f"SELECT {', '.join(names)} FROM refersion_summaries.commission_roll_forward"):
        of: dict[str, Any] = dict(zip(names, row, strict=True))

        def figure(line: str, *values: Decimal | None, of: dict[str, Any] = of) -> Figure:
            known = () if None in values else tuple(value for value in values if value is not None)
            return Figure("roll-forward", line, of["currency"], None, of["month"], known, of["basis"])

        yield from (figure(line.removesuffix("_due"), of[line]) for line in lines if line != "newly_due")
        yield figure("newly_due", of["newly_due"])
        yield figure("closing", of[bounds[0]], of[bounds[1]])


def of_affiliates(session: Session) -> Iterator[Figure]:
    """Statements of all months: facts, or bounds in currencies for which the month is not known."""
    months = session.query("SELECT DISTINCT month FROM refersion_summaries.commission_roll_forward ORDER BY month")
    for (month,) in months:
        try:
            issue = choose_request(session, StatementsConfig(month=f"{month:%Y-%m}"))
        except StatementsNotMade:
            continue
        unknown = find_unknown_currencies(session, issue.month)
        found = statements(session, issue.month)
        for one in found:
            if one.currency not in unknown:
                for line in ("opening", "closing", "paid"):
                    yield stated(one, line, month, getattr(one.lines, line))
        for one in bound_statements(session, issue.month, found, unknown):
            yield stated(one, "opening", month, *one.opening)
            yield stated(one, "closing", month, *one.closing)
            yield stated(one, "paid", month, one.paid)


def stated(one: Statement | BoundedStatement, line: str, month: date, *values: Decimal | None) -> Figure:
    known = tuple(value for value in values if value is not None)
    return Figure("statement", line, one.currency, one.affiliate_id, month, known)


def present(session: Session) -> Iterator[Figure]:
    now: Sequence[tuple[str, str]] = (
        ("due", "SELECT currency, sum(due) FROM refersion_summaries.commission_liability GROUP BY currency"),
        ("pending", "SELECT currency, sum(pending) FROM refersion_summaries.commission_liability GROUP BY currency"),
        (
            "paid",
            "SELECT currency, sum(commission) FROM refersion_summaries.conversions WHERE commission_state = 'paid' "
            "GROUP BY currency",
        ),
        (
            "sales",
            "SELECT currency, sum(total) FROM refersion_summaries.conversions "
            "WHERE conversion_kind = 'order' AND commission_state IN ('pending', 'due', 'paid') GROUP BY currency",
        ),
    )
    for line, sql in now:
        for currency, amount in session.query(sql):
            yield Figure("now", line, currency, None, None, () if amount is None else (amount,))
    by_affiliate = "SELECT affiliate_id, currency, due FROM refersion_summaries.commission_liability"
    for affiliate_id, currency, due in session.query(by_affiliate):
        yield Figure("now", "due", currency, affiliate_id, None, () if due is None else (due,))


CARDS = {"Due at the month’s end": "closing", "Commission paid": "paid", "Commission newly due": "newly_due"}


def cards(session: Session) -> Iterator[Figure]:
    """The cards of each currency, and the previous month if it is shown as a fact to compare with."""
    figures = report_figures(session)
    assert figures.period is not None
    page = read(report_page(figures, [], MADE))
    for section in page.iter("section"):
        if section.get("class") != "chapter":
            continue
        currency = text(section[0]).partition(" ")[0]
        for of in (one for one in section.iter("dl") if one.get("class") == "cards"):
            for card in of:
                line = CARDS.get(text(card[0]))
                if line:
                    yield Figure("card", line, currency, None, figures.period.month, amounts(card[1]))
                    if amounts(card[2]):
                        yield Figure("card", line, currency, None, figures.period.before, amounts(card[2]))


def amounts(element: Element) -> tuple[Decimal, ...]:
    return tuple(Decimal(data.get("value", "")) for data in element.iter("data"))
