"""Figures compared with the truth: each must equal it, be bounds that contain it, or be unknown.

A row that Refersion has deleted disappears from every figure, including those of earlier months, and here from the
truth too. A conversion counts in each month for its affiliate at that time. If a row changed more than once between two
readings, only the outcome is known: the movement is the outcome's, and commission and affiliate are those that were
read. The same holds before the first reading.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.event_log import CONVERSION, AccountEvent, EventLog
from refersion_dagster.sandbox.model import APPROVED
from refersion_dagster.sandbox.truth import Movements, TrueSums, Truth, movements, movements_by_affiliate
from refersion_dagster_tests.oracle.figures import Figure, Shown

NOTHING, UNMOVED = TrueSums(), Movements()
Moved = dict[str, Movements]
MovedOfEach = dict[tuple[int, str], Movements]


class Wrong(NamedTuple):
    place: str
    text: str


@dataclass
class Verdicts:
    """The outcome of comparing figures with the truth.

    Args:
        wrong: figures that are not true, each with the truth.
        count: number of figures by place, line and verdict: equal, within, or not known.
    """

    wrong: list[Wrong] = field(default_factory=list)
    count: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def wrong_in(self, place: str) -> list[str]:
        return [one.text for one in self.wrong if one.place == place]


class Judge:
    """Knows the truth about an account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._log = EventLog()
        self._truths: dict[tuple[EventLog, int], tuple[Truth, dict[str, TrueSums], dict[tuple[int, str], Decimal]]] = {}
        self._movements: dict[tuple[EventLog, int, int], tuple[Moved, MovedOfEach]] = {}

    def judge(self, found: Shown, readings: Sequence[int], only: Iterable[str] = ()) -> Verdicts:
        """Compare figures with the truth.

        Args:
            readings: when the account was read, in Unix seconds.
            only: the places to judge; all if empty.
        """
        verdicts, places = Verdicts(), set(only)
        self._log = self._account.get_log().without_deleted(int(found.as_of.timestamp()))
        restated, outcomes = as_read(self._log, readings), outcomes_of(self._log, readings)
        self._truths, self._movements = {}, {}
        for figure in found.figures:
            if places and figure.place not in places:
                continue
            true = self.truth_of(self._log, figure, found)
            verdict = compare(figure.values, true)
            for log in (restated, outcomes) if figure.month else ():
                if verdict == "wrong":
                    verdict = compare(figure.values, self.truth_of(log, figure, found))
            if verdict == "wrong" and figure.month and figure.line == "paid":
                verdict = compare(figure.values, self._payments(figure, found))
            if verdict == "wrong":
                text = f"{found.zone} as of {found.as_of:%Y-%m-%d %H:%M}: {told(figure)}; true: {true}"
                verdicts.wrong.append(Wrong(figure.place, text))
            verdicts.count[figure.place, figure.line, verdict] += 1
        if not places or "now" in places:
            verdicts.wrong += [Wrong("now", text) for text in self.left_out(found)]
        return verdicts

    def truth_of(self, log: EventLog, figure: Figure, found: Shown) -> Decimal:
        if figure.month is None:
            return self._at(log, int(found.as_of.timestamp()), figure.line, figure)
        before, end = found.bounds(figure.month)
        if figure.line == "opening":
            return self._at(log, before, "due", figure)
        if figure.line == "closing":
            return self._at(log, end, "due", figure)
        moved = self._moved(log, before, end, figure)
        return moved.paid - moved.taken_back if figure.line == "paid" else getattr(moved, LINES[figure.line])

    def left_out(self, found: Shown) -> list[str]:
        """Affiliates with commission due for whom no figure is shown."""
        said = {(one.affiliate_id, one.currency) for one in found.figures if one.place == "now" and one.affiliate_id}
        _, _, due = self._truth(self._log, int(found.as_of.timestamp()))
        return [
            f"{found.zone}: nothing is said of {affiliate_id}, to whom {amount} {currency} are due"
            for (affiliate_id, currency), amount in due.items()
            if amount and (str(affiliate_id), currency) not in said
        ]

    def _at(self, log: EventLog, moment: int, line: str, figure: Figure) -> Decimal:
        _, of_all, of_each = self._truth(log, moment)
        if figure.affiliate_id is None:
            return getattr(of_all.get(figure.currency, NOTHING), line)
        assert line == "due"
        return of_each.get((int(figure.affiliate_id), figure.currency), Decimal(0))

    def _moved(self, log: EventLog, before: int, end: int, figure: Figure) -> Movements:
        if (log, before, end) not in self._movements:
            found = movements(log, before, end), movements_by_affiliate(log, before, end)
            self._movements[log, before, end] = found
        of_all, of_each = self._movements[log, before, end]
        if figure.affiliate_id is None:
            return of_all.get(figure.currency, UNMOVED)
        return of_each.get((int(figure.affiliate_id), figure.currency), UNMOVED)

    def _payments(self, figure: Figure, found: Shown) -> Decimal:
        """The payments of the month, by their own dates. Payments undone since then are excluded, as their rows are."""
        assert figure.month is not None
        before, end = found.bounds(figure.month)
        payments = self._truth(self._log, int(found.as_of.timestamp()))[0].payments.values()
        return sum(
            (
                one.commission_total
                for one in payments
                if one.currency == figure.currency
                and before < one.created <= end
                and figure.affiliate_id in (None, str(one.affiliate_id))
            ),
            Decimal(0),
        )

    def _truth(self, log: EventLog, moment: int) -> tuple[Truth, dict[str, TrueSums], dict[tuple[int, str], Decimal]]:
        """The truth with its sums by currency, and the commission due by affiliate."""
        if (log, moment) not in self._truths:
            truth = Truth(log, moment)
            self._truths[log, moment] = truth, truth.by_currency(), truth.by_affiliate()
        return self._truths[log, moment]


