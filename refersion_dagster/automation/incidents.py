"""Finds problems in Dagster's records: failed runs, failed checks, and late data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterEventType

from refersion_dagster.automation.active_runs import is_ours
from refersion_dagster.ingest.specs import asset_key
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.records import error_of, run_log, will_retry

# Maximum length of a reason in an alert. The link leads to the rest.
LONGEST_REASON = 600
# The table whose materialisations show how fresh the data is.
WATCHED = "conversions"


@dataclass(frozen=True)
class Incident:
    """A problem that should be reported to a person.

    Args:
        key: identifies the problem, however often it is found.
        title: a short description.
        text: what happened and what it means.
        run_id: the run in which it was found.
        may_be_refersion: whether an outage of Refersion may be the reason.
    """

    key: str
    title: str
    text: str
    run_id: str | None = None
    may_be_refersion: bool = False


@dataclass(frozen=True)
class RunIncidents:
    """The result of one finished run: problems, and the keys of solved problems."""

    problems: Sequence[Incident]
    solved: frozenset[str]


def incidents_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunIncidents:
    """The problems that a finished run has and those that it solves."""
    key = f"run {run.job_name}"
    failing, passing = _checks(instance, run)
    if run.status != dg.DagsterRunStatus.FAILURE:
        return RunIncidents(failing, frozenset({key, *passing}))
    if will_retry(run):
        # Its last attempt decides. But a retry does not repeat the checks of steps that succeeded.
        return RunIncidents(failing, frozenset(passing))
    reasons = list(dict.fromkeys(_reasons(instance, run)))
    # A blocking check fails its run: both are one problem.
    texts = [problem.text for problem in failing] or reasons or ["No step failed; see the run's log."]
    title = f"{run.job_name} failed" + (f": {failing[0].title}" if failing else "")
    return RunIncidents([Incident(key, title, "\n\n".join(texts), run.run_id, not failing)], frozenset(passing))


def _reasons(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[str]:
    """Why steps failed, as the errors' own messages."""
    for entry in run_log(instance, run.run_id, DagsterEventType.STEP_FAILURE):
        yield f"{entry.step_key or 'step'}: {reason_of(entry)}"


def reason_of(entry: dg.EventLogEntry) -> str:
    """Why a step failed or is retried, as the error's own message."""
    error = error_of(entry)
    return _shorten(error.reason if error else entry.user_message)


def _checks(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[list[Incident], set[str]]:
    """Checks of a run that failed with severity ERROR, and the keys of those that passed."""
    failing, passing = [], set()
    for entry in run_log(instance, run.run_id, DagsterEventType.ASSET_CHECK_EVALUATION):
        if not (found := entry.asset_check_evaluation):
            continue
        asset = found.asset_key.to_user_string()
        key = f"check {found.check_name} of {asset}"
        if found.passed:
            passing.add(key)
        elif found.severity == dg.AssetCheckSeverity.ERROR:
            rows = found.metadata.get("offending_rows")
            count = f" ({rows.value} rows)" if rows else ""
            failing.append(
                Incident(key, f"{key} failed", f"{key} failed{count}. {_shorten(found.description or '')}", run.run_id)
            )
    return failing, passing


def list_ended_runs(
    instance: dg.DagsterInstance, after: datetime, limit: int, names: Namespace = USUAL
) -> list[tuple[datetime, dg.DagsterRun]]:
    """Runs of this account that ended after the given time, earliest first, each with the time it ended."""
    records = instance.get_run_records(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE],
            updated_after=after,
        ),
        limit=limit,
        order_by="update_timestamp",
        ascending=True,
    )
    return [(record.update_timestamp, record.dagster_run) for record in records if is_ours(record.dagster_run, names)]


def find_late_load(
    instance: dg.DagsterInstance, now: datetime, allowed: timedelta, names: Namespace = USUAL
) -> Incident | None:
    """A problem if conversions were last read longer ago than allowed. None if they were never read."""
    event = instance.get_latest_materialization_event(asset_key(WATCHED, names))
    if event is None:
        return None
    read = datetime.fromtimestamp(event.timestamp, UTC)
    if now - read <= allowed:
        return None
    hours = int((now - read) / timedelta(hours=1))
    return Incident(
        "late",
        f"conversions are {hours} hours old",
        f"Conversions were last read from Refersion at {read:%Y-%m-%d %H:%M} UTC, {hours} hours ago. Figures are "
        "as of then. Check whether schedules and the daemon are running, and whether runs fail.",
        may_be_refersion=True,
    )


def _shorten(text: str) -> str:
    text = text.strip()
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} …"
