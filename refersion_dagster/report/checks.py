"""The last results of checks, from Dagster's records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import dagster as dg

from refersion_dagster.checks.outcome import NOT_COMPARED
from refersion_dagster.records import CheckRecord, check_records

# In display order.
Verdict = Literal["failed", "warning", "not finished", "outdated", "never run", "passed"]
VERDICTS: tuple[Verdict, ...] = ("failed", "warning", "not finished", "outdated", "never run", "passed")


@dataclass(frozen=True)
class CheckState:
    """The last result of a check.

    Args:
        asset: the checked asset, such as summaries/conversions.
        verdict: failed, warning (failed with severity warning, or not compared), not finished (its last run did not
            end),
            outdated (passed on an earlier materialization of the asset), never run, or passed.
        said: description of a result other than passed.
        at: time of the result, UTC; None if there is none.
    """

    name: str
    asset: str
    verdict: Verdict
    said: str | None
    at: datetime | None


@dataclass(frozen=True)
class CheckGroup:
    """Checks of different assets with the same name and verdict."""

    name: str
    verdict: Verdict
    checks: tuple[CheckState, ...]

    @property
    def last(self) -> datetime | None:
        """When the most recent of them was evaluated."""
        return max((check.at for check in self.checks if check.at), default=None)


def check_states(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> list[CheckState]:
    """Returns the last result of each check, sorted by verdict, worst first."""
    last = check_records(instance, keys)
    states = [_state(key, last.get(key)) for key in keys]
    return sorted(states, key=lambda state: (VERDICTS.index(state.verdict), state.name, state.asset))


def group_checks(states: Iterable[CheckState]) -> list[CheckGroup]:
    """Groups checks by name and verdict, in their order."""
    groups: dict[tuple[str, Verdict], list[CheckState]] = {}
    for state in states:
        groups.setdefault((state.name, state.verdict), []).append(state)
    return [CheckGroup(name, verdict, tuple(found)) for (name, verdict), found in groups.items()]


def _state(key: dg.AssetCheckKey, record: CheckRecord | None) -> CheckState:
    asset = key.asset_key.to_user_string()
    if record is None:
        return CheckState(key.name, asset, "never run", None, None)
    evaluation, at = record.evaluation, record.at
    if evaluation is None:
        said = "It was started but has no result; the run's log says why."
        return CheckState(key.name, asset, "not finished", said, None)
    if not evaluation.passed:
        verdict = "warning" if evaluation.severity == dg.AssetCheckSeverity.WARN else "failed"
        return CheckState(key.name, asset, verdict, evaluation.description, at)
    if NOT_COMPARED in evaluation.metadata:
        return CheckState(key.name, asset, "warning", evaluation.description, at)
    if record.is_outdated:
        return CheckState(key.name, asset, "outdated", "It passed before the table was rebuilt.", at)
    return CheckState(key.name, asset, "passed", None, at)
