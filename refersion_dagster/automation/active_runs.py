"""Active runs of this code location."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.records import find_last_log_time

# Names of the jobs that write to the warehouse. Runs started from assets or by automation have Dagster's own job name.
JOBS = ("refersion_refresh", "refersion_reconcile", "refersion_backfill", "refersion_webhooks", "refersion_statements")
PREFIXES = ("refersion", "summaries", "published", "report", "actions")
IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def is_ours(run: dg.DagsterRun, names: Namespace = USUAL) -> bool:
    """Whether a run writes to the warehouse of an account."""
    if run.job_name in {names.name(job) for job in JOBS}:
        return True
    return any(path[0] in PREFIXES for key in run.asset_selection or () if (path := names.usual_path(key)))


# A run logs every window that it loads and every table that it builds. A run that was silent for this long was killed
# (machine down, out of memory), which Dagster does not notice for processes that it started on this machine.
LOST_AFTER = timedelta(hours=6)


def describe_active_run(
    instance: dg.DagsterInstance, now: datetime | None = None, names: Namespace = USUAL
) -> str | None:
    """Describes an unfinished run that writes to the warehouse. None if there is none."""
    for run in (record.dagster_run for record in instance.get_run_records(dg.RunsFilter(statuses=IN_PROGRESS))):
        if is_ours(run, names) and not is_lost(instance, run, now or datetime.now(UTC)):
            return f"run {run.run_id} ({run.job_name}) is still {run.status.value.lower().replace('_', ' ')}"
    return None


def is_lost(instance: dg.DagsterInstance, run: dg.DagsterRun, now: datetime) -> bool:
    """Whether a started run has been silent for so long that its process must be gone."""
    if run.status in (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED):
        return False
    logged = find_last_log_time(instance, run.run_id)
    return logged is not None and logged < now - LOST_AFTER
