"""Webhooks: events in the account are sent in the documented form, and as unreliably as networks deliver them."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.sandbox.client import Client
from refersion_dagster_tests.sandbox.listener import Listener, listening

SECRET = "signing secret"


@pytest.fixture
def heard(sandbox: SandboxServer) -> Iterator[Listener]:
    """A listener that receives everything the sandbox sends."""
    with listening() as listener:
        sandbox.send_webhooks(listener.url, SECRET)
        yield listener


def bodies(sandbox: SandboxServer, heard: Listener, *topics: str) -> list[Any]:
    """The bodies sent so far, for some topics or for all."""
    assert sandbox.webhooks.wait_until_sent()
    return [json.loads(request.body) for request in heard.requests if not topics or request.topic in topics]


def test_each_event_is_signed_over_its_raw_body(sandbox: SandboxServer, heard: Listener) -> None:
    sandbox.advance(days=3)
    assert sandbox.webhooks.wait_until_sent()
    assert heard.requests
    for request in heard.requests:
        digest = hmac.new(SECRET.encode(), request.body, hashlib.sha256).digest()
        assert b64decode(request.headers["refersion-signature"]) == digest
        assert request.headers["content-type"] == "application/json"


def test_a_conversion_has_the_documented_fields_and_forms(sandbox: SandboxServer, heard: Listener) -> None:
    sandbox.advance(days=30)
    sent = bodies(sandbox, heard, "NEW_CONVERSION")
    row = next(body for body in sent if body["click"] and body["customer"])
    fields = (
        "id created status denied_reason_code is_recurring total_items total commission_total currency "
        "is_test_conversion payment_status updated affiliate payment_id offer customer coupon_code order_id "
        "subscription_id reason notes click source"
    )
    assert set(row) == set(fields.split())
    assert set(row["affiliate"]) == {"id", "code", "first_name", "last_name", "email"}
    assert set(row["offer"]) == {"id", "name", "type", "amount"}
    assert set(row["customer"]) == {"name", "email", "browser_ip"}
    assert set(row["click"]) == {"created", "referer", "landed_url", "ip", "sub_id", "creative_id"}
    kept = sandbox.account.conversions[row["id"]]
    assert (row["total"], row["commission_total"]) == (str(kept.total), str(kept.commission_total))
    assert row["created"].count("-") == 2
    assert "T" not in row["created"]
    assert row["total_items"] == str(kept.total_items)


def test_what_happens_as_time_goes_by_is_told_once_each(sandbox: SandboxServer, heard: Listener) -> None:
    before = dict(sandbox.account.conversions)
    statuses = {key: row.status for key, row in before.items()}
    payments = set(sandbox.account.payments)
    sandbox.advance(days=45)
    account = sandbox.account
    new = [body["id"] for body in bodies(sandbox, heard, "NEW_CONVERSION")]
    assert sorted(new) == sorted(set(account.conversions) - set(before))
    for topic, status in (("APPROVED_CONVERSION", "APPROVED"), ("DENIED_CONVERSION", "DENIED")):
        told = [body["id"] for body in bodies(sandbox, heard, topic) if body["id"] in before]
        changed = [key for key, row in before.items() if row.status == status != statuses[key]]
        assert set(changed) <= set(told)
        assert all(body["status"] == status for body in bodies(sandbox, heard, topic))
    paid = [
        payment["id"]
        for body in bodies(sandbox, heard, "NEW_PAYMENT")
        for affiliate in body["data"]["affiliates"].values()
        for payment in affiliate["payments"]
    ]
    assert sorted(paid) == sorted(set(account.payments) - payments)
    assert paid


def test_an_event_holds_the_row_as_it_was_when_it_happened(sandbox: SandboxServer, heard: Listener) -> None:
    number = sandbox.insert_conversion(status="PENDING")
    sandbox.change_conversion(number, status="APPROVED")
    sandbox.change_conversion(number, status="DENIED")
    assert [(body["id"], body["status"]) for body in bodies(sandbox, heard)] == [
        (number, "PENDING"),
        (number, "APPROVED"),
        (number, "DENIED"),
    ]
    assert heard.topics() == ["NEW_CONVERSION", "APPROVED_CONVERSION", "DENIED_CONVERSION"]


def test_a_change_that_has_no_topic_is_not_told(sandbox: SandboxServer, heard: Listener) -> None:
    number = sandbox.insert_conversion()
    sandbox.change_conversion(number, status="UNQUALIFIED")
    sandbox.change_conversion(number, notes="by hand")
    sandbox.delete_conversion(number)
    assert sandbox.webhooks.wait_until_sent()
    assert heard.topics() == ["NEW_CONVERSION"]


def test_a_bonus_tier_that_was_reached_is_told(client: Client, heard: Listener) -> None:
    offer_id = next(iter(client.sandbox.account.offers))
    given = {"offer_id": offer_id, "milestone": "50 orders", "amount": "25.50", "notes": "in a year"}
    number = client.control("POST", "/rewards", given).json()["id"]
    assert bodies(client.sandbox, heard) == [
        {
            "reward": {
                "id": number,
                "offer_id": offer_id,
                "milestone_reached": "50 orders",
                "amount_given": "25.50",
                "notes": "in a year",
            }
        }
    ]
    assert heard.topics() == ["BONUS_TIER_MOVEMENT"]
    assert client.control("POST", "/rewards", {**given, "offer_id": 1}).status_code == 404


def test_writes_through_the_api_are_told(client: Client, heard: Listener) -> None:
    code = client.done(
        "/affiliate/new",
        {
            "first_name": "Bill",
            "last_name": "Smith",
            "email": "bill@example.com",
            "password": "Secure!Pass1",
            "status": "PENDING",
        },
    )["id"]
    number = client.done("/affiliate/get", {"affiliate_code": code})["id"]
    client.done("/affiliate/status_change", {"ids": [number], "status": "ACTIVE"})
    client.done("/affiliate/edit", {"affiliates": [{"id": number, "company": "Öko"}]})
    client.done("/affiliate/trigger", {"affiliate_code": code, "type": "COUPON", "trigger": "bill10"})
    credit = client.done("/conversion/manual_credit", {"id": number, "commission": "5.00", "status": "PENDING"})
    client.done("/conversion/status_change", {"ids": [credit["conversion_id"]], "status": "DENIED"})
    sent = bodies(client.sandbox, heard)
    assert heard.topics() == [
        "NEW_AFFILIATE",
        "AFFILIATE_STATUS_CHANGE",
        "AFFILIATE_DETAILS_CHANGE",
        "NEW_CONVERSION_TRIGGER",
        "NEW_CONVERSION",
        "DENIED_CONVERSION",
    ]
    assert [sent[0]["status"], sent[1]["status"], sent[2]["company"]] == ["PENDING", "ACTIVE", "Öko"]
    assert sent[3] == {"id": sent[3]["id"], "affiliate_id": number, "trigger": "BILL10", "type": "COUPON"}
    assert (sent[4]["commission_total"], sent[4]["total"], sent[4]["customer"]) == ("5.00", "0.00", None)


def test_an_affiliate_has_the_documented_fields(client: Client, heard: Listener) -> None:
    number = client.done("/affiliate/get", {"affiliate_code": "0042"})["id"]
    client.control("PATCH", f"/affiliates/{number}", {"status": "DISABLED", "first_name": "Maya"})
    status, details = bodies(client.sandbox, heard)
    assert heard.topics() == ["AFFILIATE_STATUS_CHANGE", "AFFILIATE_DETAILS_CHANGE"]
    fields = (
        "id code status last_login last_conversion first_name last_name email paypal_email company address_1 address_2 "
        "city state zip country phone_number source custom_fields offer is_marketplace_user"
    )
    assert set(status) == set(fields.split())
    assert (status["status"], details["first_name"], details["code"]) == ("DISABLED", "Maya", "0042")
    assert all(set(field) == {"id", "name", "value"} for field in details["custom_fields"])


def test_topics_and_address_are_set_by_the_control_api(client: Client) -> None:
    with listening() as one, listening() as two:
        target = {"url": one.url, "secret": SECRET, "topics": ["NEW_AFFILIATE"]}
        assert client.control("POST", "/webhooks", target).json()["topics"] == ["NEW_AFFILIATE"]
        client.sandbox.insert_conversion()
        client.control("POST", "/webhooks", {"url": two.url, "secret": SECRET})
        client.sandbox.insert_conversion()
        assert client.sandbox.webhooks.wait_until_sent()
        client.control("DELETE", "/webhooks")
        client.sandbox.insert_conversion()
        state = client.control("GET", "/webhooks").json()
    assert (one.topics(), two.topics()) == ([], ["NEW_CONVERSION"])
    assert (state["url"], state["announced"], state["delivered"], state["waiting"]) == (None, 1, 1, 0)
    assert SECRET not in json.dumps(state)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://127.0.0.1:1/"},
        {"url": "nowhere", "secret": "x"},
        {"url": "http://127.0.0.1:1/", "secret": ""},
        {"url": "http://127.0.0.1:1/", "secret": "x", "topics": ["DANCE"]},
        {"url": "http://127.0.0.1:1/", "secret": "x", "topics": "NEW_CONVERSION"},
        {"url": "http://127.0.0.1:1/", "secret": "x", "colour": "red"},
    ],
)
def test_a_target_that_makes_no_sense_is_refused(client: Client, wrong: dict[str, Any]) -> None:
    answer = client.control("POST", "/webhooks", wrong)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert client.control("GET", "/webhooks").json()["url"] is None


def test_an_event_that_is_not_taken_is_sent_again_as_often_as_the_switch_says(sandbox: SandboxServer) -> None:
    sandbox.configure(webhook_retries=1)
    with listening(500, 200, 503, 503, 200) as heard:
        sandbox.send_webhooks(heard.url, SECRET)
        numbers = [sandbox.insert_conversion() for _ in range(3)]
        sent = [body["id"] for body in bodies(sandbox, heard)]
    assert sent == [numbers[0], numbers[0], numbers[1], numbers[1], numbers[2]]
    state = sandbox.webhooks.state()
    assert (state["delivered"], state["failed"], state["requests"]) == (2, 1, 5)


def test_an_event_that_nobody_takes_is_given_up_and_nothing_is_stuck(sandbox: SandboxServer) -> None:
    sandbox.configure(webhook_retries=0)
    with listening() as gone:
        pass
    sandbox.send_webhooks(gone.url, SECRET)
    sandbox.insert_conversion()
    assert sandbox.webhooks.wait_until_sent()
    state = sandbox.webhooks.state()
    assert (state["failed"], state["last_answer"]) == (1, "ConnectionError")


def test_every_other_event_is_sent_twice_where_the_switch_says_so(sandbox: SandboxServer, heard: Listener) -> None:
    sandbox.configure(webhook_duplicates=2)
    numbers = [sandbox.insert_conversion() for _ in range(4)]
    sent = [body["id"] for body in bodies(sandbox, heard)]
    assert sent == [numbers[0], numbers[1], numbers[1], numbers[2], numbers[3], numbers[3]]
    assert heard.requests[1] == heard.requests[2]


def test_events_come_out_of_order_where_the_switch_says_so(sandbox: SandboxServer, heard: Listener) -> None:
    sandbox.configure(webhook_order="shuffled")
    heard.answering.clear()
    sandbox.advance(days=10)
    heard.answering.set()
    sent = [(body["id"], body["updated"]) for body in bodies(sandbox, heard, "NEW_CONVERSION")]
    assert len(sent) > 5
    assert sent != sorted(sent, key=lambda one: one[1])
    assert len(set(sent)) == len(sent)


def test_nothing_is_sent_before_it_is_asked_for(sandbox: SandboxServer) -> None:
    sandbox.advance(days=5)
    assert sandbox.webhooks.state()["announced"] == 0
    with listening() as heard:
        sandbox.send_webhooks(heard.url, SECRET)
        assert sandbox.webhooks.wait_until_sent()
    assert heard.requests == []
