"""Refusals by Refersion, of items in a 200 response or of a whole call: nothing happened, and nothing is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from refersion_dagster.actions.operations.catalog import ENDPOINTS
from refersion_dagster.actions.operations.item_key import PlannedItem
from refersion_dagster.actions.operations.requests import ConversionStatusChange
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of

CHANGE = "conversion_status_change"
REFUSALS: list[tuple[int, dict[str, Any], str]] = [
    (204, {"error": "Invalid field notes"}, "an invalid field was sent (HTTP 204)."),
    (400, {"error": "Missing required field id"}, "Missing required field id"),
    (404, {"error": "Bad request, no body"}, "Bad request, no body"),
    (422, {"errors": ["Invalid affiliate ID (error 2)."]}, "Invalid affiliate ID (error 2)."),
    (429, {"error": "Max number of elements on attribute (50) reached."}, "Max number of elements"),
]


@pytest.mark.parametrize(("status", "body", "words"), REFUSALS, ids=[str(status) for status, _, _ in REFUSALS])
def test_a_refused_item_is_told_and_the_others_go_on(
    actions: ActionsHarness, status: int, body: dict[str, Any], words: str
) -> None:
    actions.sandbox.fault("rest:/conversion/manual_credit", "status", status=status, body=body)
    credits = [credit_of(actions.affiliate(number)) for number in range(2)]
    assert actions.send(CREDIT, credits) == ["refused", "done"]
    refused = next(entry for entry in actions.journal() if entry.outcome == "refused")
    assert words in (refused.message or "")
    # A repeated run sends them again only with `again`.
    assert actions.send(CREDIT, credits) == []
    assert actions.send(CREDIT, credits, again=True) == ["done"]
    assert len(actions.credits()) == 2


def test_attempts_at_an_item_are_counted(actions: ActionsHarness) -> None:
    actions.sandbox.fault("rest:/conversion/manual_credit", "status", status=400, body={"error": "No."}, times=3)
    credit = [credit_of(actions.affiliate())]
    outcomes = [actions.send(CREDIT, credit, again=True) for _ in range(4)]
    assert outcomes == [["refused"], ["refused"], ["refused"], ["done"]]
    kept = actions.query("SELECT attempt, outcome FROM refersion_data.action_journal ORDER BY attempt")
    assert kept == [(1, "refused"), (2, "refused"), (3, "refused"), (4, "done")]


def test_the_job_names_the_refused_row_and_fails(actions: ActionsHarness) -> None:
    actions.sandbox.fault("rest:/affiliate/trigger", "status", status=422, body={"errors": ["It is taken."]})
    trigger = {"affiliate_code": actions.affiliate().code, "type": "COUPON", "trigger": "TEN"}
    ended = actions.launch("affiliate_trigger", [trigger])
    assert not ended.success
    assert "1 item refused:" in ended.failure
    assert 'the request was refused (HTTP 422). Refersion said: "It is taken.".' in ended.failure
    assert "Correct them, or set `again: true`" in ended.failure
    assert ended.metadata["actions/affiliate_trigger"]["refused"] == 1
    assert actions.query("SELECT outcome FROM refersion_data.affiliate_trigger") == [("refused",)]


def test_a_refused_batch_is_refused_item_by_item(actions: ActionsHarness) -> None:
    """The sandbox responds with a 422 if no row of a batch can be changed."""
    rows = actions.conversions("DENIED")[:2]
    changes = [{"conversion_id": row.id, "status": "APPROVED"} for row in rows]
    assert actions.send(CHANGE, changes, check_warehouse=False) == ["refused", "refused"]
    assert {entry.message for entry in actions.journal()} == {
        'the request was refused (HTTP 422). Refersion said: "Cannot approve a denied conversion".'
    }


@pytest.mark.parametrize(
    ("answer", "outcomes"),
    [
        ({"ids_changed": ["A"], "ids_not_changed": ["B"]}, ["done", "not_changed"]),
        ({"ids_changed": [], "ids_not_changed": ["A", "B"]}, ["not_changed", "not_changed"]),
        ({"ids_changed": ["A"], "ids_not_changed": []}, ["done", "unknown"]),
        ({"ids_changed": ["A", "B"], "ids_not_changed": ["B"]}, ["done", "unknown"]),
        ({"ids_changed": "all"}, ["unknown", "unknown"]),
        ([], ["unknown", "unknown"]),
    ],
)
@pytest.mark.parametrize("kind", [int, str])
def test_each_id_is_looked_for_in_the_answer(answer: Any, outcomes: list[str], kind: type[int | str]) -> None:
    """Ids are numbers or strings. An id that is missing in the response is unknown."""
    ids = {"A": 11, "B": 22}
    if isinstance(answer, dict):
        answer = {
            name: [kind(ids[letter]) for letter in value] if isinstance(value, list) else value
            for name, value in answer.items()
        }
    items = [ConversionStatusChange(conversion_id=number, status="APPROVED") for number in ids.values()]
    asked = [PlannedItem(CHANGE, item, str(item.conversion_id), "item") for item in items]
    assert [result.outcome for result in ENDPOINTS[CHANGE].read(asked, answer)] == outcomes


def test_left_unchanged_is_no_failure_but_is_told(actions: ActionsHarness) -> None:
    trigger = {"affiliate_id": actions.affiliate().id, "type": "COUPON", "trigger": "NONE"}
    ended = actions.launch("trigger_delete", [trigger])
    assert ended.success
    assert any("not_changed: The affiliate has no such trigger." in line for line in ended.log)
    again = actions.launch("trigger_delete", [trigger])
    assert any(line.startswith("1 item already refused or left unchanged and not sent again") for line in again.log)
    assert actions.writes() == {"rest:/trigger/delete": 1}


@pytest.mark.parametrize(
    ("said", "outcome", "words"),
    [
        ("Affiliate 1 has already been manually credited for this order ID. (Error 6)", "done", "The credit exists."),
        ("This order ID is being process (error 5).", "not_done", "in a few minutes"),
        ("Failed while logging affiliate activity.", "unknown", "may have been carried out"),
        (
            "The following affiliates/conversion trigger does not exist in our records: 7.",
            "not_changed",
            "has no such trigger",
        ),
        ("Failed to delete conversion triggers.", "refused", "Failed to delete"),
    ],
)
def test_words_that_say_more_than_no(actions: ActionsHarness, said: str, outcome: str, words: str) -> None:
    """Items that exist or may have been carried out are not sent again; items that wait for Refersion are."""
    actions.sandbox.fault("rest:/conversion/manual_credit", "status", status=422, body={"errors": [said]})
    credit = [credit_of(actions.affiliate())]
    assert actions.send(CREDIT, credit) == [outcome]
    (entry,) = actions.journal()
    assert words in (entry.message or "")
    assert len(actions.credits()) == 0
    assert actions.send(CREDIT, credit) == (["done"] if outcome == "not_done" else [])
