"""Output of an operation's job: its log, the asset's metadata and the failure message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from refersion_dagster.actions.execution.sender import SendResult
from refersion_dagster.actions.journal.store import journal_of
from refersion_dagster.actions.operations.item_key import PlannedItem
from refersion_dagster.actions.operations.outcomes import MEANING, Outcome, Result, format_count
from refersion_dagster.actions.orchestration.specs import asset_key
from refersion_dagster.actions.planning.plan import Plan
from refersion_dagster.actions.reconciliation.resolve import evidence_on
from refersion_dagster.namespace import Namespace
from refersion_dagster.refersion.api.rest import encoded
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import RefersionError
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.rounding import round_half_up

# Maximum number of calls in a dry run's log; its metadata has all of them.
CALLS_LOGGED = 100
# Maximum number of open items that a run looks up in Refersion, and the time limit for each.
MOST_ASKED, ASKED_SECONDS = 20, 10
HOW_TO_SETTLE = (
    "`refersion-dagster actions list` lists them, `refersion-dagster actions show KEY` shows what Refersion's "
    "own data says, and `refersion-dagster actions settle KEY` records your decision."
)


def show(context: dg.OpExecutionContext, names: Namespace, plan: Plan) -> None:
    """Shows the result of a dry run: the exact bodies that would be sent, with placeholders for passwords."""
    bodies = [encoded(plan.endpoint.body(items)).decode() for items in plan.calls]
    for body in bodies[:CALLS_LOGGED]:
        context.log.info(f"Would send POST {plan.endpoint.path} {body}")
    if len(bodies) > CALLS_LOGGED:
        context.log.info(f"… and {len(bodies) - CALLS_LOGGED} more calls; the metadata has all of them")
    context.log_event(
        dg.AssetObservation(
            asset_key(plan.endpoint, names),
            description="Dry run: nothing was sent.",
            metadata={
                "dry_run": True,
                "items": plan.to_send,
                "calls": len(plan.calls),
                "would_send": dg.MetadataValue.json([{"path": plan.endpoint.path, "body": body} for body in bodies]),
                **_common_metadata(plan),
            },
        )
    )
    for words in describe_open_items(plan, {}):
        context.log.warning(words)


def record(
    context: dg.OpExecutionContext, names: Namespace, plan: Plan, sent: SendResult, warehouse: Warehouse
) -> None:
    """Records the materialization of the result table."""
    counts = Counter(result.outcome for _, result in sent.results)
    rows = warehouse.row_counts([plan.endpoint.name])
    context.log_event(
        dg.AssetMaterialization(
            asset_key(plan.endpoint, names),
            metadata={
                "dagster/row_count": rows.get(plan.endpoint.name, 0),
                "dagster/table_name": names.table(DATASET, plan.endpoint.name),
                "warehouse": warehouse.location,
                **{outcome.value: counts[outcome] for outcome in Outcome if outcome is not Outcome.PENDING},
                "not_begun": sent.left,
                **_common_metadata(plan),
            },
        )
    )
    for item, result in sent.results:
        if result.outcome is Outcome.NOT_CHANGED:
            context.log.warning(_line(item, result))
        elif warning := result.values.get("warning"):
            context.log.warning(f"{item.place}: Refersion warned: {warning}")


def _line(item: PlannedItem, result: Result) -> str:
    return f"{item.place} (key {item.key}): {result.outcome}: {result.message or MEANING[result.outcome]}"


def describe_problems(plan: Plan, sent: SendResult) -> list[str]:
    """Describes what needs a person's attention; empty if nothing does."""
    words = []
    if sent.problem:
        words.append(
            f"The run stopped after {len(sent.results)} of {format_count(plan.to_send, 'item')}: {sent.problem}"
            + (f" {format_count(sent.left, 'item')} not started; the next run continues there." if sent.left else "")
        )
    for outcome, then in (
        (
            Outcome.UNKNOWN,
            f"They may or may not have been carried out, and are not sent again automatically. {HOW_TO_SETTLE}",
        ),
        (Outcome.REFUSED, "They were not carried out. Correct them, or set `again: true` to send them unchanged."),
        (Outcome.NOT_DONE, "They were certainly not carried out; the next run sends them."),
    ):
        lines = [_line(item, result) for item, result in sent.results if result.outcome is outcome]
        if lines:
            words.append(_format_list(f"{format_count(len(lines), 'item')} {outcome}:", lines, then))
    return words


def evidence(plan: Plan, refersion: RefersionResource, warehouse: Warehouse) -> dict[str, str]:
    """Describes what Refersion's data now says about items that earlier runs left open, by key."""
    words: dict[str, str] = {}
    if not plan.open:
        return words
    with (
        warehouse.write_lock(lambda _: None),
        warehouse.session() as session,
        journal_of(warehouse, session, lambda _: None) as journal,
    ):
        for one in plan.open[:MOST_ASKED]:
            try:
                found = evidence_on(plan.earlier[one.key], journal, session, refersion, ASKED_SECONDS)
            except RefersionError as error:
                words[one.key] = f"Refersion could not be queried: {error}"
                break
            words[one.key] = f"Refersion now: {found.verdict}. {found.words}"
    return words


def describe_open_items(plan: Plan, said: Mapping[str, str]) -> list[str]:
    """Describes the items that earlier runs left open, with Refersion's current data; empty if there are none."""
    lines = []
    for one in plan.open:
        entry = plan.earlier[one.key]
        lines.append(
            f"{one.place} (key {one.key}): sent on {entry.intended_at:%Y-%m-%d %H:%M:%S} UTC by run "
            f"{entry.run_id}, and the response was lost. {said.get(one.key, '')}".rstrip()
        )
    title = (
        f"{format_count(len(lines), 'item')} not sent, because it is not known whether they were already carried out:"
    )
    return [_format_list(title, lines, HOW_TO_SETTLE)] if lines else []


def _format_list(title: str, lines: Sequence[str], then: str) -> str:
    return "\n".join([title, *(f"- {line}" for line in lines), then])


def _common_metadata(plan: Plan) -> dict[str, Any]:
    return {
        "requested_by": plan.asking.requested_by,
        "purpose": plan.asking.purpose or "(none)",
        "source": plan.asking.source,
        "done_before": len(plan.done),
        "declined_before": len(plan.declined),
        "open": len(plan.open),
        **{f"commission_{currency}": f"{round_half_up(amount, 2)}" for currency, amount in plan.net.items()},
    }
