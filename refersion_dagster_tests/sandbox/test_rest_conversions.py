"""The REST v2 operations on conversions, and the saved reports."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
import requests

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.model import Conversion
from refersion_dagster_tests.sandbox.client import Client
from refersion_dagster_tests.sandbox.test_rest_affiliates import errors

ALL = ["PENDING", "APPROVED", "DENIED", "UNQUALIFIED"]
JANUARY = {"created_from": "2026-01-01 00:00:00", "created_to": "2026-01-31 23:59:59"}
JANUARY_SECONDS = range(1_767_225_600, 1_769_904_000)


def rows_of(account: Account, **values: Any) -> list[Conversion]:
    return [
        row
        for row in account.conversions.values()
        if all(getattr(row, name) == value for name, value in values.items())
    ]


@pytest.fixture
def numbers(client: Client) -> Client:
    client.sandbox.configure(totals_shape="numbers")
    return client


def expected(rows: list[Conversion]) -> dict[str, Any]:
    rows = [row for row in rows if row.currency == "USD" and not row.is_test_conversion]
    return {
        "conversions_count": len(rows),
        "commission_total": float(sum(row.commission_total for row in rows)),
        "order_total": float(sum(row.total for row in rows)),
        "commissionable_order_total": float(sum(row.commissionable_total for row in rows)),
        "currency": "USD",
    }


def test_totals_count_what_the_filters_choose(numbers: Client) -> None:
    account = numbers.sandbox.account
    usd = rows_of(account, currency="USD", is_test_conversion=False)
    affiliate, offer = usd[0].affiliate_id, usd[0].offer_id
    cases: list[tuple[dict[str, Any], list[Conversion]]] = [
        ({}, usd),
        ({"status": ["APPROVED"]}, [row for row in usd if row.status == "APPROVED"]),
        ({"payment_status": "PAID"}, [row for row in usd if row.payment_status == "PAID"]),
        ({"affiliate_id": affiliate}, [row for row in usd if row.affiliate_id == affiliate]),
        ({"offer_id": str(offer)}, [row for row in usd if row.offer_id == offer]),
        ({"type": ["MANUAL_CREDIT_BY_CLIENT"]}, [row for row in usd if row.type == "MANUAL_CREDIT_BY_CLIENT"]),
        (JANUARY, [row for row in usd if row.created in JANUARY_SECONDS]),
    ]
    for filters, rows in cases:
        answer = numbers.done("/conversion/totals", {"status": ALL, **filters})
        assert answer == expected(rows), filters
        assert len(rows) > 0


def test_totals_of_test_conversions(numbers: Client) -> None:
    account = numbers.sandbox.account
    numbers.sandbox.insert_conversion(is_test_conversion=True, total="7.77")
    tests = rows_of(account, is_test_conversion=True, currency="USD")
    only = numbers.done("/conversion/totals", {"status": ALL, "is_test_conversion": True})
    assert only["conversions_count"] == len(tests)
    none = numbers.done("/conversion/totals", {"status": ALL, "is_test_conversion": "FALSE"})
    assert none == numbers.done("/conversion/totals", {"status": ALL})
    numbers.sandbox.configure(totals_test_conversions="counted")
    both = numbers.done("/conversion/totals", {"status": ALL})
    assert both["conversions_count"] == none["conversions_count"] + len(tests)


def test_totals_of_other_currencies_are_a_switch(numbers: Client) -> None:
    account = numbers.sandbox.account
    rows = rows_of(account, status="APPROVED", is_test_conversion=False)
    numbers.sandbox.configure(totals_currencies="counted")
    counted = numbers.done("/conversion/totals", {"status": ["APPROVED"]})
    assert counted["conversions_count"] == len(rows)
    assert Decimal(str(counted["order_total"])) == sum(row.total for row in rows)
    numbers.sandbox.configure(totals_currencies="converted")
    converted = numbers.done("/conversion/totals", {"status": ["APPROVED"]})
    assert converted["conversions_count"] == len(rows)
    assert converted["order_total"] > counted["order_total"]


def test_totals_come_in_every_shape(client: Client) -> None:
    body = {"status": ["APPROVED"]}
    client.sandbox.insert_conversion(status="APPROVED", total="123456.70")
    sample = client.done("/conversion/totals", body)
    shapes = {
        shape: (client.sandbox.configure(totals_shape=shape), client.done("/conversion/totals", body))[1]
        for shape in ("numbers", "strings", "separators", "stray_comma")
    }
    plain = shapes["strings"]["order_total"]
    assert shapes["separators"]["order_total"] == f"{Decimal(plain):,}"
    assert shapes["stray_comma"]["commissionable_order_total"].endswith(",")
    assert sample["order_total"] == f"{Decimal(plain):,},"
    assert sample["conversions_count"] == f"{shapes['numbers']['conversions_count']},"
    assert not sample["commissionable_order_total"].endswith(",")
    for values in (sample, *shapes.values()):
        assert Decimal(str(values["order_total"]).rstrip(",").replace(",", "")) == Decimal(plain)


def test_totals_refuse_values_that_do_not_exist(reader: Client) -> None:
    for field, body in (
        ("status", {"status": ["ON_HOLD"]}),
        ("type", {"status": ALL, "type": ["ON_HOLD"]}),
        ("payment_status", {"status": ALL, "payment_status": "ON_HOLD"}),
    ):
        assert errors(reader.rest("/conversion/totals", body)) == [f"ON_HOLD is not a allowed value for field {field}"]


def test_only_pending_rows_change_their_status(client: Client) -> None:
    account = client.sandbox.account
    client.sandbox.advance(seconds=5)
    pending, other = rows_of(account, status="PENDING")[:2]
    approved, denied = rows_of(account, status="APPROVED")[0], rows_of(account, status="DENIED")[0]
    answer = client.done("/conversion/status_change", {"ids": [pending.id, approved.id, 1], "status": "DENIED"})
    assert answer == {"ids_changed": [pending.id], "ids_not_changed": [approved.id, 1]}
    assert (pending.status, pending.updated) == ("DENIED", account.now)
    assert approved.status == "APPROVED"
    client.done("/conversion/status_change", {"ids": [str(other.id)], "status": "APPROVED"})
    assert other.id in account.due
    for row, status, text in (
        (approved, "DENIED", "Cannot deny an approved conversion"),
        (denied, "APPROVED", "Cannot approve a denied conversion"),
        (denied, "UNQUALIFIED", "The conversion cannot have this status"),
        (pending, "PENDING", "The conversion cannot have this status"),
    ):
        assert errors(client.rest("/conversion/status_change", {"ids": [row.id], "status": status})) == [text]


@pytest.mark.parametrize("commission", [120.5, "-7.25", -3])
def test_manual_credits_have_no_total(client: Client, commission: Any) -> None:
    affiliate = client.done("/affiliate/get", {"affiliate_code": "0042"})["id"]
    body = {"id": affiliate, "commission": commission, "status": "APPROVED", "currency": "EUR", "notes": "by hand"}
    number = client.done("/conversion/manual_credit", body)["conversion_id"]
    assert isinstance(number, int)
    rows = client.data("{conversions(first: 1) {id total commission_total currency type status notes order_id}}")
    assert rows["conversions"] == [
        {
            "id": number,
            "total": "0.00",
            "commission_total": f"{Decimal(commission):.2f}",
            "currency": "EUR",
            "type": "MANUAL_CREDIT_BY_CLIENT",
            "status": "APPROVED",
            "notes": "by hand",
            "order_id": None,
        }
    ]


def test_manual_credits_to_nobody_or_in_no_currency_are_refused(reader: Client) -> None:
    body = {"id": 1, "commission": 1, "status": "PENDING"}
    assert errors(reader.rest("/conversion/manual_credit", body)) == ["Invalid affiliate ID (error 2)."]
    number = reader.done("/affiliate/get", {"affiliate_code": "0042"})["id"]
    refused = reader.rest("/conversion/manual_credit", {**body, "id": number, "currency": "XXX"})
    assert errors(refused) == ["XXX is not a valid currency"]


def test_an_order_is_credited_again_two_minutes_later(client: Client) -> None:
    account = client.sandbox.account
    first = rows_of(account, status="APPROVED", type="AFFILIATE_SITE_CONVERSION")[0]
    number = client.done("/affiliate/get", {"affiliate_code": "0042"})["id"]
    assert first.affiliate_id != number
    before = list(account.by_order[first.order_id])
    answer = client.done("/conversion/manual_credit_order_id", {"id": number, "order_id": first.order_id})
    assert answer["message"] == "Order(s) are re-processing. Changes may take a couple of minutes to appear."
    assert answer["warning"] == f"Order ID is already credited to affiliate {first.affiliate_id}"
    client.sandbox.advance(seconds=119)
    assert account.by_order[first.order_id] == before
    waiting = client.rest("/conversion/manual_credit_order_id", {"id": number, "order_id": first.order_id})
    assert errors(waiting) == ["This order ID is being process (error 5)."]
    client.sandbox.advance(seconds=1)
    *_, row = account.by_order[first.order_id]
    assert (row.affiliate_id, row.status, row.total) == (number, "APPROVED", first.total)
    again = client.rest("/conversion/manual_credit_order_id", {"id": number, "order_id": first.order_id})
    assert "already been manually credited for this order ID. (Error 6)" in errors(again)[0]
    client.sandbox.advance(seconds=120)
    assert account.by_order[first.order_id][-1] is row
    unknown = client.rest("/conversion/manual_credit_order_id", {"id": number, "order_id": "none"})
    assert errors(unknown) == ["Invalid order ID (error 5)"]


def test_cancelling_makes_a_negative_row_and_leaves_the_order(client: Client) -> None:
    account = client.sandbox.account
    order = next(
        row
        for row in rows_of(account, status="APPROVED", type="AFFILIATE_SITE_CONVERSION", payment_status="PAID")
        if len(account.by_order[row.order_id]) == 1 and row.total > 20 and row.commission_total > 0
    )
    answer = client.done("/conversion/cancel", {"order_id": order.order_id, "items": [{"sku": "A"}]})
    assert isinstance(answer["conversion_id"], str)
    row = account.conversions[int(answer["conversion_id"])]
    assert (row.total, row.commission_total) == (-order.total, -order.commission_total)
    assert (row.type, row.status, row.payment_status) == (
        "CANCELLATION_AFFILIATE_SITE_CONVERSION",
        "APPROVED",
        "UNPAID",
    )
    assert order.payment_status == "PAID"
    again = client.rest("/conversion/cancel", {"order_id": order.order_id, "items": [{"sku": "A"}]})
    assert errors(again) == ["Invalid order ID (error 5)"]


def test_cancelling_one_sku_takes_back_its_share(client: Client) -> None:
    account = client.sandbox.account
    number = client.sandbox.insert_conversion(
        order_id="part-1", total="40.00", commissionable_total="40.00", commission_total="4.00", status="APPROVED"
    )
    body = {"order_id": "part-1", "items": [{"sku": "A", "price": 5, "quantity": 2}]}
    row = account.conversions[int(client.done("/conversion/cancel", body)["conversion_id"])]
    assert (row.total, row.commission_total) == (Decimal("-10.00"), Decimal("-1.00"))
    assert account.conversions[number].total == 40


def test_reports_are_links_for_two_minutes(client: Client) -> None:
    account = client.sandbox.account
    link = client.done("/reporting/link", {"report_id": 3702})
    assert link["expire_time"] == account.now + 120
    assert link["download_link"].startswith(client.sandbox.url + "/api/reporting/download/")
    client.sandbox.advance(seconds=120)
    answer = requests.get(link["download_link"], timeout=10)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["Status"] for row in rows} == {"PENDING", "APPROVED"}
    shown = [row for row in account.conversions.values() if row.status in ("PENDING", "APPROVED")]
    assert len(rows) == sum(not row.is_test_conversion for row in shown)
    client.sandbox.advance(seconds=1)
    assert requests.get(link["download_link"], timeout=10).status_code == 404


@pytest.mark.parametrize(("report_id", "column"), [(3701, "PayPal Email"), (3703, "Commission")])
def test_the_other_reports(reader: Client, report_id: int, column: str) -> None:
    link = reader.done("/reporting/link", {"report_id": str(report_id)})["download_link"]
    rows = list(csv.DictReader(io.StringIO(requests.get(link, timeout=10).text)))
    assert len(rows) > 20
    assert column in rows[0]


def test_reports_that_are_not_there(reader: Client) -> None:
    assert errors(reader.rest("/reporting/link", {"report_id": 1})) == ["Report ID not Found or Expired (error 5)."]
    assert errors(reader.rest("/reporting/link", {"report_id": 3704})) == ["File is not available"]
    assert requests.get(f"{reader.sandbox.url}/api/reporting/download/1/2/3", timeout=10).status_code == 404


@pytest.mark.parametrize("sku_by_sku", [True, False])
def test_a_second_sku_of_an_order_can_be_cancelled_where_the_switch_says_so(client: Client, sku_by_sku: bool) -> None:
    client.sandbox.configure(cancel_sku_by_sku=sku_by_sku)
    account = client.sandbox.account
    order = next(
        row
        for row in rows_of(account, status="APPROVED", type="AFFILIATE_SITE_CONVERSION")
        if len(account.by_order[row.order_id]) == 1 and row.total > 20 and row.commission_total > 0
    )

    def cancel(sku: str, **price: int) -> requests.Response:
        return client.rest("/conversion/cancel", {"order_id": order.order_id, "items": [{"sku": sku, **price}]})

    assert cancel("A", price=5).status_code == 200
    refused = ["Invalid order ID (error 5)"]
    assert errors(cancel("A", price=5)) == refused
    if not sku_by_sku:
        assert errors(cancel("B")) == refused
        return
    assert cancel("B").status_code == 200
    assert errors(cancel("C", price=1)) == refused
    parts = account.by_order[order.order_id][1:]
    assert len(parts) == 2
    assert sum(row.total for row in parts) == -order.total
    assert sum(row.commission_total for row in parts) == -order.commission_total
