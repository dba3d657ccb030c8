"""The run of an operation's job: checks everything, sends it, records the outcomes and reads the changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
from dagster_dlt import DagsterDltResource

from refersion_dagster.actions.execution.executor import perform, preview
from refersion_dagster.actions.execution.sender import SendResult
from refersion_dagster.actions.journal.journal import RequestContext
from refersion_dagster.actions.operations.catalog import Endpoint
from refersion_dagster.actions.operations.outcomes import Outcome
from refersion_dagster.actions.operations.types import read_amount
from refersion_dagster.actions.orchestration.config import MAX_COMMISSION, ActionConfig
from refersion_dagster.actions.orchestration.refresh import Refresh, plan_refresh_after, plan_refresh_before
from refersion_dagster.actions.orchestration.reporting import (
    describe_open_items,
    describe_problems,
    evidence,
    record,
    show,
)
from refersion_dagster.actions.planning.input_errors import InputError, InputErrors
from refersion_dagster.actions.planning.input_files import from_configuration, from_file
from refersion_dagster.actions.planning.plan import MOST_IN_A_CALL, Order, Plan
from refersion_dagster.actions.planning.preflight import AmountLimits
from refersion_dagster.errors import ReportedError
from refersion_dagster.ingest.loader import load_tables
from refersion_dagster.ingest.run_log import source_log_shown
from refersion_dagster.namespace import Namespace
from refersion_dagster.refersion.errors import RefersionError
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.settings import ALLOW_WRITES, Settings

# Dagster's tags of automatic runs: a second safeguard besides launched_on, for a schedule that fills in the date.
AUTOMATIC = {
    "dagster/schedule_name": "a schedule",
    "dagster/sensor_name": "a sensor",
    "dagster/backfill": "a backfill",
    "dagster/from_automation_condition": "an automation condition",
}
# The time zones furthest west and east: it may still be yesterday, or already be tomorrow.
WEST, EAST = timedelta(hours=-12), timedelta(hours=14)


def carry_out(
    context: dg.OpExecutionContext,
    names: Namespace,
    endpoint: Endpoint,
    config: ActionConfig,
    settings: Settings,
    refersion: RefersionResource,
    warehouse: Warehouse,
    dlt: DagsterDltResource,
) -> None:
    """Carries out the configuration. Raises dg.Failure if something needs a person's attention."""
    require_launch_by_person(context.run, config.launched_on)
    if not config.dry_run:
        check_writes_allowed(settings)
        warehouse.check_keys_enforced()
    try:
        order = _order(endpoint, config, context.run_id)
        if config.dry_run:
            show(context, names, preview(order, warehouse, context.log.info))
            return
        if config.check_warehouse:
            _refresh_before(context, names, order, refersion, warehouse, dlt)
        with source_log_shown(context.log):
            plan, sent = perform(order, refersion, warehouse, context.log.info)
    except InputErrors as errors:
        raise dg.Failure(str(errors), metadata={"errors": len(errors.found)}, allow_retries=False) from None
    except RefersionError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    not_read = _read_again(context, names, plan, sent, refersion, warehouse, dlt)
    with warehouse.write_lock(context.log.info):
        record(context, names, plan, sent, warehouse)
    if words := [
        *describe_problems(plan, sent),
        *describe_open_items(plan, evidence(plan, refersion, warehouse)),
        *not_read,
    ]:
        raise dg.Failure("\n\n".join(words), allow_retries=False)


def require_launch_by_person(run: dg.DagsterRun, launched_on: str, now: datetime | None = None) -> None:
    """Raises dg.Failure unless a person stated today's date for this very run.

    A stored configuration, such as a schedule's or that of a retried run, has another day's date.
    """
    now = now or datetime.now(UTC)
    today = {f"{now + offset:%Y-%m-%d}" for offset in (WEST, timedelta(), EAST)}
    if run.parent_run_id:
        why = f"this run repeats run {run.parent_run_id}. Open that run in the Launchpad instead"
    elif found := [what for tag, what in AUTOMATIC.items() if tag in run.tags]:
        why = f"this run was started by {found[0]}. Use the Launchpad or a shell"
    elif launched_on.strip() not in today:
        why = f"launched_on is {launched_on!r}, which is not today's date. Set it to {now:%Y-%m-%d}"
    else:
        return
    raise dg.Failure(
        f"Nothing was sent: {why}. A run that writes to Refersion has to be launched by a person.",
        allow_retries=False,
    )


