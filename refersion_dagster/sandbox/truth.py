"""The account's state at a point in time and the movements between two, from the event log.

Test conversions are left out of sums.
"""

from collections import defaultdict
from collections.abc import Hashable
from decimal import Decimal
from typing import Any, NamedTuple

from refersion_dagster.sandbox.clock import iso
from refersion_dagster.sandbox.event_log import (
    AFFILIATE,
    CONVERSION,
    PAYMENT,
    AffiliateState,
    ConversionState,
    EventLog,
    PaymentState,
    state_as_json,
)
from refersion_dagster.sandbox.model import APPROVED, CANCELLATION_PREFIX, DENIED, MANUAL_CREDIT, PENDING

NOTHING = Decimal(0)


class TrueSums(NamedTuple):
    """Commission by state. `sales` is the total of orders that are pending or approved."""

    due: Decimal = NOTHING
    paid: Decimal = NOTHING
    pending: Decimal = NOTHING
    denied: Decimal = NOTHING
    unqualified: Decimal = NOTHING
    sales: Decimal = NOTHING


class Movements(NamedTuple):
    """The changes of the commission due between two points in time:

        opening + newly_due + manual - reversed - paid + taken_back - deleted + moved = closing.

    - newly_due: orders approved, and increases of orders while they were due.
    - manual: manual credits approved or corrected.
    - reversed: cancellations approved, approvals revoked, and decreases of orders while they were due.
    - paid, taken_back: rows that were paid; rows whose payment was undone and that are due again.
    - deleted: rows that were deleted while they were due.
    - moved: rows moved here from another affiliate, minus those moved away (0 in the total over all affiliates).
    """

    newly_due: Decimal = NOTHING
    manual: Decimal = NOTHING
    reversed: Decimal = NOTHING
    paid: Decimal = NOTHING
    taken_back: Decimal = NOTHING
    deleted: Decimal = NOTHING
    moved: Decimal = NOTHING

    @property
    def change(self) -> Decimal:
        """Closing minus opening."""
        came = self.newly_due + self.manual + self.taken_back + self.moved
        return came - self.reversed - self.paid - self.deleted


class Truth:
    """The account's state at the end of the second `at`."""

    def __init__(self, log: EventLog, at: int) -> None:
        self.at = at
        self.conversions: dict[int, ConversionState] = {}
        self.payments: dict[int, PaymentState] = {}
        self.affiliates: dict[int, AffiliateState] = {}
        tables: dict[str, dict[int, Any]] = {
            CONVERSION: self.conversions,
            PAYMENT: self.payments,
            AFFILIATE: self.affiliates,
        }
        for event in log.until(at):
            if event.after is None:
                tables[event.kind].pop(event.id, None)
            else:
                tables[event.kind][event.id] = event.after

    def by_currency(self) -> dict[str, TrueSums]:
        sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        for row in self.conversions.values():
            if not row.is_test_conversion:
                sums[row.currency][commission_state(row)] += row.commission_total
                if kind_of(row) == "order" and row.status in (PENDING, APPROVED):
                    sums[row.currency]["sales"] += row.total
        return {
            currency: TrueSums(**{name: amount for name, amount in found.items() if name in TrueSums._fields})
            for currency, found in sorted(sums.items())
        }

    def by_affiliate(self, state: str = "due") -> dict[tuple[int, str], Decimal]:
        """Commission in a state (due, paid, pending, denied, unqualified) by affiliate and currency."""
        sums: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
        for row in self.conversions.values():
            if not row.is_test_conversion and commission_state(row) == state:
                sums[row.affiliate_id, row.currency] += row.commission_total
        return dict(sums)

    def as_json(self, *, rows: bool = False) -> dict[str, Any]:
        """Sums and the commission due by affiliate; with `rows`, also the rows."""
        answer: dict[str, Any] = {
            "at": iso(self.at),
            "by_currency": {currency: as_texts(sums) for currency, sums in self.by_currency().items()},
            "due_by_affiliate": [
                {"affiliate_id": affiliate_id, "currency": currency, "due": str(amount)}
                for (affiliate_id, currency), amount in sorted(self.by_affiliate().items())
            ],
        }
        if rows:
            tables = {"conversions": self.conversions, "payments": self.payments, "affiliates": self.affiliates}
            for name, states in tables.items():
                answer[name] = {str(number): state_as_json(state) for number, state in states.items()}
        return answer


