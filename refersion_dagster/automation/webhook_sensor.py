"""Webhooks: the job that drains the inbox, and the sensor that starts it when events are waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from refersion_dagster.automation.active_runs import describe_active_run
from refersion_dagster.automation.jobs import EXECUTOR
from refersion_dagster.ingest.specs import asset_key
from refersion_dagster.ingest.webhooks.events import WebhookInbox
from refersion_dagster.ingest.webhooks.tables import WEBHOOK_EVENTS
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.webhooks.inbox_file import InboxError, NoInbox

JOB = "refersion_webhooks"
INTERVAL_SECONDS = 30
# After n consecutive failed runs, the first wait is doubled n - 1 times, up to the longest.
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(minutes=30)
FAILURES_SEEN = 10
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def webhook_job(names: Namespace = USUAL):
    """The job that drains the inbox."""
    return dg.define_asset_job(
        names.name(JOB),
        executor_def=EXECUTOR,
        selection=dg.AssetSelection.assets(asset_key(WEBHOOK_EVENTS.name, names)),
        description="Loads the events from the webhook inbox into the warehouse, applies conversions that are newer "
        "than the loaded ones, and reads the affected rows again.",
    )


def webhook_sensor(names: Namespace = USUAL) -> dg.SensorDefinition:
    """The sensor that starts the job."""

    @dg.sensor(
        name=names.name("refersion_webhook_inbox"),
        job_name=names.name(JOB),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run when events are waiting in the webhook inbox. Does nothing without an inbox.",
    )
    @names.rename_resources
    def check_inbox(context: dg.SensorEvaluationContext, webhook_inbox: WebhookInbox) -> dg.RunRequest | dg.SkipReason:
        """One run at a time takes all that waits; after runs that failed it waits longer and longer."""
        try:
            with webhook_inbox.open() as inbox:
                state = inbox.state()
        except NoInbox as error:
            return dg.SkipReason(f"{error} `refersion-dagster webhooks` creates it.")
        except InboxError as error:
            return dg.SkipReason(str(error))
        if not state.waiting:
            return dg.SkipReason("No events are waiting.")
        waiting = f"{state.waiting:,} event{'s' if state.waiting > 1 else ''} waiting"
        if running := describe_active_run(context.instance, names=names):
            return dg.SkipReason(f"{waiting}, but {running}.")
        if again_at := after_failures(context.instance, names):
            return dg.SkipReason(f"{waiting}, but the last run failed; the next one starts at {again_at:%H:%M:%S} UTC.")
        return dg.RunRequest(tags={"refersion/why": waiting})

    return check_inbox


refersion_webhook_inbox = webhook_sensor()


def after_failures(instance: dg.DagsterInstance, names: Namespace) -> datetime | None:
    """When to try again after failed runs of the job. None if that time has passed, or if the last run did not fail."""
    records = instance.get_run_records(dg.RunsFilter(job_name=names.name(JOB), statuses=ENDED), limit=FAILURES_SEEN)
    failures = 0
    for record in records:
        if record.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
            break
        failures += 1
    if not failures:
        return None
    ended = datetime.fromtimestamp(records[0].end_time or records[0].update_timestamp.timestamp(), UTC)
    again_at = ended + min(FIRST_WAIT * 2 ** (failures - 1), LONGEST_WAIT)
    return again_at if again_at > datetime.now(UTC) else None