def check_writes_allowed(settings: Settings) -> None:
    """Raises dg.Failure unless the settings allow writes to Refersion."""
    if settings.actions.allow_writes:
        return
    off = "Nothing was sent: writing to Refersion is off."
    if wrong := settings.problem([ALLOW_WRITES]):
        raise dg.Failure(f"{off} {wrong}", allow_retries=False)
    raise dg.Failure(
        f"{off} Set {settings.variable(ALLOW_WRITES)}=true where Dagster runs (.env), or leave dry_run at true to see "
        "what would be sent. If both the environment and .env set it, both have to be true.",
        allow_retries=False,
    )


def _order(endpoint: Endpoint, config: ActionConfig, run_id: str) -> Order:
    errors = []
    given = config.dump_items()
    if not config.requested_by.strip():
        errors.append(InputError(None, "requested_by is empty; set it to the person who requests this."))
    if given and config.file:
        errors.append(InputError(None, "Both items and a file are set; use only one of them."))
    commission = Decimal(0)
    try:
        commission = read_amount(config.get_option("max_commission", MAX_COMMISSION))
    except ValueError as error:
        errors.append(InputError(None, f"max_commission {error}"))
    if errors:
        raise InputErrors(errors)
    source = str(Path(config.file).absolute()) if config.file else "configuration"
    return Order(
        endpoint=endpoint,
        rows=from_file(Path(config.file), endpoint) if config.file else from_configuration(given),
        asking=RequestContext(config.requested_by.strip(), run_id, source, config.purpose.strip()),
        limits=AmountLimits(config.max_items, commission),
        check_warehouse=config.check_warehouse,
        repeats=config.get_option("repeats", False),
        again=config.again,
        batch_size=config.get_option("batch_size", MOST_IN_A_CALL),
    )


def _refresh_before(
    context: dg.OpExecutionContext,
    names: Namespace,
    order: Order,
    refersion: RefersionResource,
    warehouse: Warehouse,
    dlt: DagsterDltResource,
) -> None:
    with warehouse.write_lock(context.log.info):
        reading = plan_refresh_before(order.endpoint, refersion, warehouse)
    if not reading.tables:
        return
    # Input errors are reported before any request to Refersion.
    preview(order, warehouse, lambda _: None)
    try:
        _read(context, names, reading, refersion, warehouse, dlt)
    except ReportedError as error:
        raise dg.Failure(
            f"Nothing was sent, because it could not be checked whether it was sent before: {error}",
            allow_retries=False,
        ) from error


def _read_again(
    context: dg.OpExecutionContext,
    names: Namespace,
    plan: Plan,
    sent: SendResult,
    refersion: RefersionResource,
    warehouse: Warehouse,
    dlt: DagsterDltResource,
) -> list[str]:
    """Reads the changed rows again. Returns the reasons, as messages, if they could not be read."""
    # Items with an unknown outcome are included, because they may have been carried out.
    touched = [item for item, result in sent.results if result.outcome in (Outcome.DONE, Outcome.UNKNOWN)]
    with warehouse.write_lock(context.log.info):
        reading = plan_refresh_after(plan.endpoint, touched, refersion, warehouse)
    if reading.why_not:
        context.log.warning(f"Changed rows are not read again: {reading.why_not}")
    try:
        _read(context, names, reading, refersion, warehouse, dlt)
    except ReportedError as error:
        return [
            "The items were sent and recorded, but the changed rows could not be read again; the next refresh "
            f"reads them: {error}"
        ]
    return []


def _read(
    context: dg.OpExecutionContext,
    names: Namespace,
    reading: Refresh,
    refersion: RefersionResource,
    warehouse: Warehouse,
    dlt: DagsterDltResource,
) -> None:
    """Reads raw tables and records their materializations. Raises ReportedError."""
    if not reading.tables:
        return
    for loaded in load_tables(context, names, refersion, warehouse, dlt, reading.request, reading.tables):
        assert loaded.asset_key  # noqa: S101 - load_tables names the asset of each result
        context.log_event(dg.AssetMaterialization(loaded.asset_key, metadata=loaded.metadata))
