"""Dagster's records of runs, checks, schedules and its daemon. All use of undocumented Dagster API is in this module.

Dagster documents how to find runs and materialisations (get_run_records, get_latest_materialization_event); these are
used directly. It does not document how to read the log of a run, the last result of a check or the health of the
daemon. test_records.py tests every name and signature that this module depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

AT_ONCE = 500
WILL_RETRY_TAG = "dagster/will_retry"


@dataclass(frozen=True)
class LoggedError:
    """Why a step or a run failed.

    Args:
        reason: the message of the error itself, or of its cause.
        text: everything that was logged about it, with the classes of all errors.
    """

    reason: str
    text: str


@dataclass(frozen=True)
class CheckRecord:
    """The last execution of a check.

    Args:
        evaluation: its result; None if it started but has no result.
        at: the time of the result.
        is_outdated: whether the asset was materialised since then.
    """

    evaluation: dg.AssetCheckEvaluation | None
    at: datetime | None
    is_outdated: bool


@dataclass(frozen=True)
class DaemonState:
    """A daemon of Dagster; `beat` is the time of its last heartbeat, in seconds since 1970."""

    name: str
    is_healthy: bool
    beat: float | None


def open_records(home: Path) -> AbstractContextManager[dg.DagsterInstance]:
    """The records in a DAGSTER_HOME, regardless of the environment."""
    return dg.DagsterInstance.from_config(str(home))


def run_log(
    instance: dg.DagsterInstance, run_id: str, of_type: dg.DagsterEventType | None = None
) -> Sequence[dg.EventLogEntry]:
    """The complete log of a run, or its entries of one type."""
    return instance.all_logs(run_id, of_type=of_type)


def new_log(instance: dg.DagsterInstance, run_id: str, cursor: str | None) -> tuple[list[dg.EventLogEntry], str | None]:
    """New entries in the log of a run since the cursor, and the next cursor."""
    entries: list[dg.EventLogEntry] = []
    while instance.get_run_by_id(run_id):
        found = instance.get_records_for_run(run_id, cursor=cursor, limit=AT_ONCE)
        entries += [record.event_log_entry for record in found.records]
        cursor = found.cursor
        if not found.has_more:
            break
    return entries, cursor


def find_last_log_time(instance: dg.DagsterInstance, run_id: str) -> datetime | None:
    """The time of the last entry in the log of a run."""
    found = instance.get_records_for_run(run_id, limit=1, ascending=False).records
    return datetime.fromtimestamp(found[0].timestamp, UTC) if found else None


def error_of(entry: dg.EventLogEntry) -> LoggedError | None:
    """The error of an entry: of a step that failed or is retried, or of a run that failed outside its steps."""
    event, words, error = entry.dagster_event, None, None
    if event is None:
        return None
    if event.event_type is dg.DagsterEventType.STEP_FAILURE:
        data, error = event.step_failure_data.user_failure_data, event.step_failure_data.error
        words = data.description if data else None
    elif event.event_type is dg.DagsterEventType.STEP_UP_FOR_RETRY:
        error = event.step_retry_data.error
    elif event.event_type is dg.DagsterEventType.RUN_FAILURE:
        error = event.job_failure_data.error
    if error is None and not words:
        return None
    cause = (error.cause or error) if error else None
    text = error.to_string() if error else ""
    return LoggedError(words or (cause.message if cause else "") or entry.user_message, text)


def will_retry(run: dg.DagsterRun) -> bool:
    """Whether Dagster starts a failed run again (`run_retries` in `dagster.yaml`).

    Dagster sets this tag when the run fails, and corrects it if it cannot start the run again.
    """
    return run.tags.get(WILL_RETRY_TAG) == "true"


def seconds_to_retry(entry: dg.EventLogEntry) -> float | None:
    """The delay before a step is retried, in seconds."""
    return entry.get_dagster_event().step_retry_data.seconds_to_wait


def cancel_run(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> None:
    """Records that a run was cancelled."""
    instance.report_run_canceled(run, why)


def fail_run(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> None:
    """Records that a run failed outside its steps."""
    instance.report_run_failed(run, why)


def location_name(run: dg.DagsterRun) -> str | None:
    """The name of the code location from which Dagster launched a run. None for a run of a command."""
    origin = run.remote_job_origin
    return origin.repository_origin.code_location_origin.location_name if origin else None


def check_records(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, CheckRecord]:
    """The last execution of each check. Checks that were never executed are left out."""
    last = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    assets = [record.asset_entry for record in instance.get_asset_records(list({key.asset_key for key in keys}))]
    latest = {asset.asset_key: asset.last_materialization_storage_id for asset in assets}
    records = {}
    for key, record in last.items():
        # A check that a run did not reach or complete has only a planned execution.
        evaluation = record.event.asset_check_evaluation if record.event else None
        if record.event is None or evaluation is None:
            records[key] = CheckRecord(None, None, False)
            continue
        of, newest = evaluation.target_materialization_data, latest.get(key.asset_key)
        is_outdated = of is not None and newest is not None and of.storage_id < newest
        records[key] = CheckRecord(evaluation, datetime.fromtimestamp(record.event.timestamp, UTC), is_outdated)
    return records


def daemon_states(instance: dg.DagsterInstance) -> list[DaemonState]:
    """The daemons that this instance needs."""
    return [
        DaemonState(name, bool(state.healthy), state.last_heartbeat.timestamp if state.last_heartbeat else None)
        for name, state in instance.get_daemon_statuses().items()
        if state.required
    ]


def location_names(
    instance: dg.DagsterInstance, since: datetime, prefix: str, is_ours: Callable[[dg.DagsterRun], bool]
) -> set[str]:
    """Names of code locations that were active since then.

    Args:
        prefix: names of the schedules and sensors that count start with this.
        is_ours: whether a run counts.
    """
    found = set()
    for state in instance.all_instigator_state():
        if state.instigator_name.startswith(prefix) and instance.get_ticks(
            state.instigator_origin_id, state.selector_id, after=since.timestamp(), limit=1
        ):
            found.add(state.origin.repository_origin.code_location_origin.location_name)
    for record in instance.get_run_records(dg.RunsFilter(created_after=since)):
        if is_ours(record.dagster_run) and (name := location_name(record.dagster_run)):
            found.add(name)
    return found
