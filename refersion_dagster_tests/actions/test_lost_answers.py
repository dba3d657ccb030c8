"""A call whose response was lost is never repeated automatically, whether or not Refersion carried it out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from refersion_dagster.actions.operations.outcomes import Outcome
from refersion_dagster.refersion.errors import InvalidCredentials, ServerUnavailable
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of

ROUTE = "rest:/conversion/manual_credit"
NO_ANSWER = [("reset", {}), ("500", {}), ("503-html", {}), ("status", {"status": 504}), ("status", {"status": 302})]


@pytest.mark.parametrize(("kind", "details"), NO_ANSWER, ids=["reset", "500", "503", "504", "302"])
def test_an_item_without_an_answer_is_unknown_and_stays_so(
    actions: ActionsHarness, kind: str, details: dict[str, Any]
) -> None:
    """This holds whether or not Refersion carried it out."""
    credits = [credit_of(actions.affiliate(number), commission=f"{number + 1}.00") for number in range(2)]
    for applied in (True, False):
        actions.sandbox.fault(ROUTE, kind, applied=applied, **details)
        assert actions.send(CREDIT, credits) == ["unknown"]
    assert actions.send(CREDIT, credits) == []
    assert actions.writes() == {ROUTE: 2}
    assert actions.credits() == [Decimal("1.00")]
    assert actions.outcomes() == ["unknown", "unknown"]


@pytest.mark.parametrize("kind", ["truncated", "truncated-json"])
def test_an_answer_that_is_cut_off_is_none(actions: ActionsHarness, kind: str) -> None:
    actions.sandbox.fault(ROUTE, kind)
    assert actions.send(CREDIT, [credit_of(actions.affiliate())]) == ["unknown"]
    assert actions.credits() == [Decimal("12.50")]


@pytest.mark.parametrize("body", [{}, [], "done", {"conversion_id": None}, {"message": "OK"}])
def test_a_200_that_does_not_tell_leaves_the_item_unknown(actions: ActionsHarness, body: Any) -> None:
    actions.sandbox.fault(ROUTE, "status", status=200, body=body, applied=True)
    assert actions.send(CREDIT, [credit_of(actions.affiliate())]) == ["unknown"]
    (entry,) = actions.journal()
    assert entry.message == "Refersion responded with 200, but without an outcome for this item."


def test_the_run_stops_there_and_the_next_goes_on_with_the_others(actions: ActionsHarness) -> None:
    credits = [credit_of(actions.affiliate(number)) for number in range(4)]
    actions.sandbox.fault(ROUTE, "reset", after=1, applied=True)
    assert actions.send(CREDIT, credits) == ["done", "unknown"]
    assert actions.send(CREDIT, credits) == ["done", "done"]
    assert actions.send(CREDIT, credits) == []
    assert actions.writes() == {ROUTE: 4}
    assert sorted(actions.outcomes()) == ["done", "done", "done", "unknown"]


def test_a_lost_batch_is_unknown_item_by_item(actions: ActionsHarness) -> None:
    rows = actions.conversions("PENDING")[:3]
    actions.sandbox.fault("rest:/conversion/status_change", "500", applied=True)
    changes = [{"conversion_id": row.id, "status": "APPROVED"} for row in rows]
    assert actions.send("conversion_status_change", changes) == ["unknown"] * 3
    assert actions.send("conversion_status_change", changes) == []
    assert len({entry.call_id for entry in actions.journal()}) == 1


def test_the_job_fails_names_the_item_and_says_how_to_settle_it(actions: ActionsHarness) -> None:
    actions.sandbox.fault("rest:/affiliate/trigger", "reset", applied=True)
    code = actions.affiliate().code
    triggers = [{"affiliate_code": code, "type": "COUPON", "trigger": f"TEN{number}"} for number in range(3)]
    first = actions.launch("affiliate_trigger", triggers)
    assert not first.success
    assert "The run stopped after 1 of 3 items: /affiliate/trigger: the connection to" in first.failure
    assert "2 items not started; the next run continues there." in first.failure
    (key,) = [entry.key for entry in actions.journal()]
    assert f"- item 1 (key {key}): unknown: the connection to" in first.failure
    assert "`refersion-dagster actions settle KEY`" in first.failure

    again = actions.launch("affiliate_trigger", triggers[:1])
    assert not again.success
    assert (
        f"1 item not sent, because it is not known whether they were already carried out:\n- item 1 (key {key})"
        in again.failure
    )
    assert actions.writes() == {"rest:/affiliate/trigger": 1}


class TestWhatCannotHaveHappened:
    def test_is_sent_by_the_next_run(self, actions: ActionsHarness) -> None:
        """The server becomes unavailable after the keys were tested: no outcome is unknown."""
        actions.sandbox.fault(ROUTE, "429", times=None)
        credit = [credit_of(actions.affiliate())]
        assert actions.send(CREDIT, credit) == ["not_done"]
        actions.sandbox.clear_faults()
        assert actions.send(CREDIT, credit) == ["done"]
        (entry,) = actions.journal()
        assert entry.attempt == 2
        assert actions.credits() == [Decimal("12.50")]

    def test_too_many_calls_are_slowed_down(self, actions: ActionsHarness) -> None:
        actions.sandbox.fault(ROUTE, "429-retry-after", times=2, seconds=0.01)
        account = actions.account(retry_seconds=20)
        assert actions.send(CREDIT, [credit_of(actions.affiliate())], account=account) == ["done"]
        assert actions.writes() == {ROUTE: 3}

    def test_keys_that_do_not_serve_are_told_before_anything_is_recorded(self, actions: ActionsHarness) -> None:
        with pytest.raises(InvalidCredentials):
            actions.send(CREDIT, [credit_of(actions.affiliate())], account=actions.account(api_key="sec_wrong_key_1"))
        assert actions.journal() == []
        assert actions.writes() == {}

    def test_so_is_a_server_that_is_not_there(self, actions: ActionsHarness) -> None:
        account = actions.account(rest_url="http://127.0.0.1:9/v2")
        with pytest.raises(ServerUnavailable):
            actions.send(CREDIT, [credit_of(actions.affiliate())], account=account)
        assert actions.journal() == []

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (401, {"error": "Invalid API credentials (error 2)."}),
            (403, {"message": "Forbidden"}),
            (422, {"errors": ["Your account plan does not support this feature (error 1)."]}),
        ],
    )
    def test_a_closed_door_stops_the_run_and_nothing_is_lost(
        self, actions: ActionsHarness, status: int, body: dict[str, Any]
    ) -> None:
        actions.sandbox.fault(ROUTE, "status", status=status, body=body, after=1)
        credits = [credit_of(actions.affiliate(number)) for number in range(3)]
        assert actions.send(CREDIT, credits) == ["done", "not_done"]
        assert actions.send(CREDIT, credits) == ["done", "done"]
        assert len(actions.credits()) == 3


def test_every_outcome_has_its_meaning_told() -> None:
    from refersion_dagster.actions.operations.outcomes import MEANING

    assert set(MEANING) == set(Outcome)
