"""Which runs of this code location are going on."""

from __future__ import annotations

import dagster as dg

# Names of the jobs that write to the warehouse; runs that were started from assets or by automation have Dagster's own.
JOBS = ("refersion_refresh", "refersion_reconcile", "refersion_backfill", "refersion_webhooks", "refersion_statements")
PREFIXES = ("refersion", "summaries", "published", "report", "actions")
IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def is_ours(run: dg.DagsterRun) -> bool:
    """Whether a run writes to the warehouse."""
    return run.job_name in JOBS or any(key.path[0] in PREFIXES for key in run.asset_selection or ())


def going_on(instance: dg.DagsterInstance) -> str | None:
    """A run that writes to the warehouse and has not ended, in words; None where there is none."""
    for run in instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS)):
        if is_ours(run):
            return f"run {run.run_id} ({run.job_name}) is still {run.status.value.lower().replace('_', ' ')}"
    return None
