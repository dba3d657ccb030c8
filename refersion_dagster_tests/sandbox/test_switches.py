"""Switches of GraphQL: what is unknown about Refersion, or may change at any time."""

from collections import Counter
from typing import Any

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.sandbox.client import Client
from refersion_dagster_tests.sandbox.test_graphql import messages

NEWEST = "{conversions(first: 50) {id created total is_test_conversion}}"
TOTAL = "pageInfo {total_results {conversions}}"


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]


def test_fields_are_removed_from_schema_and_answers(client: Client) -> None:
    client.sandbox.configure(remove_fields=["Conversion.status", "Query.payments"])
    answer = client.graphql("{conversions(first: 1) {id status}}")
    assert messages(answer) == ["Cannot query field 'status' on type 'Conversion'."]
    assert client.data('{conversions(first: 1, status: "APPROVED") {id}}')["conversions"]
    fields = client.data('{__type(name: "Query") {fields {name}}}')["__type"]["fields"]
    assert "payments" not in {field["name"] for field in fields}
    client.sandbox.configure(remove_fields=[])
    assert client.data("{conversions(first: 1) {status}}")


def test_arguments_are_removed(client: Client) -> None:
    client.sandbox.configure(remove_arguments=["conversions.status"])
    assert "Unknown argument 'status'" in messages(client.graphql('{conversions(status: "DENIED") {id}}'))[0]


def test_unknown_fields_are_added(client: Client) -> None:
    client.sandbox.configure(
        add_fields={"Conversion.loyalty_tier": "String", "Conversion.score": "Int", "Affiliate.tags": "[String]"}
    )
    row = client.data("{conversions(first: 1) {loyalty_tier score affiliate {tags}}}")["conversions"][0]
    assert row == {"loyalty_tier": "gold", "score": 42, "affiliate": {"tags": ["gold"]}}


@pytest.mark.parametrize(("switch", "status"), [("refused", 200), ("refused_400", 400), ("refused_403", 403)])
def test_introspection_is_refused(client: Client, switch: str, status: int) -> None:
    client.sandbox.configure(introspection=switch)
    for query in (
        "{__schema {types {name}}}",
        '{__type(name: "Query") {name}}',
        "{...A} fragment A on Query {__schema {types {name}}}",
    ):
        answer = client.graphql(query)
        assert answer.status_code == status
        assert messages(answer) == ["GraphQL introspection is not allowed."]
    assert client.data("{offers {__typename}}")


def test_a_bad_token_and_a_bad_query_may_have_other_codes(client: Client) -> None:
    client.sandbox.configure(bad_token_status=200, validation_error_status=400)
    assert client.graphql("{nothing}").status_code == 400
    client.token = {"X-Refersion-Key": "wrong"}
    answer = client.graphql("{offers {id}}")
    assert answer.status_code == 200
    assert messages(answer)


def test_totals_are_wrong(client: Client) -> None:
    query = f'{{conversions(status: "PENDING", first: 1) {{id}} {TOTAL}}}'
    right = client.data(query)["pageInfo"]["total_results"]["conversions"]
    client.sandbox.configure(total_results_offset=-3)
    assert client.data(query)["pageInfo"]["total_results"]["conversions"] == right - 3
    client.sandbox.configure(total_results_offset=0, total_results_ignore_filters=True)
    everything = len(client.sandbox.account.conversions)
    assert client.data(query)["pageInfo"]["total_results"]["conversions"] == everything > right
    client.sandbox.configure(total_results="null")
    assert client.data(query)["pageInfo"] == {"total_results": {"conversions": None}}
    client.sandbox.configure(total_results="absent")
    assert client.data(query)["pageInfo"] == {"total_results": None}


def test_bounds_are_exclusive(client: Client) -> None:
    newest = client.data("{conversions(first: 200) {id created}}")["conversions"]
    high, low = int(newest[0]["created"]), int(newest[150]["created"])
    query = f"{{conversions(created_from: {low}, created_to: {high}) {{created}}}}"

    def seconds() -> set[int]:
        return {int(row["created"]) for row in client.data(query)["conversions"]}

    assert {low, high} <= seconds()
    client.sandbox.configure(created_from_inclusive=False)
    assert low not in seconds()
    assert high in seconds()
    client.sandbox.configure(created_from_inclusive=True, created_to_inclusive=False)
    assert low in seconds()
    assert high not in seconds()


