"""Runs that are killed with SIGKILL at each point of a call: never two credits, never a silent loss."""

from __future__ import annotations

import os
import signal
from decimal import Decimal

import pytest

from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of
from refersion_dagster_tests.actions.processes import ended, killed, started
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.processes import soon

ROUTE = "rest:/conversion/manual_credit"
AMOUNT = Decimal("12.50")


@pytest.fixture
def actions(actions_with_journals: ActionsHarness) -> ActionsHarness:
    return actions_with_journals


# The first request reads Refersion's time.
@pytest.mark.parametrize(
    ("function", "event", "time", "intended", "sent"),
    limit_cases(
        [
            pytest.param("Journal.intend", "return", 1, True, False, id="after the intent"),
            pytest.param("Transport._send", "return", 2, True, True, id="after the answer"),
            pytest.param("Journal.intend", "call", 1, False, False, id="before the intent"),
            pytest.param("Transport._send", "call", 2, True, False, id="before the call"),
            pytest.param("Journal.record_outcomes", "call", 1, True, True, id="before it is recorded"),
        ],
        2,
    ),
)
def test_a_run_killed_there_sends_nothing_twice(
    actions: ActionsHarness, function: str, event: str, time: int, intended: bool, sent: bool
) -> None:
    credit = [credit_of(actions.affiliate())]
    killed(lambda: actions.send(CREDIT, credit), function, event, time)
    assert actions.credits() == [AMOUNT] * sent

    again = actions.send(CREDIT, credit)

    assert again == ([] if intended else ["done"])
    assert actions.outcomes() == ["unknown" if intended else "done"]
    assert actions.credits() == [AMOUNT] * (sent or not intended)


@pytest.mark.parametrize("acts", [True, False], ids=["acts", "does not act"])
def test_a_run_killed_while_refersion_has_the_request_sends_nothing_twice(actions: ActionsHarness, acts: bool) -> None:
    actions.sandbox.fault(ROUTE, "latency", seconds=0.3)
    if not acts:
        actions.sandbox.fault(ROUTE, "500")
    credit = [credit_of(actions.affiliate())]
    child = started(lambda: actions.send(CREDIT, credit))
    assert soon(lambda: actions.writes() == {ROUTE: 1})
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    assert actions.credits() == []

    assert actions.send(CREDIT, credit) == []

    assert actions.outcomes() == ["unknown"]
    # The server still carries out the request after its client is gone.
    assert soon(lambda: actions.credits() == [AMOUNT] * acts)
    assert actions.writes() == {ROUTE: 1}


@pytest.mark.processes
@pytest.mark.parametrize(
    ("function", "event"),
    [("Journal.record_outcomes", "return"), ("result_tables._load", "return")],
    ids=["after it is recorded", "after it is loaded"],
)
def test_a_run_killed_after_the_answer_is_made_up_for_by_the_next(
    actions: ActionsHarness, function: str, event: str
) -> None:
    credit = [credit_of(actions.affiliate())]
    killed(lambda: actions.perform(CREDIT, credit), function, event)

    assert actions.perform(CREDIT, credit) == []

    assert actions.outcomes() == ["done"]
    assert actions.credits() == [AMOUNT]
    assert actions.query("SELECT count(*), min(outcome) FROM refersion_data.conversion_manual_credit") == [(1, "done")]


@pytest.mark.exhaustive
def test_killed_again_and_again_a_file_is_sent_once(actions: ActionsHarness) -> None:
    """Each run is killed in its second call. Nobody settles the open items, and no run sends them."""
    credits = [credit_of(actions.affiliate(number), commission=f"{number + 1}.00") for number in range(8)]
    for _ in range(4):
        killed(lambda: actions.send(CREDIT, credits), "Transport._send", "return", 3)
    assert actions.send(CREDIT, credits) == []
    assert sorted(actions.credits()) == [Decimal(number + 1) for number in range(8)]
    assert actions.writes() == {ROUTE: 8}
    assert sorted(actions.outcomes()) == ["done"] * 4 + ["unknown"] * 4
