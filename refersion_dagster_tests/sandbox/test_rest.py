"""REST v2: credentials, bodies, and the exact form of each error response."""

import socket

import pytest
import requests

from refersion_dagster.sandbox.api.rest import OPERATIONS
from refersion_dagster_tests.sandbox.client import Client

LIST = "/affiliate/list"


def test_there_are_fifteen_operations() -> None:
    assert len(OPERATIONS) == 15


@pytest.mark.parametrize("path", sorted(OPERATIONS))
@pytest.mark.parametrize("missing", ["Refersion-Public-Key", "Refersion-Secret-Key"])
def test_both_keys_are_needed_everywhere(reader: Client, path: str, missing: str) -> None:
    for wrong in ({missing: "pub_nobody"}, {missing: None}):
        headers = {name: value for name, value in {**reader.keys, **wrong}.items() if value}
        refused = reader.rest(path, {"limit": "1"}, headers=headers)
        assert refused.status_code == (401 if wrong[missing] else 403)
        words = {"error": "Invalid API credentials (error 2)."} if wrong[missing] else {"message": "Forbidden"}
        assert refused.json() == words


@pytest.mark.parametrize("path", sorted(OPERATIONS))
@pytest.mark.parametrize("body", [b"", b"not json", b"[]"])
def test_no_body_is_a_404(reader: Client, path: str, body: bytes) -> None:
    refused = reader.rest(path, data=body)
    text = "Bad request, no body"
    assert refused.status_code == 404
    assert refused.json() == {"error": [text] if path == "/affiliate/edit" else text}


def test_a_body_that_is_not_sent_as_json_counts_as_none(reader: Client) -> None:
    headers = {**reader.keys, "Content-Type": "text/plain"}
    assert reader.rest(LIST, data=b'{"limit": "1"}', headers=headers).status_code == 404
    headers["Content-Type"] = "application/json; charset=utf-8"
    assert reader.rest(LIST, data=b'{"limit": "1"}', headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/affiliate/new", {"first_name": "Bill"}, "last_name"),
        ("/affiliate/get", {}, "id"),
        ("/affiliate/get", {"affiliate_code": ""}, "affiliate_code"),
        ("/affiliate/search", {}, "keyword"),
        ("/affiliate/edit", {}, "affiliates"),
        ("/affiliate/edit", {"affiliates": [{"company": "x"}]}, "id"),
        ("/affiliate/status_change", {"ids": [1]}, "status"),
        ("/affiliate/trigger", {"affiliate_code": "0042", "type": "SKU"}, "trigger"),
        ("/trigger/delete", {"affiliates": [{"id": 1, "type": "SKU"}]}, "trigger"),
        ("/conversion/totals", {"type": []}, "status"),
        ("/conversion/manual_credit", {"id": 1, "status": "APPROVED"}, "commission"),
        ("/conversion/manual_credit_order_id", {"id": 1}, "order_id"),
        ("/conversion/status_change", {"status": "APPROVED"}, "ids"),
        ("/conversion/cancel", {"order_id": "1", "items": [{"price": 1}]}, "sku"),
        ("/offer/new_sku_commission", {"offer_id": "1"}, "skus"),
        ("/reporting/link", {"report": 1}, "report_id"),
    ],
)
def test_a_missing_field_is_a_400(reader: Client, path: str, body: dict[str, object], field: str) -> None:
    refused = reader.rest(path, body)
    assert refused.status_code == 400
    assert refused.json() == {"error": f"Missing required field {field}"}