def test_a_page_may_be_shorter_than_asked_for(client: Client) -> None:
    client.sandbox.configure(page_cap=30)
    assert len(client.data("{conversions(first: 200) {id}}")["conversions"]) == 30


def test_an_empty_page_in_the_middle_once(client: Client) -> None:
    client.sandbox.fault("graphql:conversions", "empty-page", after=1)
    pages = [client.data(f"{{conversions(first: 50, offset: {50 * page}) {{id}} {TOTAL}}}") for page in range(3)]
    assert [len(page["conversions"]) for page in pages] == [50, 0, 50]
    assert pages[1]["pageInfo"] == pages[0]["pageInfo"]


def test_order_is_turned_round(client: Client) -> None:
    newest = client.every_conversion("id created")
    client.sandbox.configure(order="oldest_first")
    assert client.every_conversion("id created") == newest[::-1]


def test_rows_of_one_second_change_places(client: Client) -> None:
    for _ in range(20):
        client.sandbox.insert_conversion()
    client.sandbox.configure(order="unstable_ties")
    seen = [tuple(ids(client.data(NEWEST)["conversions"])) for _ in range(4)]
    assert len(set(seen)) > 1
    assert {frozenset(page) for page in seen} == {frozenset(seen[0])}


def test_filters_are_ignored(client: Client) -> None:
    query = '{conversions(status: "DENIED", created_from: 1780000000) {status created}}'
    filtered = client.data(query)["conversions"]
    client.sandbox.configure(ignore_filters=["conversions.status"])
    ignored = client.data(query)["conversions"]
    assert {row["status"] for row in filtered} <= {"DENIED"}
    assert len(ignored) > len(filtered)
    assert {row["status"] for row in ignored} >= {"APPROVED", "PENDING"}
    assert min(int(row["created"]) for row in ignored) >= 1_780_000_000


def test_rows_arrive_between_requests(client: Client) -> None:
    client.sandbox.configure(churn={"kind": "insert", "every": 2, "limit": 2})
    before = len(client.sandbox.account.conversions)
    pages = [client.data(f"{{conversions(first: 50, offset: {50 * page}) {{id}}}}")["conversions"] for page in range(6)]
    seen = [number for page in pages for number in ids(page)]
    assert len(client.sandbox.account.conversions) == before + 2
    assert len(seen) - len(set(seen)) == 2


def test_rows_arrive_inside_of_the_requested_window(client: Client) -> None:
    client.sandbox.configure(churn={"kind": "insert"})
    account = client.sandbox.account
    low, high = account.timeline[10][0], account.timeline[60][0]
    window = f"created_from: {low}, created_to: {high}"
    first = client.data(f"{{conversions({window}) {{id}}}}")["conversions"]
    second = client.data(f"{{conversions({window}) {{id}}}}")["conversions"]
    assert len(second) == len(first) + 1 == 53


def test_rows_vanish_between_requests(client: Client) -> None:
    client.sandbox.configure(churn={"kind": "delete", "limit": 1})
    everything = set(client.sandbox.account.conversions)
    first = ids(client.data(NEWEST)["conversions"])
    assert everything - set(client.sandbox.account.conversions) == {max(everything)}
    assert max(everything) not in first
    assert ids(client.data(NEWEST)["conversions"]) == first


def test_the_shop_goes_on_between_requests_of_one_route(client: Client) -> None:
    client.sandbox.configure(meanwhile={"what": "order", "route": "graphql:affiliates", "every": 2, "limit": 1})
    account = client.sandbox.account
    before, began = len(account.conversions), account.now
    for asked, orders in (("affiliates", 0), ("offers", 0), ("affiliates", 1), ("affiliates", 1), ("affiliates", 1)):
        client.data(f"{{{asked} {{id}}}}")
        assert len(account.conversions) == before + orders
    assert account.now == began + 1


