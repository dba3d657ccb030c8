"""What events say: of each documented shape, of shapes near to them, and of none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.sandbox.model import Reward
from refersion_dagster.sandbox.webhooks.payloads import body
from refersion_dagster.webhooks.events import EventPayment, Subject, WebhookEvent, conversion_row, read_event
from refersion_dagster.webhooks.inbox import StoredEvent

# As documented, with every field.
CONVERSION = {
    "id": 11900254,
    "created": "2020-02-14 18:48:42",
    "status": "APPROVED",
    "denied_reason_code": None,
    "is_recurring": False,
    "total_items": "1",
    "total": "59.00",
    "commission_total": "5.90",
    "currency": "USD",
    "is_test_conversion": False,
    "payment_status": "UNPAID",
    "updated": "2020-02-20 08:00:01",
    "affiliate": {"id": 37567438, "code": "a3y7", "first_name": "Bill", "last_name": "Smith", "email": "b@example.com"},
    "payment_id": None,
    "offer": {"id": 1234, "name": "Standard", "type": "PERCENT_OF_SALE", "amount": "10"},
    "customer": {"name": "Ada", "email": "ada@example.net", "browser_ip": "100.64.7.9"},
    "source": "SHOPIFY",
}
PAYMENT = {
    "id": 131000,
    "created": "2020-03-15 15:00:00",
    "total_conversions": 3,
    "commission_total": "9.40",
    "currency": "USD",
}
REWARD = {"id": 51, "offer_id": 12, "milestone_reached": "50", "amount_given": "25.50", "notes": ""}
TRIGGER = {"id": 1097, "affiliate_id": 37567438, "trigger": "CODE100", "type": "COUPON"}
AFFILIATE = {"id": 37567438, "code": "a3y7", "status": "ACTIVE", "first_name": "Bill", "email": "b@example.com"}
PAID_AT = datetime(2020, 3, 15, 15, tzinfo=UTC)


def paid_to(*affiliates: tuple[Any, list[Any]]) -> dict[str, Any]:
    return {"data": {"affiliates": {str(id_): {"id": id_, "payments": payments} for id_, payments in affiliates}}}


def event(value: Any, topic: str = "SOMETHING") -> WebhookEvent:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_event(StoredEvent(1, "id", topic, raw, datetime(2026, 7, 1, tzinfo=UTC)))


@pytest.mark.parametrize("topic", ["APPROVED_CONVERSION", "SOMETHING", "NEW_PAYMENT", ""])
@pytest.mark.parametrize(
    ("value", "subject", "subject_id"),
    [
        (CONVERSION, Subject.CONVERSION, "11900254"),
        (paid_to((7, [PAYMENT])), Subject.PAYMENT, "131000"),
        (AFFILIATE, Subject.AFFILIATE, "37567438"),
        (TRIGGER, Subject.TRIGGER, "1097"),
        (REWARD, Subject.REWARD, "51"),
        ({"reward": REWARD}, Subject.REWARD, "51"),
    ],
)
def test_the_body_tells_what_an_event_is_about(value: Any, subject: Subject, subject_id: str, topic: str) -> None:
    read = event(value, topic)
    assert (read.subject, read.subject_id) == (subject, subject_id)
    assert read.affiliate_ids() == (["37567438", "a3y7"] if subject is Subject.AFFILIATE else [])


def test_whatever_the_sandbox_sends_is_known(account: SandboxServer) -> None:
    rows = account.account
    for subject, row in (
        (Subject.CONVERSION, next(iter(rows.conversions.values()))),
        (Subject.AFFILIATE, next(iter(rows.affiliates.values()))),
        (Subject.TRIGGER, next(iter(rows.triggers.values()))),
        (Subject.PAYMENT, list(rows.payments.values())[:3]),
        (Subject.REWARD, Reward(51, 12, "50 orders", Decimal("25.50"), "")),
    ):
        assert event(body(rows, row)).subject is subject


@pytest.mark.parametrize(
    "value", [{"data": CONVERSION}, {**CONVERSION, "id": "11900254"}, {**CONVERSION, "extra": [1.5]}]
)
def test_shapes_near_to_the_documented_ones_are_understood(value: Any) -> None:
    read = event(value)
    assert (read.subject, read.subject_id) == (Subject.CONVERSION, "11900254")
    assert read.changed_at == datetime(2020, 2, 20, 8, 0, 1, tzinfo=UTC)
    assert read.created == datetime(2020, 2, 14, 18, 48, 42, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [{}, [], [CONVERSION], {"id": 1}, {"tier": "gold", "data": 5}, {"data": {"affiliates": {}}}]
)
def test_of_an_unknown_shape_only_the_topic_is_known(value: Any) -> None:
    assert event(value, "SOMETHING_NEW").subject is Subject.OTHER
    known = event(value, "APPROVED_CONVERSION")
    assert known.subject is Subject.CONVERSION
    assert (known.changed_at, known.payments()) == (None, [])


def test_a_conversion_is_a_row_in_the_fields_of_the_table() -> None:
    row = conversion_row(event(CONVERSION))
    assert row["affiliate"]["name"] == "Bill Smith"
    assert row["affiliate_id"] == 37567438
    assert {**row, "affiliate": CONVERSION["affiliate"]} == {**CONVERSION, "affiliate_id": 37567438}


@pytest.mark.parametrize("affiliate", [None, [], {}, {"id": 7}, "Bill"])
def test_a_conversion_without_an_affiliates_name_is_a_row_too(affiliate: Any) -> None:
    row = conversion_row(event({**CONVERSION, "affiliate": affiliate}))
    assert row["id"] == 11900254


def test_payments_of_several_affiliates_are_told_one_by_one() -> None:
    read = event(
        paid_to((7, [PAYMENT, {**PAYMENT, "id": "131001", "currency": "EUR"}]), (8, [{"id": 9}, None]), (9, []))
    )
    assert read.payments() == [
        EventPayment("131000", PAID_AT, "7", "USD"),
        EventPayment("131001", PAID_AT, "7", "EUR"),
        EventPayment("9", None, "8", None),
    ]
    assert read.subject_id is None
    assert read.changed_at == PAID_AT


@pytest.mark.parametrize(
    "number", [b"1e999999999", b"-1e-999999999", b"1e99999999999999999999", b"9" * 4000, b"1.%s" % (b"3" * 5000)]
)
def test_absurd_numbers_are_read_in_no_time(number: bytes) -> None:
    text = json.dumps(CONVERSION).encode().replace(b"11900254", number).replace(b'"59.00"', number)
    assert event(text).subject is Subject.CONVERSION
    event(text).subject_id  # noqa: B018 - it has to end
