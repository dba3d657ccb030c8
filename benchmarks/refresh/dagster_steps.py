"""Figures of a run from Dagster's records."""

from pathlib import Path

import dagster as dg
from dagster import DagsterEventType

from refersion_dagster.summaries.query import load_summaries

STEPS = {"refersion_tables": "load", "published__summaries": "published copies", "report__commissions": "report"}
SUMMARY_STEPS = {f"summaries__{summary.name}": "summaries" for summary in load_summaries()}
CHECKS = "checks"
PARTS = ("load", "summaries", CHECKS, "published copies", "report")


def step_seconds(home: Path) -> dict[str, float]:
    """Seconds of each part of the only run in a Dagster home.

    The checks of the summaries' keys count as part of the summaries.
    """
    seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    for step, taken in seconds_by_step(home).items():
        seconds[(STEPS | SUMMARY_STEPS).get(step, CHECKS)] += taken
    return seconds


def seconds_by_step(home: Path) -> dict[str, float]:
    """Seconds of each successful step of the last run in a Dagster home."""
    started: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for entry in _logs(home):
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        if event.event_type is DagsterEventType.STEP_START:
            started[event.step_key] = entry.timestamp
        elif event.event_type is DagsterEventType.STEP_SUCCESS:
            seconds[event.step_key] = entry.timestamp - started[event.step_key]
    return seconds


def check_count(home: Path) -> int:
    """Number of checks that the last run evaluated."""
    found = (entry.dagster_event for entry in _logs(home))
    return sum(event is not None and event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION for event in found)


def _logs(home: Path) -> list[dg.EventLogEntry]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        (run,) = instance.get_runs(limit=1)
        return list(instance.all_logs(run.run_id))
