"""Writing to Refersion from a warehouse that does not enforce primary keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from refersion_dagster.actions.journal.completeness import JournalIncomplete
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.warehouse.errors import KeysNotEnforced
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of

ROUTE = "rest:/conversion/manual_credit"
RESULTS = f"SELECT affiliate_id, outcome, attempt, commission, copied_at FROM refersion_data.{CREDIT}"


def check_writing(destination: str, sandbox: SandboxServer, folder: Path) -> ActionsHarness:
    """It is refused without a journal elsewhere. With one, each item is sent once, and the results are copied."""
    without = ActionsHarness(sandbox, folder / "unused", destination)
    credits = [credit_of(without.affiliate(number)) for number in range(3)]
    with pytest.raises(KeysNotEnforced, match=r"does not enforce primary keys, .+ set REFERSION_JOURNAL="):
        without.perform(CREDIT, credits, check_warehouse=False)
    assert sandbox.requests() == {}

    actions = replace(without, journal_address=f"sqlite:///{folder / 'journal.sqlite'}")
    assert actions.perform(CREDIT, credits[:2], check_warehouse=False) == ["done", "done"]
    sandbox.fault(ROUTE, "reset", applied=True)
    assert actions.perform(CREDIT, credits, check_warehouse=False) == ["unknown"]
    assert actions.perform(CREDIT, credits, check_warehouse=False) == []
    assert actions.writes() == {ROUTE: 3}
    rows = sorted(actions.query(RESULTS))
    assert [(row[0], row[1]) for row in rows] == sorted(
        (str(credit["affiliate_id"]), outcome)
        for credit, outcome in zip(credits, ["done", "done", "unknown"], strict=True)
    )
    assert {(int(row[2]), f"{row[3]:.2f}", row[4] is None) for row in rows} == {(1, "12.50", False)}

    lost = replace(actions, journal_address=f"sqlite:///{folder / 'new.sqlite'}")
    with pytest.raises(JournalIncomplete, match=r"3 of 3 items in .+ are not in the journal"):
        lost.perform(CREDIT, credits, check_warehouse=False)
    assert actions.writes() == {ROUTE: 3}
    return actions
