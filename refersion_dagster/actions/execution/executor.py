"""A whole run without Dagster: checks the order, sends it, records the outcomes and loads the result tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal

from refersion_dagster.actions.execution.sender import SendResult, send_all
from refersion_dagster.actions.journal.journal import Journal
from refersion_dagster.actions.journal.result_tables import load_results
from refersion_dagster.actions.journal.store import journal_of
from refersion_dagster.actions.operations.catalog import AmountAtRisk
from refersion_dagster.actions.operations.outcomes import format_count
from refersion_dagster.actions.planning.plan import Order, Plan, make_plan
from refersion_dagster.actions.planning.recipients import TAKEN_BACK, recipients
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.rounding import format_amount
from refersion_dagster.warehouse.session import Session

# Maximum number of items that a dry run lists individually.
MOST_TOLD = 100


def preview(order: Order, warehouse: Warehouse, tell: Callable[[str], None]) -> Plan:
    """Returns the plan without sending a request or writing anything. Raises InputErrors."""
    with (
        warehouse.write_lock(tell),
        warehouse.session() as session,
        journal_of(warehouse, session, tell) as journal,
    ):
        plan = make_plan(order, session, journal)
        items = [one for call in plan.calls for one in call]
        concerned = list(recipients(plan.endpoint, items[:MOST_TOLD], session))
    for words in _describe_plan(plan):
        tell(words)
    for words in concerned:
        tell(words)
    if len(items) > MOST_TOLD:
        tell(f"… and {format_count(len(items) - MOST_TOLD, 'more item')}")
    return plan


def perform(
    order: Order, refersion: RefersionResource, warehouse: Warehouse, tell: Callable[[str], None]
) -> tuple[Plan, SendResult]:
    """Sends the order under the write lock and updates the result tables.

    Raises InputErrors, or RefersionError before the first call. Later errors are in the SendResult.
    """
    warehouse.check_keys_enforced()
    with (
        warehouse.write_lock(tell),
        warehouse.session() as session,
        journal_of(warehouse, session, tell) as journal,
    ):
        plan, sent = send_ordered(order, refersion, session, journal, tell)
        load_results(warehouse, session, journal, tell)
    return plan, sent


def send_ordered(
    order: Order, refersion: RefersionResource, session: Session, journal: Journal, tell: Callable[[str], None]
) -> tuple[Plan, SendResult]:
    """Like `perform`, without the result tables. The caller holds the write lock."""
    journal.create()
    if lost := journal.give_up_pending():
        tell(
            f"{format_count(lost, 'item')} of a run that ended before the response: not known whether they were "
            "carried out"
        )
    plan = make_plan(order, session, journal)
    for words in _describe_plan(plan):
        tell(words)
    account = refersion.account()
    try:
        return plan, send_all(plan, journal, account.rest, tell)
    finally:
        account.close()


def _describe_plan(plan: Plan) -> Iterator[str]:
    stakes = "".join(f", {moved}" for moved in _describe_stakes(plan))
    yield f"{format_count(plan.to_send, 'item')} to send in {format_count(len(plan.calls), 'call')}{stakes}"
    if plan.unpriced:
        yield (
            f"The commission of {format_count(plan.unpriced, 'item')} is not in the warehouse, so max_commission does "
            "not apply to it"
        )
    if plan.done:
        first = plan.earlier[plan.done[0].key]
        yield (
            f"{format_count(len(plan.done), 'item')} already done and not sent again, the first ({plan.done[0].place}) "
            f"on {first.intended_at:%Y-%m-%d} by run {first.run_id}. To send them again, set another purpose or "
            "other keys"
        )
    if plan.declined:
        yield (
            f"{format_count(len(plan.declined), 'item')} already refused or left unchanged and not sent again; `again: "
            "true` sends them again"
        )


def _describe_stakes(plan: Plan) -> Iterator[str]:
    """Commission at stake by currency. Negative credits are listed separately, as negative amounts."""
    taken: defaultdict[str, Decimal] = defaultdict(Decimal)
    if plan.endpoint.stake is AmountAtRisk.OWN:
        for content in (one.item.content() for call in plan.calls for one in call):
            taken[content["currency"]] += min(content["commission"], Decimal(0))
    for currency, amount in plan.stakes.items():
        if given := amount + taken[currency]:
            yield f"{format_amount(given)} {currency} of commission"
        if taken[currency]:
            yield f"{format_amount(taken[currency])} {currency} of commission {TAKEN_BACK}"
