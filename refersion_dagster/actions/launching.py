"""What the job of an operation does: everything is checked, then sent, then recorded, then read again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource

from refersion_dagster.actions.asked import Asked
from refersion_dagster.actions.catalogue import Endpoint
from refersion_dagster.actions.fields import read_amount
from refersion_dagster.actions.journal import Asking
from refersion_dagster.actions.known import Limits
from refersion_dagster.actions.launchpad import MAX_COMMISSION, ActionConfig
from refersion_dagster.actions.mistakes import Mistake, Mistakes
from refersion_dagster.actions.outcomes import MEANING, Outcome, Result, counted
from refersion_dagster.actions.performing import perform, preview
from refersion_dagster.actions.plan import MOST_IN_A_CALL, Order, Plan
from refersion_dagster.actions.reading_again import reading_again
from refersion_dagster.actions.sending import Sent
from refersion_dagster.actions.sources import from_configuration, from_file
from refersion_dagster.actions.specs import asset_key
from refersion_dagster.ingest.loading import load_tables
from refersion_dagster.ingest.run_log import source_log_shown
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import RefersionError
from refersion_dagster.refersion.rest import encoded
from refersion_dagster.resources import RefersionResource, Warehouse

ALLOW_WRITES = "REFERSION_ALLOW_WRITES"
# Tags of runs that nobody launched by hand, and what started them.
AUTOMATIC = {
    "dagster/schedule_name": "a schedule",
    "dagster/sensor_name": "a sensor",
    "dagster/backfill": "a backfill",
    "dagster/auto_materialize": "an automation condition",
    "dagster/from_automation_condition": "an automation condition",
}
# Calls that a dry run writes into its log; all of them are in its metadata.
CALLS_LOGGED = 100
HOW_TO_SETTLE = (
    "`refersion-dagster actions list` shows them, `refersion-dagster actions show KEY` what Refersion's own data says, "
    "and `refersion-dagster actions settle KEY` records what you found."
)


def carry_out(
    context: dg.OpExecutionContext,
    endpoint: Endpoint,
    config: ActionConfig,
    refersion: RefersionResource,
    warehouse: Warehouse,
    dlt: DagsterDltResource,
) -> None:
    """Does what the configuration asks for. Raises dg.Failure for what a person has to look at."""
    _launched_by_hand(context.run.tags)
    if not config.dry_run:
        allowed()
    try:
        order = _order(endpoint, config, context.run_id)
        if config.dry_run:
            _show(context, preview(order, warehouse, context.log.info))
            return
        with source_log_shown(context.log):
            plan, sent = perform(order, refersion, warehouse, context.log.info)
    except Mistakes as mistakes:
        raise dg.Failure(str(mistakes), metadata={"mistakes": len(mistakes.found)}, allow_retries=False) from None
    except RefersionError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    not_read = _read_again(context, plan, sent, refersion, warehouse, dlt)
    _record(context, plan, sent, warehouse)
    if words := [*_to_look_at(plan, sent), *not_read]:
        raise dg.Failure("\n\n".join(words), allow_retries=False)


def _launched_by_hand(tags: Mapping[str, str]) -> None:
    if found := [what for tag, what in AUTOMATIC.items() if tag in tags]:
        raise dg.Failure(
            f"Nothing was sent: this run was started by {found[0]}, and what writes to Refersion is launched by a "
            "person each time.",
            allow_retries=False,
        )


def allowed(environment: Mapping[str, str] = os.environ) -> None:
    """Raises dg.Failure unless the environment allows what writes to Refersion."""
    if environment.get(ALLOW_WRITES, "").strip().lower() != "true":
        raise dg.Failure(
            f"Nothing was sent: writing to Refersion is off. Set {ALLOW_WRITES}=true where Dagster runs (.env), or "
            "leave dry_run at true to see what would be sent.",
            allow_retries=False,
        )


def _order(endpoint: Endpoint, config: ActionConfig, run_id: str) -> Order:
    mistakes = []
    given = config.given_items()
    if not config.requested_by.strip():
        mistakes.append(Mistake(None, "requested_by is empty; say who asks for this."))
    if given and config.file:
        mistakes.append(Mistake(None, "There are items and a file; give either."))
    commission = Decimal(0)
    try:
        commission = read_amount(config.chosen("max_commission", MAX_COMMISSION))
    except ValueError as error:
        mistakes.append(Mistake(None, f"max_commission {error}"))
    if mistakes:
        raise Mistakes(mistakes)
    source = str(Path(config.file).absolute()) if config.file else "configuration"
    return Order(
        endpoint=endpoint,
        rows=from_file(Path(config.file), endpoint) if config.file else from_configuration(given),
        asking=Asking(config.requested_by.strip(), run_id, source, config.purpose.strip()),
        limits=Limits(config.max_items, commission),
        check_warehouse=config.check_warehouse,
        repeats=config.chosen("repeats", False),
        again=config.again,
        batch_size=config.chosen("batch_size", MOST_IN_A_CALL),
    )


def _show(context: dg.OpExecutionContext, plan: Plan) -> None:
    """A dry run's outcome: the very bodies that would be sent, passwords as placeholders."""
    bodies = [encoded(plan.endpoint.body(asked)).decode() for asked in plan.calls]
    for body in bodies[:CALLS_LOGGED]:
        context.log.info(f"Would send POST {plan.endpoint.path} {body}")
    if len(bodies) > CALLS_LOGGED:
        context.log.info(f"… and {len(bodies) - CALLS_LOGGED} more calls, all of them in the metadata")
    context.log_event(
        dg.AssetObservation(
            asset_key(plan.endpoint),
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
    for words in _open(plan):
        context.log.warning(words)


def _common_metadata(plan: Plan) -> dict[str, Any]:
    return {
        "requested_by": plan.asking.requested_by,
        "purpose": plan.asking.purpose or "(none)",
        "source": plan.asking.source,
        "done_before": len(plan.done),
        "declined_before": len(plan.declined),
        "open": len(plan.open),
        **{f"commission_{currency}": f"{amount:.2f}" for currency, amount in sorted(plan.stakes.items())},
    }


def _read_again(
    context: dg.OpExecutionContext,
    plan: Plan,
    sent: Sent,
    refersion: RefersionResource,
    warehouse: Warehouse,
    dlt: DagsterDltResource,
) -> list[str]:
    """Reads again what was written; why it could not be, in words for people to see."""
    # What may have been done is read again as well: the warehouse then has what there is to know.
    touched = [asked for asked, result in sent.results if result.outcome in (Outcome.DONE, Outcome.UNKNOWN)]
    reading = reading_again(plan.endpoint, touched, refersion, warehouse)
    if reading.why_not:
        context.log.warning(f"What changed is not read again: {reading.why_not}")
    if not reading.tables:
        return []
    try:
        for loaded in load_tables(context, refersion, warehouse, dlt, reading.options, reading.tables):
            assert loaded.asset_key  # noqa: S101 - load_tables names the asset of each result
            context.log_event(dg.AssetMaterialization(loaded.asset_key, metadata=loaded.metadata))
    except dg.Failure as failure:
        return [
            "What was sent is recorded, and what changed could not be read again; the next refresh makes up for it: "
            f"{failure.description}"
        ]
    return []


def _record(context: dg.OpExecutionContext, plan: Plan, sent: Sent, warehouse: Warehouse) -> None:
    """The materialisation of the result table."""
    counts = Counter(result.outcome for _, result in sent.results)
    rows = warehouse.row_counts([plan.endpoint.name])
    context.log_event(
        dg.AssetMaterialization(
            asset_key(plan.endpoint),
            metadata={
                "dagster/row_count": rows.get(plan.endpoint.name, 0),
                "dagster/table_name": f"{DATASET}.{plan.endpoint.name}",
                "warehouse": warehouse.location,
                **{outcome.value: counts[outcome] for outcome in Outcome if outcome is not Outcome.PENDING},
                "not_begun": sent.left,
                **_common_metadata(plan),
            },
        )
    )
    for asked, result in sent.results:
        if result.outcome is Outcome.NOT_CHANGED:
            context.log.warning(_line(asked, result))
        elif warning := result.values.get("warning"):
            context.log.warning(f"{asked.place}: Refersion warned: {warning}")


def _line(asked: Asked, result: Result) -> str:
    return f"{asked.place} (key {asked.key}): {result.outcome}: {result.message or MEANING[result.outcome]}"


def _to_look_at(plan: Plan, sent: Sent) -> list[str]:
    """What a person has to look at, in words; nothing where all is well."""
    words = []
    if sent.trouble:
        words.append(
            f"The run stopped after {len(sent.results)} of {counted(plan.to_send, 'item')}: {sent.trouble}"
            + (f" {counted(sent.left, 'item')} not begun; the next run goes on there." if sent.left else "")
        )
    for outcome, then in (
        (Outcome.UNKNOWN, f"They may have been done or not, and are not sent again by themselves. {HOW_TO_SETTLE}"),
        (Outcome.REFUSED, "Nothing happened to them. Correct them, or set again to true to send them as they are."),
        (Outcome.NOT_DONE, "They are certain not to have happened; the next run sends them."),
    ):
        lines = [_line(asked, result) for asked, result in sent.results if result.outcome is outcome]
        if lines:
            words.append(_listed(f"{counted(len(lines), 'item')} {outcome}:", lines, then))
    return words + _open(plan)


def _open(plan: Plan) -> list[str]:
    lines = [
        f"{one.place} (key {one.key}): sent on {plan.earlier[one.key].intended_at:%Y-%m-%d %H:%M:%S} UTC by run "
        f"{plan.earlier[one.key].run_id}, and the answer was lost"
        for one in plan.open
    ]
    if not lines:
        return []
    return [
        _listed(
            f"{counted(len(lines), 'item')} not sent, as it is not known whether they were done before:",
            lines,
            HOW_TO_SETTLE,
        )
    ]


def _listed(title: str, lines: Sequence[str], then: str) -> str:
    return "\n".join([title, *(f"- {line}" for line in lines), then])
