"""A dry run shows exactly what would be sent, and sends nothing."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest

from refersion_dagster.actions.execution.executor import preview
from refersion_dagster.actions.operations.catalog import ENDPOINTS
from refersion_dagster.actions.orchestration.run import check_writes_allowed
from refersion_dagster.refersion.api.rest import encoded
from refersion_dagster.settings import ALLOW_WRITES, Settings
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, by_hand, credit_of, job_of
from refersion_dagster_tests.location import fresh_instance, resources


def items_of(actions: ActionsHarness) -> dict[str, list[dict[str, Any]]]:
    """Returns at least one valid item for each operation."""
    person, other = actions.affiliate(0), actions.affiliate(1)
    pending, approved = actions.conversions("PENDING"), actions.conversions("APPROVED")
    offer = next(iter(actions.sandbox.account.offers))
    cancelled = actions.sandbox.account.cancelled
    order = next(row.order_id for row in approved if row.order_id and row.total > 0 and row.id not in cancelled)
    new = {"first_name": "A", "last_name": "B", "email": "new@example.com", "status": "ACTIVE", "offer_id": offer}
    return {
        "affiliate_new": [new],
        "affiliate_status_change": [{"affiliate_id": one.id, "status": "DISABLED"} for one in (person, other)],
        "affiliate_edit": [{"affiliate_id": person.id, "city": "Rome", "offer_id": offer}],
        "affiliate_trigger": [{"affiliate_code": person.code, "type": "COUPON", "trigger": "TEN"}],
        "trigger_delete": [{"affiliate_id": person.id, "type": "COUPON", "trigger": "TEN"}],
        CREDIT: [credit_of(person, "12.5")],
        "conversion_manual_credit_order_id": [{"affiliate_id": person.id, "order_id": order, "status": "PENDING"}],
        "conversion_status_change": [{"conversion_id": row.id, "status": "APPROVED"} for row in pending[:2]],
        "conversion_cancel": [{"order_id": order, "skus": [{"sku": "A", "price": "9.90", "quantity": 2}]}],
        "new_sku_commission": [
            {"offer_id": offer, "sku": "A", "commission_type": "FLAT_RATE", "commission_amount": "1.50"}
        ],
    }


def expected(actions: ActionsHarness) -> dict[str, dict[str, Any]]:
    """Returns the bodies according to Refersion's published contract."""
    items = items_of(actions)
    person, offer = actions.affiliate(0).id, next(iter(actions.sandbox.account.offers))
    return {
        "affiliate_new": {
            **{name: items["affiliate_new"][0][name] for name in ("first_name", "last_name", "email", "status")},
            "offer": str(offer),
            "password": "[generated when sent]",
            "send_welcome": "TRUE",
        },
        "affiliate_status_change": {"ids": [person, actions.affiliate(1).id], "status": "DISABLED"},
        "affiliate_edit": {"affiliates": [{"id": person, "city": "Rome", "offer": offer}]},
        "affiliate_trigger": items["affiliate_trigger"][0],
        "trigger_delete": {"affiliates": [{"id": person, "type": "COUPON", "trigger": "TEN"}]},
        CREDIT: {"id": person, "commission": 12.5, "currency": "USD", "status": "PENDING", "notes": "Bonus [ref …]"},
        "conversion_manual_credit_order_id": {
            "id": person,
            "order_id": items["conversion_cancel"][0]["order_id"],
            "status": "PENDING",
            "notes": "[ref …]",
        },
        "conversion_status_change": {
            "ids": [item["conversion_id"] for item in items["conversion_status_change"]],
            "status": "APPROVED",
        },
        "conversion_cancel": {
            "order_id": items["conversion_cancel"][0]["order_id"],
            "items": [{"sku": "A", "price": 9.9, "quantity": 2}],
        },
        "new_sku_commission": {
            "offer_id": str(offer),
            "skus": [{"sku": "A", "commission_type": "FLAT_RATE", "commission_amount": "1.50"}],
        },
    }


def shown(actions: ActionsHarness, endpoint: str, *, allowed: bool = True, **config: Any) -> dict[str, Any]:
    """Returns the metadata of a run without dry_run in its configuration."""
    given = {**by_hand(), "items": items_of(actions)[endpoint], **config}
    with fresh_instance() as instance:
        ended = job_of(ENDPOINTS[endpoint], allowed).execute_in_process(
            instance=instance,
            run_config={"ops": {endpoint: {"config": given}}},
            resources=resources(actions.account(), actions.warehouse),
        )
        (observed,) = [event for event in ended.all_node_events if event.event_type_value == "ASSET_OBSERVATION"]
    metadata = observed.asset_observation_data.asset_observation.metadata
    return {name: value.value for name, value in metadata.items()}


def test_it_is_what_happens_without_a_word_and_shows_the_very_calls(actions: ActionsHarness) -> None:
    told = shown(actions, CREDIT, allowed=False)
    assert actions.sandbox.requests() == {}
    assert told["dry_run"] is True
    (call,) = told["would_send"]
    assert call["path"] == "/conversion/manual_credit"
    assert without_reference(json.loads(call["body"])) == expected(actions)[CREDIT]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_bodies_are_those_of_the_published_contract(actions: ActionsHarness, endpoint: str) -> None:
    order = actions.order(endpoint, items_of(actions)[endpoint])
    (call,) = preview(order, actions.warehouse, print).calls
    assert without_reference(json.loads(encoded(order.endpoint.body(call)))) == expected(actions)[endpoint]
    assert actions.sandbox.requests() == {}


