"""Lives of conversions made at random: what happened to each and when, what readings of the account show of it, and
what was due at any moment.

Nothing here looks at the summaries' SQL, so that a mistake there cannot be made here again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from refersion_dagster_tests.summaries.builders import READ_AT, Row

TYPES = {
    "order": "AFFILIATE_SITE_CONVERSION",
    "cancellation": "CANCELLATION_AFFILIATE_SITE_CONVERSION",
    "manual credit": "MANUAL_CREDIT_BY_CLIENT",
}
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Kiritimati")


@dataclass(frozen=True)
class State:
    """What a conversion is from `since` on.

    Args:
        seen_at: the reading that showed it first.
        dated: when it can be known to have begun; `since`, or the reading where the account tells no times of changes.
    """

    since: datetime
    seen_at: datetime
    dated: datetime
    status: str
    is_paid: bool
    commission: Decimal
    affiliate_id: str

    @property
    def due(self) -> Decimal | None:
        """Commission due, None where none is."""
        return self.commission if self.status == "APPROVED" and not self.is_paid else None


@dataclass(frozen=True)
class Life:
    """One conversion and its states, in order.

    Args:
        tells: whether the account says when rows changed.
    """

    number: int
    kind: str
    currency: str
    states: tuple[State, ...]
    tells: bool

    @property
    def now(self) -> State:
        return self.states[-1]

    def at(self, moment: datetime) -> State | None:
        """The state that a reading at this moment shows."""
        return next((state for state in reversed(self.states) if state.since <= moment), None)

    def row(self) -> dict[str, Any]:
        """The row of refersion_data.conversions."""
        payments = [state.since for state, before in self.steps() if state.is_paid and not (before and before.is_paid)]
        return {
            "id": f"{self.number}",
            "order_id": None if self.kind == "manual credit" else f"order-{self.number}",
            "type": TYPES[self.kind],
            "status": self.now.status,
            "payment_status": "PAID" if self.now.is_paid else "UNPAID",
            "payment_id": "900" if self.now.is_paid else None,
            "payment__created": payments[-1] if self.now.is_paid else None,
            "total": {"order": Decimal(10), "cancellation": Decimal(-10), "manual credit": Decimal(0)}[self.kind],
            "commission_total": self.now.commission,
            "currency": self.currency,
            "created": self.states[0].since,
            "updated": self.now.since if self.tells else None,
            "affiliate_id": self.now.affiliate_id,
            "read_at": READ_AT,
        }

    def steps(self) -> list[tuple[State, State | None]]:
        """Each state with the one before it."""
        return list(zip(self.states, (None, *self.states[:-1]), strict=True))

    def history(self) -> list[Row]:
        """Rows of refersion_data.conversion_history, where a reading showed each state."""
        return [self.entry(state, state.seen_at, before and before.seen_at) for state, before in self.steps()]

    def history_of(self, readings: Sequence[datetime]) -> list[Row]:
        """Those rows where the account was read at these moments only."""
        rows: list[Row] = []
        shown: State | None = None
        before: datetime | None = None
        for moment in readings:
            state = self.at(moment)
            if state is not None and state is not shown:
                rows.append(self.entry(state, moment, before if shown else None))
                shown = state
            before = moment
        return rows

    def entry(self, state: State, seen_at: datetime, seen_before: datetime | None = None) -> Row:
        return {
            "seen_before": seen_before,
            "id": f"{self.number}",
            "seen_at": seen_at,
            "change": "changed",
            "status": state.status,
            "payment_status": "PAID" if state.is_paid else "UNPAID",
            "total": self.row()["total"],
            "commission_total": state.commission,
            "currency": self.currency,
            "affiliate_id": state.affiliate_id,
            "updated": state.since if self.tells else None,
        }


def read_after_each(lives: Sequence[Life]) -> list[datetime]:
    """Moments of readings: daily, and a second after whatever happened."""
    after_each = {state.since + timedelta(seconds=1) for life in lives for state in life.states}
    daily = {READ_AT - timedelta(days=ago) for ago in range(150)}
    return sorted(moment for moment in daily | after_each if moment <= READ_AT)


def month_of(moment: datetime, zone: str) -> date:
    """First day of the month that clocks in the zone show."""
    return moment.astimezone(ZoneInfo(zone)).date().replace(day=1)


def month_after(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


def months(first: date, last: date) -> list[date]:
    found = [first]
    while found[-1] < last:
        found.append(month_after(found[-1]))
    return found


EDGES = [
    datetime(2025, 1, 1, tzinfo=UTC),
    datetime(2025, 2, 1, tzinfo=UTC),
    datetime(2025, 3, 1, tzinfo=UTC),
    datetime(2025, 3, 9, 7, tzinfo=UTC),  # clocks in New York go on by an hour
    datetime(2025, 3, 30, 1, tzinfo=UTC),  # clocks in Berlin do
]
# Months end at any of these distances from midnight in UTC.
HOURS = [-14, -6, -5, -4, -2, -1, 0, 1, 4, 5, 6, 14]
GAPS = [timedelta(seconds=2), timedelta(hours=1), timedelta(hours=7), timedelta(days=3), timedelta(days=29)]
ACTIONS = ("approve", "approve", "approve", "pay", "pay", "deny", "reopen", "take payment back", "correct", "move")
AMOUNTS = st.decimals(min_value="0.0001", max_value=10**6, places=4) | st.sampled_from([Decimal("5"), Decimal("1200")])


@st.composite
def lives(draw: st.DrawFn, number: int = 0) -> Life:
    kind = draw(st.sampled_from(["order", "order", "cancellation", "manual credit"]))
    tells = draw(st.booleans())

    def amount() -> Decimal:
        size = draw(AMOUNTS)
        negative = kind == "cancellation" or (kind == "manual credit" and draw(st.booleans()))
        return -size if negative else size

    since = draw(st.sampled_from(EDGES)) + timedelta(
        hours=draw(st.sampled_from(HOURS)), seconds=draw(st.integers(-1, 1))
    )
    status, is_paid, commission = draw(st.sampled_from(["PENDING", "PENDING", "APPROVED"])), False, amount()
    affiliate = number % 3
    found: list[tuple[datetime, str, bool, Decimal, int]] = [(since, status, is_paid, commission, affiliate)]
    for action in draw(st.lists(st.sampled_from(ACTIONS), max_size=6)):
        before = (status, is_paid, commission, affiliate)
        if action == "pay" and status == "APPROVED":
            is_paid = True
        elif action == "take payment back":
            is_paid = False
        elif action == "correct":
            commission = amount()
        elif action == "move":
            affiliate = (affiliate + 1) % 3
        elif action in ("approve", "deny", "reopen"):
            status = {"approve": "APPROVED", "deny": "DENIED", "reopen": "PENDING"}[action]
        if (status, is_paid, commission, affiliate) == before:
            continue
        since += draw(st.sampled_from(GAPS))
        if since >= READ_AT:
            break
        found.append((since, status, is_paid, commission, affiliate))
    ends = [moment for moment, *_ in found[1:]] + [READ_AT]
    # Not is_paid: what was to happen after the last reading did not.
    is_paid_now = found[-1][2]
    payments = [at for at, (_, _, paid, *_) in enumerate(found) if paid and not found[at - 1][2]]
    states = []
    for at, ((moment, word, paid, due, whose), end) in enumerate(zip(found, ends, strict=True)):
        seen_at = moment + (end - moment) / 2
        # The payment there is has a date of its own.
        known = tells or (is_paid_now and at == payments[-1])
        states.append(State(moment, seen_at, moment if known else seen_at, word, paid, due, f"{whose}"))
    return Life(number, kind, draw(st.sampled_from(["USD", "EUR"])), tuple(states), tells)


@st.composite
def many_lives(draw: st.DrawFn) -> list[Life]:
    return [draw(lives(number)) for number in range(1, 1 + draw(st.integers(1, 5)))]
