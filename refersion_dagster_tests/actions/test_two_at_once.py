"""Two simultaneous runs with the same items send each item once, wherever the journal is."""

from __future__ import annotations

import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from filelock import FileLock

from refersion_dagster.actions.execution.sender import send, send_all
from refersion_dagster.actions.journal.journal import AlreadyUnderWay, RequestContext
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of
from refersion_dagster_tests.actions.processes import ended, started
from refersion_dagster_tests.marks import limit_cases


@pytest.fixture
def actions(actions_with_journals: ActionsHarness) -> ActionsHarness:
    return actions_with_journals


@pytest.mark.processes
def test_processes_queue_up_and_the_second_finds_everything_done(actions: ActionsHarness) -> None:
    credits = [credit_of(actions.affiliate(number), commission=f"{number + 1}.00") for number in range(6)]
    with FileLock(f"{actions.database}.lock"):
        # Both wait for the lock, so that they start together.
        runs = [started(lambda run=run: actions.send(CREDIT, credits, run=run)) for run in ("one", "other")]
    assert [ended(run) for run in runs] == [0, 0]
    assert sorted(actions.credits()) == [Decimal(number + 1) for number in range(6)]
    assert actions.writes() == {"rest:/conversion/manual_credit": 6}
    assert {entry.outcome.value for entry in actions.journal()} == {"done"}
    assert len({entry.run_id for entry in actions.journal()}) == 1


def test_who_lost_the_right_to_write_sends_nothing_that_another_sends(actions: ActionsHarness) -> None:
    """A lock held by a connection may be lost with it; the journal's primary key still protects."""
    order = actions.order(CREDIT, [credit_of(actions.affiliate())])
    plan, other = actions.plan(order), actions.plan(order)
    with actions.unlocked_journal() as mine, actions.unlocked_journal() as theirs:
        theirs.intend(other.calls[0], other.earlier, other.asking, None)
        account = actions.account().account()
        sent = send_all(plan, mine, account.rest, print)
        account.close()
    assert isinstance(sent.problem, AlreadyUnderWay)
    assert (sent.results, sent.left) == ([], 1)
    assert actions.writes() == {}


def test_of_a_batch_nothing_is_recorded_where_one_is_sent_by_another(actions: ActionsHarness) -> None:
    rows = actions.conversions("PENDING")[:3]
    changes = [{"conversion_id": row.id, "status": "APPROVED"} for row in rows]
    (call,) = actions.plan(actions.order("conversion_status_change", changes)).calls
    with actions.unlocked_journal() as journal:
        journal.intend(call[1:2], {}, RequestContext("Ada", "other", "", ""), None)
        with pytest.raises(AlreadyUnderWay, match="nothing of that call was sent"):
            journal.intend(call, {}, RequestContext("Ada", "mine", "", ""), None)
    assert [entry.run_id for entry in actions.journal()] == ["other"]


def test_an_answer_is_recorded_although_another_run_gave_the_call_up(actions: ActionsHarness) -> None:
    """The other run held the lock and assumed that this run was dead, but it was not."""
    plan = actions.plan(actions.order(CREDIT, [credit_of(actions.affiliate())]))
    (call,) = plan.calls
    with actions.unlocked_journal() as mine, actions.unlocked_journal() as theirs:
        call_id = mine.intend(call, plan.earlier, plan.asking, None)
        assert theirs.give_up_pending() == 1
        account = actions.account().account()
        answered = send(plan.endpoint, call, account.rest)
        account.close()
        mine.record_outcomes(call_id, call, answered.results, answered.answer)
    assert actions.outcomes() == ["done"]


@pytest.mark.processes
@pytest.mark.parametrize("actions_with_journals", limit_cases(["sqlite", "postgres"]), indirect=True)
def test_two_warehouses_with_one_journal_send_each_item_once(actions: ActionsHarness) -> None:
    """Neither of the warehouses' locks keeps the other run out."""
    other = replace(actions, database=Path(shutil.copy(actions.database, f"{actions.database}.other")))
    credits = [credit_of(actions.affiliate(number), commission=f"{number + 1}.00") for number in range(6)]
    runs = [started(lambda one=one: one.perform(CREDIT, credits)) for one in (actions, other)]
    assert [ended(run) for run in runs] == [0, 0]
    assert sorted(actions.credits()) == [Decimal(number + 1) for number in range(6)]
    assert actions.writes() == {"rest:/conversion/manual_credit": 6}
    # Both warehouses have the results, whichever sent them.
    for one in (actions, other):
        assert one.query(f"SELECT count(*), min(outcome), max(outcome) FROM refersion_data.{CREDIT}") == [
            (6, "done", "done")
        ]