def movements(log: EventLog, after: int, until: int) -> dict[str, Movements]:
    """Movements by currency after the second `after`, up to and including `until`."""
    return {
        key: of for key, of in _sum_movements(log, after, until, by_affiliate=False).items() if isinstance(key, str)
    }


def movements_by_affiliate(log: EventLog, after: int, until: int) -> dict[tuple[int, str], Movements]:
    """Movements by affiliate and currency after the second `after`, up to and including `until`."""
    return {
        key: of for key, of in _sum_movements(log, after, until, by_affiliate=True).items() if isinstance(key, tuple)
    }


def as_texts(amounts: TrueSums | Movements) -> dict[str, str]:
    return {name: str(amount) for name, amount in amounts._asdict().items()}


def commission_state(row: ConversionState) -> str:
    if row.status == APPROVED:
        return "paid" if row.is_paid else "due"
    return {PENDING: "pending", DENIED: "denied"}.get(row.status, "unqualified")


def kind_of(row: ConversionState) -> str:
    """order, cancellation or manual credit; `empty` for a row whose fields do not tell."""
    by_hand = row.type == MANUAL_CREDIT
    if row.type.startswith(CANCELLATION_PREFIX) or row.total < 0:
        return "cancellation"
    if row.commission_total < 0 and row.order_id and not by_hand:
        return "cancellation"
    if by_hand:
        return "order" if row.total > 0 and row.order_id else "manual credit"
    if row.total > 0 or (row.commission_total and row.type):
        return "order"
    return "manual credit" if row.commission_total and not row.order_id else "empty"


def _sum_movements(log: EventLog, after: int, until: int, *, by_affiliate: bool) -> dict[Hashable, Movements]:
    sums: dict[Hashable, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for event in log.events_between(after, until):
        if event.kind == CONVERSION:
            for row, line, amount in _steps(event.before, event.after):
                key = (row.affiliate_id, row.currency) if by_affiliate else row.currency
                sums[key][line] += amount
    return {key: Movements(**found) for key, found in sums.items()}


def _steps(before: ConversionState | None, after: ConversionState | None) -> list[tuple[ConversionState, str, Decimal]]:
    """The movements of one event: the row whose affiliate and currency they belong to, the line, and the amount."""
    steps: list[tuple[ConversionState, str, Decimal]] = []
    was_due, is_due = before is not None and before.is_due, after is not None and after.is_due
    if before is not None and after is not None and was_due:
        if before.affiliate_id != after.affiliate_id:
            steps.append((before, "moved", -before.commission_total))
            before = before._replace(affiliate_id=after.affiliate_id)
            steps.append((before, "moved", before.commission_total))
        same_currency = before.currency == after.currency
        pays = _counts_as_paid(after)
        if same_currency and (is_due or pays) and before.commission_total != after.commission_total:
            steps.append(_correction(after, after.commission_total - before.commission_total))
        if pays and same_currency:
            steps.append((after, "paid", after.commission_total))
        elif not is_due or not same_currency:
            steps.append((before, "reversed", before.commission_total))
            if is_due:
                steps.append(_beginning(after))
    elif before is not None and was_due:
        steps.append((before, "deleted", before.commission_total))
    elif after is not None and is_due:
        taken_back = before is not None and before.is_paid
        steps.append((after, "taken_back", after.commission_total) if taken_back else _beginning(after))
    elif after is not None and _counts_as_paid(after) and not (before is not None and before.is_paid):
        steps += [_beginning(after), (after, "paid", after.commission_total)]
    return steps


def _counts_as_paid(row: ConversionState) -> bool:
    return row.status == APPROVED and row.is_paid and not row.is_test_conversion


def _beginning(row: ConversionState) -> tuple[ConversionState, str, Decimal]:
    kind = kind_of(row)
    if kind == "cancellation":
        return row, "reversed", -row.commission_total
    return row, "manual" if kind == "manual credit" else "newly_due", row.commission_total


def _correction(row: ConversionState, change: Decimal) -> tuple[ConversionState, str, Decimal]:
    kind = kind_of(row)
    if kind == "manual credit":
        return row, "manual", change
    if kind == "cancellation" or change < 0:
        return row, "reversed", -change
    return row, "newly_due", change