def without_reference(body: dict[str, Any]) -> dict[str, Any]:
    return body | ({"notes": body["notes"].partition("[ref ")[0] + "[ref …]"} if "notes" in body else {})


def test_amounts_are_shown_as_they_are_sent(actions: ActionsHarness) -> None:
    (call,) = shown(actions, CREDIT)["would_send"]
    assert '"commission":12.5,' in call["body"]


def told(actions: ActionsHarness, endpoint: str, items: list[dict[str, Any]]) -> list[str]:
    """Returns the messages of a dry run."""
    words: list[str] = []
    preview(actions.order(endpoint, items), actions.warehouse, words.append)
    return words


def test_credits_name_the_affiliate_and_what_is_taken_back_has_a_sign(actions: ActionsHarness) -> None:
    person, other = actions.affiliate(0), actions.affiliate(1)
    back = {"affiliate_id": other.id, "commission": "-3.20", "currency": "EUR", "status": "PENDING", "notes": "Error"}
    credits = [credit_of(person, "12.5"), credit_of(person, "1"), back]
    assert told(actions, CREDIT, credits) == [
        "3 items to send in 3 calls, -3.20 EUR of commission taken back, 13.50 USD of commission",
        f"item 1: {person.first_name} {person.last_name} ({person.id}): 12.50 USD",
        f"item 2: {person.first_name} {person.last_name} ({person.id}): 1.00 USD",
        f"item 3: {other.first_name} {other.last_name} ({other.id}): -3.20 EUR (taken back)",
    ]
    with actions.warehouse.session() as session:
        session.create_schema("refersion_summaries")
        session.query("CREATE TABLE refersion_summaries.currencies AS SELECT 'USD' AS currency, 1 AS place")
    in_order = "3 items to send in 3 calls, 13.50 USD of commission, -3.20 EUR of commission taken back"
    assert told(actions, CREDIT, credits)[0] == in_order


def test_every_operation_on_an_affiliate_names_who_it_is(actions: ActionsHarness) -> None:
    """This holds for items with the affiliate's id, code, order or conversion."""
    person = actions.affiliate(0)
    named = f"item 1: {person.first_name} {person.last_name} ({person.id})"
    for endpoint, items in items_of(actions).items():
        _, *lines = told(actions, endpoint, items)
        if endpoint == "affiliate_new":
            assert lines == ["item 1: A B (new)"]
        elif endpoint == "new_sku_commission":
            assert lines == []
        elif endpoint in ("conversion_status_change", "conversion_cancel"):
            whose = by_id(actions, endpoint, items[0])
            moved = -whose.commission_total if endpoint == "conversion_cancel" else whose.commission_total
            who = actions.sandbox.account.affiliates[whose.affiliate_id]
            sign = " (taken back)" if moved < 0 else ""
            assert lines[0] == (
                f"item 1: {who.first_name} {who.last_name} ({who.id}): {moved:,.2f} {whose.currency}{sign}"
            )
            assert len(lines) == len(items)
        else:
            assert lines[0].startswith(named), endpoint


def by_id(actions: ActionsHarness, endpoint: str, item: dict[str, Any]) -> Any:
    """Returns the conversion of an item; for an order, the one with commission."""
    rows = actions.sandbox.account.conversions.values()
    if endpoint == "conversion_status_change":
        return next(row for row in rows if row.id == item["conversion_id"])
    return next(row for row in rows if row.order_id == item["order_id"] and row.commission_total > 0)


def test_it_leaves_nothing_behind(actions: ActionsHarness) -> None:
    before = actions.query("SELECT table_name, estimated_size FROM duckdb_tables() ORDER BY ALL")
    shown(actions, CREDIT)
    assert actions.query("SELECT table_name, estimated_size FROM duckdb_tables() ORDER BY ALL") == before


def test_it_warns_of_what_is_open_and_counts_what_was_done(actions: ActionsHarness) -> None:
    credits = [credit_of(actions.affiliate(number)) for number in range(2)]
    actions.sandbox.fault("rest:/conversion/manual_credit", "reset", after=1)
    assert actions.send(CREDIT, credits) == ["done", "unknown"]
    told = shown(actions, CREDIT, items=[*credits, credit_of(actions.affiliate(3))])
    assert {name: told[name] for name in ("items", "done_before", "open")} == {"items": 1, "done_before": 1, "open": 1}


@pytest.mark.parametrize("value", [None, "", "false", "0", "yes", "1", "TRUE!"])
def test_without_the_permission_of_the_settings_nothing_is_sent(value: str | None) -> None:
    given = {} if value is None else {ALLOW_WRITES: value}
    with pytest.raises(dg.Failure, match="writing to Refersion is off"):
        check_writes_allowed(Settings.of(given))


def test_the_job_asks_for_that_permission(actions: ActionsHarness) -> None:
    ended = actions.launch(CREDIT, [credit_of(actions.affiliate())], allowed=False)
    assert not ended.success
    assert "writing to Refersion is off" in ended.failure
    assert actions.sandbox.requests() == {}


def test_metadata_have_the_sign_of_what_is_moved(actions: ActionsHarness) -> None:
    person = actions.affiliate(0)
    back = {"affiliate_id": person.id, "commission": "-3.20", "currency": "EUR", "status": "PENDING", "notes": "Error"}
    metadata = shown(actions, CREDIT, items=[credit_of(person, "12.5"), credit_of(person, "-2"), back])
    amounts = {name: value for name, value in metadata.items() if name.startswith("commission_")}
    assert amounts == {"commission_EUR": "-3.20", "commission_USD": "10.50"}
