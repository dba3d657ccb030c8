"""Reads around a write: credits of other warehouses before it, and changed rows after it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from refersion_dagster.actions.orchestration.refresh import plan_refresh_after
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of
from refersion_dagster_tests.actions.test_dry_run import items_of

ROUTE = "rest:/conversion/manual_credit"


@pytest.mark.exhaustive
def test_a_credit_of_another_warehouse_is_seen_before_it_is_sent_again(actions: ActionsHarness, tmp_path: Path) -> None:
    """Two warehouses of one account have two journals."""
    (tmp_path / "other").mkdir()
    shutil.copy(actions.database, tmp_path / "other" / "warehouse.duckdb")
    other = ActionsHarness(actions.sandbox, tmp_path / "other" / "warehouse.duckdb")
    credit = [credit_of(actions.affiliate())]
    assert other.send(CREDIT, credit) == ["done"]
    ended = actions.launch(CREDIT, credit)
    assert not ended.success
    assert "item 1: was already sent: conversion" in ended.failure
    assert actions.writes() == {ROUTE: 1}


def test_nothing_is_sent_where_that_cannot_be_seen(actions: ActionsHarness) -> None:
    actions.sandbox.fault("graphql:conversions", "500", times=None)
    ended = actions.launch(CREDIT, [credit_of(actions.affiliate())])
    assert "Nothing was sent, because it could not be checked whether it was sent before: " in ended.failure
    assert actions.writes() == {}


@pytest.mark.exhaustive
def test_what_cannot_be_read_again_is_told_and_what_was_sent_is_recorded(actions: ActionsHarness) -> None:
    actions.sandbox.fault("rest:/affiliate/get", "500", times=None)
    person = actions.affiliate()
    ended = actions.launch("affiliate_edit", [{"affiliate_id": person.id, "company": "Acme"}])
    assert not ended.success
    assert "The items were sent and recorded, but the changed rows could not be read again" in ended.failure
    assert actions.outcomes() == ["done"]
    assert actions.query("SELECT outcome FROM refersion_data.affiliate_edit") == [("done",)]


def test_an_open_item_is_shown_with_what_refersion_says_of_it_now(actions: ActionsHarness) -> None:
    credit = [credit_of(actions.affiliate())]
    actions.sandbox.fault(ROUTE, "reset", applied=True)
    assert actions.send(CREDIT, credit) == ["unknown"]
    ended = actions.launch(CREDIT, credit)
    assert "1 item not sent, because it is not known whether they were already carried out:" in ended.failure
    assert "and the response was lost. Refersion now: it was done. Found in Refersion: the notes of" in ended.failure
    assert actions.outcomes() == ["unknown"]


class TestWhatIsReadAgain:
    @pytest.mark.parametrize(
        ("endpoint", "was_loaded", "token", "why"),
        [
            ("conversion_cancel", False, "gql_token_of_some_length", "conversions were never loaded"),
            ("conversion_cancel", True, None, "REFERSION_GRAPHQL_TOKEN is not set"),
            ("affiliate_trigger", True, "gql_token_of_some_length", None),
        ],
    )
    def test_is_nothing_where_nothing_can_be(
        self,
        actions: ActionsHarness,
        tmp_path: Path,
        endpoint: str,
        was_loaded: bool,
        token: str | None,
        why: str | None,
    ) -> None:
        order = actions.order(endpoint, items_of(actions)[endpoint])
        warehouse = (
            actions.warehouse if was_loaded else ActionsHarness(actions.sandbox, tmp_path / "empty.duckdb").warehouse
        )
        (call,) = actions.plan(order).calls
        reading = plan_refresh_after(order.endpoint, call, actions.account(graphql_token=token), warehouse)
        assert list(reading.tables) == []
        assert (why or "") in (reading.why_not or "")

    def test_goes_back_to_the_oldest_conversion_that_changed(self, actions: ActionsHarness) -> None:
        rows = sorted(actions.conversions("PENDING"), key=lambda row: row.created)
        changes = [{"conversion_id": row.id, "status": "APPROVED"} for row in (rows[-1], rows[0])]
        order = actions.order("conversion_status_change", changes)
        (call,) = actions.plan(order).calls
        days = plan_refresh_after(order.endpoint, call, actions.account(), actions.warehouse).request.lookback_days
        age = (actions.sandbox.account.now - rows[0].created) / 86_400
        assert days is not None
        assert age <= days < age + 1.01