@pytest.mark.parametrize(("what", "moved"), [("approval", ("PENDING", "UNPAID")), ("payment", ("APPROVED", "UNPAID"))])
def test_what_goes_on_is_an_approval_or_a_payment(client: Client, what: str, moved: tuple[str, str]) -> None:
    def states() -> Counter[tuple[str, str]]:
        return Counter((row.status, row.payment_status) for row in client.sandbox.account.conversions.values())

    client.sandbox.configure(meanwhile={"what": what, "route": "graphql:offers", "seconds": 0})
    before = states()
    client.data("{offers {id}}")
    assert before - states() == {moved: 1}


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ({"ids": "string"}, {"id": "11910000", "affiliate_id": str, "payment_id": str}),
        ({"money": "number"}, {"total": 1_234.5}),
        ({"money": "separators"}, {"total": "1,234.50"}),
        ({"times": "iso"}, {"created": "2026-07-01 00:00:00"}),
        ({"times": "unix_number"}, {"created": 1_782_864_000}),
        ({"booleans": "upper"}, {"is_test_conversion": "TRUE"}),
        ({"booleans": "number"}, {"is_test_conversion": 1}),
    ],
)
def test_types_change(client: Client, types: dict[str, str], expected: dict[str, Any]) -> None:
    client.sandbox.insert_conversion(
        id=11_910_000, total="1234.50", is_test_conversion=True, payment_id=next(iter(client.sandbox.account.payments))
    )
    client.sandbox.configure(types=types)
    fields = "id affiliate_id payment_id total created is_test_conversion payment {id created commission_total}"
    row = client.data(f"{{conversions(first: 200) {{{fields}}}}}")["conversions"]
    (row,) = [one for one in row if str(one["id"]) == "11910000"]
    for name, value in expected.items():
        assert isinstance(row[name], value) if isinstance(value, type) else row[name] == value
    kinds = client.data('{__type(name: "Conversion") {fields {name type {name}}}}')["__type"]["fields"]
    declared = {field["name"]: field["type"]["name"] for field in kinds}
    python = {"String": str, "Int": int, "Float": float, "Boolean": bool}
    for name in ("id", "total", "created", "is_test_conversion"):
        assert type(row[name]) is python[declared[name]], name


@pytest.mark.parametrize(
    "switches",
    [
        {"colour": "red"},
        {"order": "sideways"},
        {"page_cap": "many"},
        {"remove_fields": ["Conversion.nothing"]},
        {"add_fields": {"Conversion.when": "DateTime"}},
        {"add_fields": {"Nobody.name": "String"}},
        {"types": {"ids": "roman"}},
        {"churn": {"kind": "shuffle"}},
        {"remove_fields": ["PageInfo.total_results"]},
    ],
)
def test_switches_that_do_not_exist_are_refused_and_change_nothing(client: Client, switches: dict[str, Any]) -> None:
    before = client.control("GET", "/settings").json()
    refused = client.control("POST", "/settings", switches)
    assert refused.status_code == 400
    assert refused.json()["error"]
    assert client.control("GET", "/settings").json() == before


def test_switches_are_turned_by_a_call(client: Client) -> None:
    answer = client.control("POST", "/settings", {"page_cap": 5, "types": {"ids": "string"}, "churn": {"every": 3}})
    assert answer.status_code == 200
    assert answer.json()["page_cap"] == 5
    assert answer.json()["types"] == {"ids": "string", "money": "string", "times": "unix_string", "booleans": "boolean"}
    assert answer.json()["churn"] == {"kind": "insert", "every": 3, "limit": None}
    assert client.data("{conversions {id}}")["conversions"][4]["id"].isdigit()
    assert client.control("POST", "/settings", {"churn": None}).json()["churn"] is None


def test_two_sandboxes_do_not_share_switches(sandbox: SandboxServer, reader: Client) -> None:
    sandbox.configure(page_cap=1)
    assert len(reader.data("{offers {id}}")["offers"]) == 4