INVALID = [
    (LIST, {"limit": "many"}, "limit"),
    (LIST, {"limit": "10", "page": [1]}, "page"),
    ("/affiliate/get", {"id": "a3y7"}, "id"),
    ("/affiliate/status_change", {"ids": [1], "status": "PENDING"}, "status"),
    ("/conversion/totals", {"status": "APPROVED"}, "status"),
    ("/conversion/totals", {"status": ["APPROVED"], "created_from": "2026-01-01"}, "created_from"),
    ("/conversion/totals", {"status": ["APPROVED"], "created_to": "2026-02-30 00:00:00"}, "created_to"),
    ("/conversion/totals", {"status": ["APPROVED"], "is_test_conversion": "maybe"}, "is_test_conversion"),
    ("/conversion/manual_credit", {"id": 1, "commission": "12,x", "status": "APPROVED"}, "commission"),
    ("/conversion/manual_credit", {"id": 1, "commission": 1, "status": "DENIED"}, "status"),
    ("/conversion/status_change", {"ids": [1], "status": "ON_HOLD"}, "status"),
    ("/conversion/status_change", {"ids": 1, "status": "APPROVED"}, "ids"),
]


@pytest.mark.parametrize(("path", "body", "field"), INVALID)
def test_an_invalid_field_looks_like_an_empty_success_to_requests(
    reader: Client, path: str, body: dict[str, object], field: str
) -> None:
    answer = reader.rest(path, body)
    assert (answer.status_code, answer.content) == (204, b""), field
    assert reader.rest(LIST, {"limit": "1"}).status_code == 200


def test_the_error_of_a_204_is_on_the_wire(reader: Client) -> None:
    body = b'{"limit": "many"}'
    head = [f"POST /v2{LIST} HTTP/1.1", "Host: sandbox", f"Content-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in {**reader.keys, "Content-Type": "application/json"}.items()]
    with socket.create_connection(("127.0.0.1", reader.sandbox.port), timeout=10) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        received = b""
        while chunk := connection.recv(4_096):
            received += chunk
    assert received.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert received.endswith(b'\r\n\r\n{"error":"Invalid field limit"}')


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/affiliate/status_change", {"ids": list(range(51)), "status": "ACTIVE"}),
        ("/affiliate/edit", {"affiliates": [{"id": 1, "company": "x"}] * 51}),
        ("/trigger/delete", {"affiliates": [{"id": 1, "trigger": "A", "type": "SKU"}] * 51}),
        ("/conversion/status_change", {"ids": list(range(51)), "status": "APPROVED"}),
        ("/offer/new_sku_commission", {"offer_id": "52301", "skus": [{"sku": "A"}] * 51}),
    ],
)
def test_more_than_fifty_items_are_a_429(reader: Client, path: str, body: dict[str, object]) -> None:
    refused = reader.rest(path, body)
    assert refused.status_code == 429
    assert refused.json() == {"error": "Max number of elements on attribute (50) reached."}


def test_what_is_no_operation_is_answered_by_the_gateway(reader: Client) -> None:
    assert reader.rest("/conversions/list", {"page": 1}).json() == {"message": "Forbidden"}
    got = requests.get(reader.sandbox.rest_url + LIST, headers=reader.keys, timeout=10)
    assert (got.status_code, got.json()) == (405, {"message": "Method Not Allowed"})


def test_the_plan_gate_is_a_switch(client: Client) -> None:
    client.sandbox.configure(plan_excludes=["/offer/new_sku_commission"])
    refused = client.rest("/offer/new_sku_commission", {"offer_id": "1"})
    assert refused.status_code == 422
    assert refused.json() == {"errors": ["Your account plan does not support this feature (error 1)."]}
    assert client.rest(LIST, {"limit": "1"}).status_code == 200


def test_the_edge_may_refuse_library_user_agents(client: Client) -> None:
    client.sandbox.configure(refuse_library_user_agents=True)
    refused = client.rest(LIST, {"limit": "1"})
    assert (refused.status_code, refused.json()) == (403, {"message": "Forbidden"})
    assert client.rest(LIST, {"limit": "1"}, headers={**client.keys, "User-Agent": "mine/1.0"}).status_code == 200


def test_unknown_fields_may_be_refused(client: Client) -> None:
    assert client.rest(LIST, {"limit": "1", "colour": "red"}).status_code == 200
    client.sandbox.configure(refuse_unknown_fields=True)
    assert client.rest(LIST, {"limit": "1", "colour": "red"}).status_code == 204
    assert client.rest(LIST, {"limit": "1"}).status_code == 200
