"""The account's history: every state that a conversion, payment or affiliate has had, with its time."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from refersion_dagster.sandbox.clock import iso
from refersion_dagster.sandbox.model import APPROVED, PAID, Affiliate, Conversion, Payment

CONVERSION, PAYMENT, AFFILIATE = "conversion", "payment", "affiliate"


class ConversionState(NamedTuple):
    """The state of a conversion from a point in time on, limited to the fields that affect figures."""

    created: int
    affiliate_id: int
    type: str
    order_id: str
    status: str
    payment_status: str
    payment_id: int | None
    total: Decimal
    commission_total: Decimal
    currency: str
    is_test_conversion: bool

    @property
    def is_paid(self) -> bool:
        return self.payment_status == PAID or self.payment_id is not None

    @property
    def is_due(self) -> bool:
        return self.status == APPROVED and not self.is_paid and not self.is_test_conversion


class PaymentState(NamedTuple):
    created: int
    affiliate_id: int
    commission_total: Decimal
    currency: str
    total_conversions: int


class AffiliateState(NamedTuple):
    status: str


State = ConversionState | PaymentState | AffiliateState


class AccountEvent(NamedTuple):
    """A row went from state `before` to `after` at `at` (Unix seconds). None: the row does not exist."""

    at: int
    kind: str
    id: int
    before: Any
    after: Any

    @property
    def changes(self) -> tuple[str, ...]:
        """`created` (the row is new), `deleted`, or the names of the fields that changed."""
        if self.before is None:
            return ("created",)
        if self.after is None:
            return ("deleted",)
        names = self.after._fields
        return tuple(
            f"{name} edited" if name == "created" else name
            for name, old, new in zip(names, self.before, self.after, strict=True)
            if old != new
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "at": iso(self.at),
            "kind": self.kind,
            "id": self.id,
            "changes": list(self.changes),
            "before": state_as_json(self.before),
            "after": state_as_json(self.after),
        }


class EventLog:
    """Events in chronological order. Noting a row that has not changed adds nothing."""

    def __init__(self, events: Iterable[AccountEvent] = ()) -> None:
        self._events = list(events)
        self._states: dict[tuple[str, int], State] = {}

    def __iter__(self) -> Iterator[AccountEvent]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def without_deleted(self, at: int) -> "EventLog":
        """The log without the rows that were deleted by `at`, as if they had never existed."""
        deleted = {(event.kind, event.id) for event in self._events if event.after is None and event.at <= at}
        return EventLog(event for event in self._events if (event.kind, event.id) not in deleted)

    def until(self, at: int) -> Iterator[AccountEvent]:
        """Events up to and including the second `at`."""
        return (event for event in self._events if event.at <= at)

    def events_between(self, after: int, until: int) -> Iterator[AccountEvent]:
        """Events after the second `after`, up to and including `until`."""
        return (event for event in self._events if after < event.at <= until)

    def note_conversion(self, at: int, row: Conversion) -> None:
        state = ConversionState(
            row.created,
            row.affiliate_id,
            row.type,
            row.order_id,
            row.status,
            row.payment_status,
            row.payment_id,
            row.total,
            row.commission_total,
            row.currency,
            row.is_test_conversion,
        )
        self._note(at, CONVERSION, row.id, state)

    def note_payment(self, at: int, row: Payment) -> None:
        state = PaymentState(row.created, row.affiliate_id, row.commission_total, row.currency, row.total_conversions)
        self._note(at, PAYMENT, row.id, state)

    def note_affiliate(self, at: int, row: Affiliate) -> None:
        self._note(at, AFFILIATE, row.id, AffiliateState(row.status))

    def note_deletion(self, at: int, kind: str, number: int) -> None:
        before = self._states.pop((kind, number), None)
        if before is not None:
            self._events.append(AccountEvent(at, kind, number, before, None))

    def _note(self, at: int, kind: str, number: int, state: State) -> None:
        before = self._states.get((kind, number))
        if state != before:
            self._states[kind, number] = state
            self._events.append(AccountEvent(at, kind, number, before, state))


def state_as_json(state: State | None) -> dict[str, Any] | None:
    """The state as JSON: money as strings, times in ISO 8601."""
    if state is None:
        return None
    return {
        name: iso(value) if name == "created" else str(value) if isinstance(value, Decimal) else value
        for name, value in state._asdict().items()
    }
