"""GraphQL over HTTP: the documented behaviour."""

from typing import Any

import pytest
import requests

from refersion_dagster_tests.sandbox.client import Client

PAGE = "{conversions(first: 200, offset: %d, created_to: %d) {id created} pageInfo {total_results {conversions}}}"


def messages(answer: requests.Response) -> list[str]:
    return [error["message"] for error in answer.json()["errors"]]


def test_a_wrong_token_is_a_401_with_an_error(reader: Client) -> None:
    for headers in ({}, {"X-Refersion-Key": "gql_nobody"}):
        answer = requests.post(reader.sandbox.graphql_url, json={"query": "{offers{id}}"}, headers=headers, timeout=10)
        assert answer.status_code == 401
        assert messages(answer) == ["Invalid X-Refersion-Key."]


def test_both_content_types_are_taken(reader: Client) -> None:
    query = "{offers {id name}}"
    headers = {**reader.token, "Content-Type": "application/graphql"}
    bare = requests.post(reader.sandbox.graphql_url, data=query.encode(), headers=headers, timeout=10)
    assert bare.json() == reader.graphql(query).json()
    assert len(bare.json()["data"]["offers"]) == 4
    headers["Content-Type"] = "text/plain"
    assert requests.post(reader.sandbox.graphql_url, data=b"{}", headers=headers, timeout=10).status_code == 415


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"query": 5}'])
def test_a_body_without_a_query_is_a_400(reader: Client, body: bytes) -> None:
    headers = {**reader.token, "Content-Type": "application/json"}
    answer = requests.post(reader.sandbox.graphql_url, data=body, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert messages(answer)


@pytest.mark.parametrize(
    ("valid", "wrong", "said"),
    [
        ("{conversions(first: 5) {id}}", "{conversions(first: 5000000000) {id}}", "cannot represent non 32-bit"),
        ("{conversions(first: 5) {id}}", "{conversions(first: 5.5) {id}}", "cannot represent non-integer"),
        ('{conversions(status: "5") {id}}', "{conversions(status: 5) {id}}", "cannot represent a non string"),
        (
            "{offers(first: 2) {id} offers(first: 2) {name}}",
            "{offers(first: 2) {id} offers(first: 3) {name}}",
            "conflict because they have differing arguments",
        ),
    ],
)
def test_a_query_that_differs_from_a_valid_one_in_its_numbers_is_validated_all_the_same(
    reader: Client, valid: str, wrong: str, said: str
) -> None:
    assert "errors" not in reader.graphql(valid).json()
    (message,) = messages(reader.graphql(wrong))
    assert said in message


def test_introspection_shows_fields_and_arguments(reader: Client) -> None:
    schema = reader.data("{__schema {types {name fields {name args {name} type {name kind}}}}}")["__schema"]
    types = {kind["name"]: {field["name"]: field for field in kind["fields"] or ()} for kind in schema["types"]}
    assert set(types["Query"]) == {
        "conversions",
        "payments",
        "affiliates",
        "offers",
        "clicks",
        "creatives",
        "pageInfo",
    }
    assert {argument["name"] for argument in types["Query"]["conversions"]["args"]} == {
        "created_from",
        "created_to",
        "first",
        "offset",
        "status",
        "payment_status",
    }
    assert types["Conversion"]["id"]["type"]["name"] == "Int"
    assert types["Conversion"]["total"]["type"]["name"] == "String"
    assert "conversions" in types["Affiliate"]


def test_every_field_of_every_type_can_be_read(reader: Client) -> None:
    leaves = "{__schema {types {name fields {name type {kind ofType {kind ofType {kind}}}}}}}"
    fields: dict[str, list[str]] = {}
    for kind in reader.data(leaves)["__schema"]["types"]:
        if not kind["name"].startswith("__") and kind["fields"]:
            fields[kind["name"]] = [field["name"] for field in kind["fields"] if "OBJECT" not in str(field["type"])]
    nested = " ".join(
        f"{name} {{{' '.join(fields[name.title()])}}}"
        for name in ("affiliate", "offer", "customer", "click", "shop", "payment")
    )
    rows = reader.data(f"{{conversions(first: 200) {{{' '.join(fields['Conversion'])} {nested}}}}}")["conversions"]
    assert len(rows) == 200
    for row in rows:
        assert set(row) == {*fields["Conversion"], "affiliate", "offer", "customer", "click", "shop", "payment"}
        assert set(row["affiliate"]) == set(fields["Affiliate"])
    assert {type(row["click"]) for row in rows} == {dict, type(None)}


def test_values_have_the_documented_types(reader: Client) -> None:
    rows = reader.every_conversion("id total commission_total created currency payment_status payment {id created}")
    for row in rows:
        assert isinstance(row["id"], int)
        assert isinstance(row["created"], str)
        assert row["created"].isdigit()
        assert row["total"].partition(".")[2].isdigit()
        assert len(row["total"].partition(".")[2]) == 2
        assert (row["payment"] is None) == (row["payment_status"] == "UNPAID")
    assert any(row["total"].startswith("-") for row in rows)


def test_pages_are_newest_first_and_hold_every_row_once(reader: Client) -> None:
    now, rows = reader.sandbox.account.now, []
    while True:
        data = reader.data(PAGE % (len(rows), now))
        assert data["pageInfo"]["total_results"]["conversions"] == len(reader.sandbox.account.conversions)
        rows += data["conversions"]
        if len(data["conversions"]) < 200:
            break
    assert len(rows) > 400
    assert {row["id"] for row in rows} == set(reader.sandbox.account.conversions)
    assert rows == sorted(rows, key=lambda row: (int(row["created"]), row["id"]), reverse=True)


@pytest.mark.parametrize(("first", "seen"), [("first: 1000", 200), ("first: 7", 7), ("", 200), ("first: 0", 0)])
def test_a_page_holds_two_hundred_rows_at_most(reader: Client, first: str, seen: int) -> None:
    arguments = f"({first})" if first else ""
    assert len(reader.data(f"{{conversions{arguments} {{id}}}}")["conversions"]) == seen


def test_negative_paging_is_an_error_in_a_200(reader: Client) -> None:
    answer = reader.graphql("{conversions(first: -1) {id} offers {id}}")
    assert answer.status_code == 200
    assert messages(answer) == ["first and offset must not be negative."]
    assert answer.json()["data"]["conversions"] is None


def test_filters_and_totals_go_together(reader: Client) -> None:
    account = reader.sandbox.account
    middle = sorted(created for created, _ in account.timeline)[200]
    query = """
        query Rows($from: Int, $to: Int, $status: String, $paid: String) {
          pageInfo {total_results {conversions payments}}
          conversions(created_from: $from, created_to: $to, status: $status, payment_status: $paid) {id}
          payments(created_to: $to) {id created}
        }
    """
    cases: tuple[dict[str, Any], ...] = (
        {"from": middle},
        {"to": middle},
        {"from": middle, "status": "APPROVED", "paid": "UNPAID"},
        {"status": "PENDING"},
    )
    for variables in cases:
        data = reader.data(query, variables)
        rows = [
            row
            for row in account.conversions.values()
            if variables.get("from", 0) <= row.created <= variables.get("to", account.now)
            and variables.get("status", row.status) == row.status
            and variables.get("paid", row.payment_status) == row.payment_status
        ]
        assert data["pageInfo"]["total_results"]["conversions"] == len(rows) > 0
        assert len(data["conversions"]) == min(200, len(rows))
        payments = [row for row in account.payments.values() if row.created <= variables.get("to", account.now)]
        assert data["pageInfo"]["total_results"]["payments"] == len(payments)
        assert len(data["payments"]) == min(200, len(payments))


def test_payments_hold_what_is_documented(reader: Client) -> None:
    rows = reader.data("{payments {id created commission_total currency total_conversions shop {name} affiliate {id}}}")
    for row in rows["payments"]:
        payment = reader.sandbox.account.payments[row["id"]]
        assert row == {
            "id": payment.id,
            "created": str(payment.created),
            "commission_total": str(payment.commission_total),
            "currency": payment.currency,
            "total_conversions": payment.total_conversions,
            "shop": {"name": "Harbour Goods"},
            "affiliate": {"id": payment.affiliate_id},
        }


def test_affiliates_by_every_argument(reader: Client) -> None:
    everybody = reader.data("{affiliates {id email name rfsn_parameter custom_fields paypal_email}}")["affiliates"]
    assert len(everybody) == 40
    assert reader.data("{affiliates(limit: 3) {id}}")["affiliates"] == [{"id": row["id"]} for row in everybody[:3]]
    assert reader.data("{affiliates(first: 2, offset: 39) {id}}")["affiliates"] == [{"id": everybody[39]["id"]}]
    one = everybody[3]
    for argument in (f"id: {one['id']}", f'email: "{one["email"].upper()}"'):
        assert reader.data(f"{{affiliates({argument}) {{id}}}}")["affiliates"] == [{"id": one["id"]}]
    assert one["rfsn_parameter"] == f"&rfsn={one['id']}.0042"
    assert one["custom_fields"][0][:2] == ["901", "What is your web site?"]
    assert any(row["paypal_email"] is None for row in everybody)


def test_an_affiliate_holds_its_own_conversions_and_clicks(reader: Client) -> None:
    query = '{affiliates {id conversions(status: "APPROVED") {id affiliate_id status} clicks(first: 5) {affiliate_id}}}'
    rows = reader.data(query)["affiliates"]
    assert any(row["conversions"] for row in rows)
    assert any(row["clicks"] for row in rows)
    for row in rows:
        own = reader.sandbox.account.by_affiliate.get(row["id"], [])
        assert len(row["conversions"]) == min(200, sum(one.status == "APPROVED" for one in own))
        assert {(one["affiliate_id"], one["status"]) for one in row["conversions"]} <= {(row["id"], "APPROVED")}
        assert {one["affiliate_id"] for one in row["clicks"]} <= {row["id"]}


def test_clicks_and_creatives(reader: Client) -> None:
    data = reader.data("{clicks(first: 5) {id created landed_url ip sub_id} creatives {id name type url}}")
    assert len(data["clicks"]) == 5
    assert len(data["creatives"]) == 6


def test_one_unknown_field_fails_the_whole_query(reader: Client) -> None:
    answer = reader.graphql("{conversions {id loyalty_tier}}")
    assert answer.status_code == 200
    assert messages(answer) == ["Cannot query field 'loyalty_tier' on type 'Conversion'."]
    assert "data" not in answer.json()


def test_aliases_fragments_and_directives_are_executed(reader: Client) -> None:
    query = """
        query Rows($no: Boolean!) {
          newest: conversions(first: 1) {...Row number: id total @include(if: $no)}
          ... on Query {offers {__typename}}
        }
        fragment Row on Conversion {__typename affiliate {...Who} affiliate {name}}
        fragment Who on Affiliate {id}
    """
    data = reader.data(query, {"no": False})
    (row,) = data["newest"]
    assert set(row) == {"__typename", "affiliate", "number"}
    assert row["__typename"] == "Conversion"
    assert set(row["affiliate"]) == {"id", "name"}
    assert data["offers"][0] == {"__typename": "Offer"}


def test_a_get_is_refused(reader: Client) -> None:
    assert requests.get(reader.sandbox.graphql_url, headers=reader.token, timeout=10).status_code == 405


def test_requests_are_counted_by_root_field(client: Client) -> None:
    client.data("{conversions(first: 1) {id} pageInfo {total_results {conversions}}}")
    client.data("{conversions(first: 1) {id} payments {id}}")
    client.data("{__schema {types {name}}}")
    client.rest("/affiliate/list", {"limit": "1"})
    counted: Any = client.control("GET", "/requests").json()
    assert counted == client.sandbox.requests()
    assert counted == {
        "graphql:conversions": 2,
        "graphql:payments": 1,
        "graphql:introspection": 1,
        "rest:/affiliate/list": 1,
    }
    client.control("DELETE", "/requests")
    assert client.sandbox.requests() == {}
