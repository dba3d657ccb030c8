"""The plan of a run: what it will send, after every check that is possible without sending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from refersion_dagster.actions.journal.completeness import check_complete
from refersion_dagster.actions.journal.journal import Entry, Journal, RequestContext
from refersion_dagster.actions.operations.catalog import MOST_IN_A_CALL, Endpoint
from refersion_dagster.actions.operations.item_key import PlannedItem
from refersion_dagster.actions.operations.outcomes import OPEN, Outcome
from refersion_dagster.actions.planning.input_errors import InputError, InputErrors
from refersion_dagster.actions.planning.input_files import Row
from refersion_dagster.actions.planning.preflight import AmountLimits, preflight
from refersion_dagster.actions.planning.validation import read_items
from refersion_dagster.warehouse.session import Session

# Items with these outcomes are sent again only if the run is configured to.
ANSWERED_NO = (Outcome.REFUSED, Outcome.NOT_CHANGED)


@dataclass(frozen=True)
class Order:
    """A user's request.

    Args:
        rows: the items as the user specified them.
        limits: limits of the run.
        check_warehouse: whether to check ids, statuses and currencies against the warehouse.
        repeats: whether equal items without keys are allowed.
        again: whether to resend items that Refersion refused or left unchanged before.
        batch_size: maximum number of items in one call; the operation's own limit also applies.
    """

    endpoint: Endpoint
    rows: Sequence[Row]
    asking: RequestContext
    limits: AmountLimits
    check_warehouse: bool = True
    repeats: bool = False
    again: bool = False
    batch_size: int = MOST_IN_A_CALL


@dataclass(frozen=True)
class Plan:
    """What a run would send.

    Args:
        calls: items of each call, in order.
        earlier: the journal's entries, by key.
        done: items that were already done and are not sent.
        declined: items that Refersion refused or left unchanged before, which are not sent.
        open: items with an unknown outcome, which are not sent.
        stakes: sum of the absolute commissions moved, by currency.
        net: sum of the signed commissions, by currency; negative amounts are taken back.
        unpriced: number of items whose commission is unknown; the limit does not cover them.
    """

    endpoint: Endpoint
    asking: RequestContext
    calls: tuple[tuple[PlannedItem, ...], ...]
    earlier: Mapping[str, Entry]
    done: tuple[PlannedItem, ...]
    declined: tuple[PlannedItem, ...]
    open: tuple[PlannedItem, ...]
    stakes: Mapping[str, Decimal]
    net: Mapping[str, Decimal]
    unpriced: int

    @property
    def to_send(self) -> int:
        return sum(map(len, self.calls))


def make_plan(order: Order, session: Session, journal: Journal) -> Plan:
    """Checks the order and returns what would be sent.

    Raises InputErrors with all errors, and JournalIncomplete if the warehouse has results that the journal lacks.

    Args:
        session: a session of the warehouse.
    """
    endpoint = order.endpoint
    if not order.rows:
        raise InputErrors([InputError(None, "There is nothing to send: set items, or a file that contains some.")])
    items, errors = read_items(endpoint, order.rows, purpose=order.asking.purpose, repeats=order.repeats)
    earlier = {entry.key: entry for entry in journal.entries(endpoint.name)}
    check_complete(session, endpoint, earlier)
    sorted_out: dict[str, list[PlannedItem]] = {"done": [], "declined": [], "open": [], "send": []}
    for one in items:
        entry = earlier.get(one.key)
        if entry and entry.digest != one.digest:
            errors.append(
                InputError(
                    one.place,
                    f"key {one.key!r} belongs to another item since {entry.intended_at:%Y-%m-%d}: "
                    f"{entry.request}; a key belongs to one item permanently",
                )
            )
        elif entry and entry.outcome in OPEN:
            sorted_out["open"].append(one)
        elif entry and entry.outcome is Outcome.DONE:
            sorted_out["done"].append(one)
        elif entry and entry.outcome in ANSWERED_NO and not order.again:
            sorted_out["declined"].append(one)
        else:
            sorted_out["send"].append(one)
    verdict = preflight(endpoint, sorted_out["send"], session, order.limits, strictly=order.check_warehouse)
    if errors or verdict.errors:
        place = {row.place: at for at, row in enumerate(order.rows)}
        found = sorted([*errors, *verdict.errors], key=lambda one: place.get(one.place or "", -1))
        raise InputErrors(found)
    return Plan(
        endpoint,
        order.asking,
        tuple(_calls(endpoint, sorted_out["send"], order.batch_size)),
        earlier,
        tuple(sorted_out["done"]),
        tuple(sorted_out["declined"]),
        tuple(sorted_out["open"]),
        verdict.stakes,
        verdict.net,
        verdict.unpriced,
    )


def _calls(endpoint: Endpoint, items: Sequence[PlannedItem], batch_size: int) -> list[tuple[PlannedItem, ...]]:
    """Groups items into calls, in their order. The items of a call share the endpoint's `same` fields."""
    groups: dict[tuple[object, ...], list[PlannedItem]] = {}
    for one in items:
        content = one.item.content()
        groups.setdefault(tuple(content[name] for name in endpoint.same), []).append(one)
    most = min(endpoint.together, batch_size)
    return [tuple(group[at : at + most]) for group in groups.values() for at in range(0, len(group), most)]
