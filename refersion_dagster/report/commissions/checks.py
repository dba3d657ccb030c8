"""What the checks last said, from Dagster's records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import dagster as dg

from refersion_dagster.checks.outcome import NOT_COMPARED

if TYPE_CHECKING:
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

# In the order in which a reader wants to see them.
Verdict = Literal["failed", "warning", "not finished", "outdated", "never run", "passed"]
VERDICTS: tuple[Verdict, ...] = ("failed", "warning", "not finished", "outdated", "never run", "passed")


@dataclass(frozen=True)
class CheckState:
    """What a check last said.

    Args:
        asset: what it checks, as summaries/conversions.
        verdict: failed, warning (failed, and only to be looked at), not finished (the last time it was begun), outdated
            (passed, on an earlier materialisation of the asset), never run, or passed.
        said: what a check that did not pass said.
        at: when it said so, UTC; None where it never did.
    """

    name: str
    asset: str
    verdict: Verdict
    said: str | None
    at: datetime | None


@dataclass(frozen=True)
class CheckGroup:
    """Checks of one name that came to the same, of which there is one for each of several assets."""

    name: str
    verdict: Verdict
    checks: tuple[CheckState, ...]

    @property
    def last(self) -> datetime | None:
        """When the last of them was evaluated."""
        return max((check.at for check in self.checks if check.at), default=None)


def check_states(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> list[CheckState]:
    """Last result of each check, those to be looked at first."""
    last = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    records = instance.get_asset_records(list({key.asset_key for key in keys}))
    entries = [record.asset_entry for record in records]
    materialised = {entry.asset_key: entry.last_materialization_storage_id for entry in entries}
    states = [_state(key, last.get(key), materialised.get(key.asset_key)) for key in keys]
    return sorted(states, key=lambda state: (VERDICTS.index(state.verdict), state.name, state.asset))


def grouped(states: Iterable[CheckState]) -> list[CheckGroup]:
    """The checks by name and verdict, in their order."""
    groups: dict[tuple[str, Verdict], list[CheckState]] = {}
    for state in states:
        groups.setdefault((state.name, state.verdict), []).append(state)
    return [CheckGroup(name, verdict, tuple(found)) for (name, verdict), found in groups.items()]


def _state(key: dg.AssetCheckKey, record: AssetCheckExecutionRecord | None, materialised: int | None) -> CheckState:
    asset = key.asset_key.to_user_string()
    if record is None:
        return CheckState(key.name, asset, "never run", None, None)
    event = record.event.dagster_event if record.event else None
    evaluation = record.evaluation
    # A check that a run has not come to, or broke off in, is only planned; Dagster gives its plan for an evaluation.
    if evaluation is None or event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        said = "It was started but has no result; the run's log says why."
        return CheckState(key.name, asset, "not finished", said, None)
    at = datetime.fromtimestamp(record.event.timestamp, UTC) if record.event else None
    if not evaluation.passed:
        verdict = "warning" if evaluation.severity == dg.AssetCheckSeverity.WARN else "failed"
        return CheckState(key.name, asset, verdict, evaluation.description, at)
    if NOT_COMPARED in evaluation.metadata:
        return CheckState(key.name, asset, "warning", evaluation.description, at)
    of = evaluation.target_materialization_data
    if of is not None and materialised is not None and of.storage_id < materialised:
        return CheckState(key.name, asset, "outdated", "It passed before the table was rebuilt.", at)
    return CheckState(key.name, asset, "passed", None, at)
