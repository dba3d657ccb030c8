"""What the checks last said, from Dagster's records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import dagster as dg

from refersion_dagster.checks.outcome import NOT_COMPARED
from refersion_dagster.records import CheckRecord, check_records

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
    last = check_records(instance, keys)
    states = [_state(key, last.get(key)) for key in keys]
    return sorted(states, key=lambda state: (VERDICTS.index(state.verdict), state.name, state.asset))


def grouped(states: Iterable[CheckState]) -> list[CheckGroup]:
    """The checks by name and verdict, in their order."""
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