LINES = {"newly_due": "newly_due", "manual_credits": "manual", "reversed": "reversed"}


def as_read(log: EventLog, readings: Sequence[int]) -> EventLog:
    """The events with the affiliate and the commission that the next reading found."""
    next_read = {(event.kind, event.id, bisect_left(readings, event.at)): event.after for event in log}
    shown: list[AccountEvent] = []
    states: dict[tuple[str, int], Any] = {}
    for event in log:
        key = (event.kind, event.id)
        after, read = event.after, next_read[(*key, bisect_left(readings, event.at))]
        if event.kind == CONVERSION and after and read:
            after = after._replace(affiliate_id=read.affiliate_id, commission_total=read.commission_total)
        if after != states.get(key):
            shown.append(event._replace(before=states.get(key), after=after))
            states[key] = after
    return EventLog(shown)


def outcomes_of(log: EventLog, readings: Sequence[int]) -> EventLog:
    """Merge the events of a row between two readings into one.

    It goes from the state before the first event to the state after the last, at the time of the first. Conversions
    stay paid if they are denied afterwards.
    """

    def known(event: AccountEvent, state: Any) -> Any:
        if event.kind != CONVERSION or state is None:
            return state
        status = APPROVED if state.is_paid else state.status
        return state._replace(status=status)

    found: dict[tuple[str, int, int], AccountEvent] = {}
    for event in log:
        key = (event.kind, event.id, bisect_left(readings, event.at))
        before = found[key].before if key in found else known(event, event.before)
        found[key] = event._replace(before=before, after=known(event, event.after))
    return EventLog(one for one in sorted(found.values(), key=lambda one: one.at) if one.before != one.after)


def compare(values: tuple[Decimal, ...], true: Decimal) -> str:
    if not values:
        return "not known"
    if len(values) == 1:
        return "equal" if values[0] == true else "wrong"
    return "within" if min(values) <= true <= max(values) else "wrong"


def told(figure: Figure) -> str:
    whose = f" of affiliate {figure.affiliate_id}" if figure.affiliate_id else ""
    when = f" of {figure.month:%Y-%m}" if figure.month else ""
    value = " to ".join(map(str, figure.values))
    basis = f" ({figure.basis})" if figure.basis else ""
    return f"{figure.place}: {figure.line}{whose}{when} is shown as {value} {figure.currency}{basis}"
