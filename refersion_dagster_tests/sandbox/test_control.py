"""The control API: the account's ground truth, and rows changed regardless of the rules."""

from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any

import pytest

from refersion_dagster_tests.sandbox.client import Client

FIELDS = "id total commission_total currency status payment_status is_test_conversion"


def test_sums_equal_what_graphql_shows(reader: Client) -> None:
    sums = reader.control("GET", "/sums").json()
    assert sums == reader.sandbox.sums()
    counts: Counter[tuple[Any, ...]] = Counter()
    totals: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for row in reader.every_conversion(FIELDS):
        key = (row["is_test_conversion"], row["status"], row["payment_status"], row["currency"])
        counts[key] += 1
        totals[key, "total"] += Decimal(row["total"])
        totals[key, "commission"] += Decimal(row["commission_total"])
    groups = [*sums["conversions"], *sums["test_conversions"]]
    assert len(groups) == len(counts) > 10
    for group in groups:
        key = (group["is_test_conversion"], group["status"], group["payment_status"], group["currency"])
        assert group["count"] == counts[key]
        assert Decimal(group["total"]) == totals[key, "total"]
        assert Decimal(group["commission_total"]) == totals[key, "commission"]
    assert all(row["is_test_conversion"] for row in sums["test_conversions"])
    assert sums["number_of_conversions"] == sum(counts.values())
    assert (sums["affiliates"], sums["offers"]) == (40, 4)
    assert sums["payments"] == len(reader.sandbox.account.payments)


BROKEN = {
    "total": "12,x",
    "created": "yesterday",
    "status": "ON_HOLD",
    "notes": "null \x00 byte, emoji 🦜, half a pair \ud83d",
    "reason": "x" * 1_000_000,
    "is_recurring": "perhaps",
    "customer": {"name": None, "email": 5},
    "affiliate": None,
}


def test_a_broken_row_is_sent_as_it_was_put_in(client: Client) -> None:
    number = client.control("POST", "/conversions", {**BROKEN, "id": 2**70 + 1}).json()["id"]
    assert number == 2**70 + 1
    fields = "id total created status notes reason is_recurring customer {name email} affiliate {id}"
    (row,) = client.data(f"{{conversions(first: 1) {{{fields}}}}}")["conversions"]
    assert row == {**BROKEN, "id": number}
    assert client.sandbox.account.conversions[number].status == "ON_HOLD"


def test_an_ordinary_row_is_inserted_and_counted(client: Client) -> None:
    number = client.sandbox.insert_conversion(total="99.00", commission_total="9.90", created="2026-06-01T00:00:00Z")
    row = client.sandbox.account.conversions[number]
    assert (row.total, row.commission_total, row.created) == (Decimal("99.00"), Decimal("9.90"), 1_780_272_000)
    found = client.data("{conversions(created_from: 1780272000, created_to: 1780272000) {id total created}}")
    assert found["conversions"] == [{"id": number, "total": "99.00", "created": "1780272000"}]
    assert client.control("POST", "/conversions", {"id": number}).status_code == 400


def test_support_turns_an_approved_row(client: Client) -> None:
    row = next(row for row in client.sandbox.account.due.values())
    client.sandbox.advance(seconds=60)
    answer = client.control("PATCH", f"/conversions/{row.id}", {"status": "DENIED", "reason": "by hand"})
    assert answer.status_code == 200
    assert (row.status, row.reason, row.updated) == ("DENIED", "by hand", client.sandbox.account.now)
    assert row.id not in client.sandbox.account.due


def test_a_row_put_back_to_pending_is_approved_after_ninety_days(client: Client) -> None:
    row = next(row for row in client.sandbox.account.due.values() if row.created < client.sandbox.account.now - 86_400)
    client.sandbox.change_conversion(row.id, status="PENDING")
    assert row.status == "PENDING"
    client.sandbox.advance(days=90)
    assert row.status == "APPROVED"


def test_a_row_is_deleted_without_a_trace(client: Client) -> None:
    number = client.data("{conversions(first: 1) {id}}")["conversions"][0]["id"]
    assert client.control("DELETE", f"/conversions/{number}").status_code == 200
    assert client.data("{conversions(first: 1) {id}}")["conversions"][0]["id"] != number
    assert client.control("DELETE", f"/conversions/{number}").status_code == 404


def test_an_affiliate_is_changed_for_both_apis(client: Client) -> None:
    number = client.done("/affiliate/get", {"affiliate_code": "0042"})["id"]
    client.control("PATCH", f"/affiliates/{number}", {"status": "ARCHIVED", "email": "", "first_name": None})
    assert client.done("/affiliate/get", {"id": number})["status"] == "ARCHIVED"
    row = client.data(f"{{affiliates(id: {number}) {{status email first_name}}}}")["affiliates"][0]
    assert row == {"status": "ARCHIVED", "email": "", "first_name": None}


@pytest.mark.parametrize("body", [b"{", b"[]"])
def test_a_body_that_is_no_object_is_refused(client: Client, body: bytes) -> None:
    answer = client.session.post(f"{client.sandbox.url}/_sandbox/conversions", data=body, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["error"]
