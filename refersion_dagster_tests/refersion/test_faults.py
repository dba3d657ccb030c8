"""Faults: temporary ones cost no row; permanent ones raise a typed error and leave the warehouse unchanged."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import tenacity

from refersion_dagster.refersion.api import transport
from refersion_dagster.refersion.errors import (
    InvalidCredentials,
    NotInPlan,
    RefersionError,
    RequestRefused,
    ServerUnavailable,
    UnexpectedAnswer,
)
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import InvalidSetting
from refersion_dagster_tests.location import held_open
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.refersion.plain_dlt import SMALL, Row, Warehouse, read, rows

ROUTES = {
    "affiliate_list": "rest:/affiliate/list",
    "affiliate_get": "rest:/affiliate/get",
    "conversions": "graphql:conversions",
    "payments": "graphql:payments",
    "conversion_totals": "rest:/conversion/totals",
}
# A short span, so that a table takes few requests.
FROM = "2025-05-01"

TRANSIENT: dict[str, dict[str, Any]] = {
    "latency": {"kind": "latency", "seconds": 0.2},
    "429": {"kind": "429"},
    "429 with Retry-After": {"kind": "429-retry-after", "seconds": 0.2},
    "429 with Retry-After as a date": {"kind": "429-retry-after", "seconds": 1, "http_date": True},
    "429 with X-Quota-Reset": {"kind": "429-quota-reset", "seconds": 1},
    "500": {"kind": "500"},
    "502": {"kind": "status", "status": 502},
    "520": {"kind": "status", "status": 520},
    "408": {"kind": "status", "status": 408},
    "503 with a page": {"kind": "503-html"},
    "reset": {"kind": "reset"},
    "hung up half way": {"kind": "truncated"},
    "half of the JSON": {"kind": "truncated-json"},
    "answer lost after the work": {"kind": "reset", "applied": True},
}
FINAL: dict[str, tuple[dict[str, Any], type[RefersionError], str]] = {
    "400": (
        {"kind": "status", "status": 400, "body": {"error": "Missing required field status"}},
        RequestRefused,
        "Missing required field status",
    ),
    "401": (
        {"kind": "status", "status": 401, "body": {"error": "Invalid API credentials (error 2)."}},
        InvalidCredentials,
        r"Invalid API credentials \(error 2\)",
    ),
    "403": ({"kind": "status", "status": 403, "body": {"message": "Forbidden"}}, RequestRefused, "Forbidden"),
    "404": ({"kind": "status", "status": 404, "body": {"error": "Bad request, no body"}}, RequestRefused, "no body"),
    "418": ({"kind": "status", "status": 418, "body": {"message": "teapot"}}, UnexpectedAnswer, "HTTP 418.*teapot"),
    "422": (
        {"kind": "status", "status": 422, "body": {"errors": ["PEND is not a allowed value", "nor PAI"]}},
        RequestRefused,
        "PEND is not a allowed value; nor PAI",
    ),
    "422 of the plan": (
        {
            "kind": "status",
            "status": 422,
            "body": {"errors": ["Your account plan does not support this feature (error 1)."]},
        },
        NotInPlan,
        "plan does not support this feature",
    ),
    "429 of a batch": (
        {"kind": "status", "status": 429, "body": {"error": "Max number of elements on attribute (50) reached."}},
        RequestRefused,
        r"elements on attribute \(50\) reached",
    ),
    "an error in a 204": (
        {"kind": "status", "status": 204, "body": {"error": "Invalid field X"}},
        RequestRefused,
        "HTTP 204",
    ),
    "another shape": ({"kind": "status", "status": 200, "body": ["what"]}, UnexpectedAnswer, "response"),
    "429 for ever": ({"kind": "429"}, ServerUnavailable, "too many requests"),
    "500 for ever": ({"kind": "500"}, ServerUnavailable, "HTTP 500.*Internal server error"),
    "503 for ever": ({"kind": "503-html"}, ServerUnavailable, "HTTP 503.*Service Unavailable"),
    "resets for ever": ({"kind": "reset"}, ServerUnavailable, "connection to .* broke"),
    "half of the JSON for ever": ({"kind": "truncated-json"}, ServerUnavailable, "not complete JSON"),
    "a pause beyond the budget": (
        {"kind": "429-retry-after", "seconds": 3600},
        ServerUnavailable,
        "requested a pause of 3600 s",
    ),
}


@pytest.fixture(autouse=True)
def no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes all pauses except those that the server asks for. test_transport.py covers the others."""
    monkeypatch.setattr(transport, "BACK_OFF", tenacity.wait_none())


def key(table: str) -> tuple[str, ...]:
    return ENTITIES[table].primary_key


@pytest.fixture(scope="module")
def pristine() -> dict[str, list[Row]]:
    """Each table as read without faults."""
    with SandboxServer(SMALL) as running:
        return {table: rows(read(running, table, read_from=FROM), key=key(table)) for table in ROUTES}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SandboxServer, Warehouse]]:
    """An account of which only the offers were loaded, for failing loads that must not change that."""
    warehouse = Warehouse(tmp_path_factory.mktemp("shared"))
    with SandboxServer(SMALL) as running, held_open(warehouse.path):
        warehouse.load(running, "offers")
        yield running, warehouse


@pytest.fixture
def troubled(shared: tuple[SandboxServer, Warehouse]) -> Iterator[tuple[SandboxServer, Warehouse]]:
    sandbox, warehouse = shared
    sandbox.forget_requests()
    yield sandbox, warehouse
    sandbox.clear_faults()


# Pauses given in whole seconds take whole seconds: once per API.
PAUSED_FOR_A_SECOND = {"429 with Retry-After as a date", "429 with X-Quota-Reset"}
NOT_PAUSED = [fault for fault in TRANSIENT if fault not in PAUSED_FOR_A_SECOND]
ONE_OF_EACH_API = ("affiliate_list", "conversions")


@pytest.mark.parametrize(
    ("table", "fault"),
    # Every fault on one REST table and one GraphQL table comes first.
    limit_cases(
        [
            *itertools.product(ONE_OF_EACH_API, TRANSIENT),
            *itertools.product([one for one in ROUTES if one not in ONE_OF_EACH_API], NOT_PAUSED),
        ],
        2 * len(TRANSIENT),
    ),
)
def test_what_passes_costs_no_row(
    troubled: tuple[SandboxServer, Warehouse], pristine: dict[str, list[Row]], table: str, fault: str
) -> None:
    sandbox, _ = troubled
    sandbox.fault(ROUTES[table], **TRANSIENT[fault])
    assert rows(read(sandbox, table, read_from=FROM), key=key(table)) == pristine[table]
    assert sandbox.faults.list_pending() == []


@pytest.mark.parametrize("table", limit_cases(ROUTES, 2))
def test_trouble_of_many_kinds_in_one_run_costs_no_row(
    sandbox: SandboxServer, warehouse: Warehouse, table: str
) -> None:
    for after, fault in enumerate(("500", "reset", "half of the JSON", "429 with Retry-After", "hung up half way")):
        sandbox.fault(ROUTES[table], **TRANSIENT[fault], after=after % 2)
    report = warehouse.load(sandbox, table)
    with SandboxServer(SMALL) as quiet:
        assert warehouse.count(table) == read(quiet, table).num_rows
    assert report.table(table).requests == sandbox.requests()[ROUTES[table]]


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("table", "fault"),
    [(table, fault) for table in ROUTES for fault in FINAL if fault != "422 of the plan" or table == "conversions"],
)
def test_what_does_not_pass_is_a_typed_error_and_the_warehouse_is_unchanged(
    troubled: tuple[SandboxServer, Warehouse], table: str, fault: str
) -> None:
    sandbox, warehouse = troubled
    details, kind, words = FINAL[fault]
    sandbox.fault(ROUTES[table], **details, times=None)
    with pytest.raises(kind, match=words) as caught:
        warehouse.load(sandbox, table, retry_seconds=0)
    error = caught.value
    name = ROUTES[table].partition(":")[2]
    assert error.operation in (name, f"graphql {name}")
    assert isinstance(error.requests, int)
    assert 1 <= error.requests <= sum(sandbox.requests().values())
    assert f"({error.requests} requests sent so far)" in str(error)
    assert warehouse.counts() == {"offers": 4}


@pytest.mark.parametrize("table", [table for table in ROUTES if table != "conversions"])
def test_a_table_that_the_plan_has_not_is_empty_and_says_so(
    sandbox: SandboxServer, warehouse: Warehouse, table: str
) -> None:
    details, _, words = FINAL["422 of the plan"]
    sandbox.fault(ROUTES[table], **details, times=None)
    report = warehouse.load(sandbox, table, "offers", retry_seconds=0)
    assert re.search(words, report.table(table).not_offered or "")
    assert warehouse.counts() == {"offers": 4, table: 0}


@pytest.mark.parametrize("fault", ["400", "401", "422", "429 of a batch", "an error in a 204"])
def test_what_is_final_is_not_tried_again(sandbox: SandboxServer, fault: str) -> None:
    details, kind, _ = FINAL[fault]
    sandbox.fault("rest:/affiliate/list", **details, times=None)
    with pytest.raises(kind):
        read(sandbox, "affiliate_list")
    assert sandbox.requests() == {"rest:/affiliate/list": 1}


def test_trouble_in_the_middle_of_a_load_leaves_the_rows_of_the_load_before(
    sandbox: SandboxServer, warehouse: Warehouse
) -> None:
    warehouse.load(sandbox, "conversions", "affiliate_get")
    before = warehouse.rows("conversions"), warehouse.rows("affiliate_get")
    sandbox.advance(days=20)
    sandbox.fault("graphql:conversions", "500", times=None, after=2)
    with pytest.raises(ServerUnavailable):
        warehouse.load(sandbox, "conversions", "affiliate_get", retry_seconds=0)
    assert (warehouse.rows("conversions"), warehouse.rows("affiliate_get")) == before
    sandbox.clear_faults()
    warehouse.load(sandbox, "conversions", "affiliate_get", lookback_days=300)
    assert warehouse.count("conversions") == len(sandbox.account.conversions)
    assert warehouse.count("affiliate_get") == len(sandbox.account.affiliates)


def test_a_budget_of_zero_tries_once(sandbox: SandboxServer) -> None:
    sandbox.fault("rest:/affiliate/list", "500", times=None)
    with pytest.raises(ServerUnavailable, match=r"retry budget of 0 s.*retry_seconds\)\. \(1 requests sent so far\)"):
        read(sandbox, "affiliate_list", retry_seconds=0)
    assert sandbox.requests() == {"rest:/affiliate/list": 1}


def test_a_budget_is_used_and_then_given_up(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BACK_OFF", tenacity.wait_fixed(0.2))
    sandbox.fault("graphql:conversions", "500", times=None)
    with pytest.raises(ServerUnavailable, match="within the retry budget of 1 s") as caught:
        read(sandbox, "conversions", retry_seconds=1, max_concurrency=1)
    assert caught.value.requests == sum(sandbox.requests().values())
    assert 2 <= sandbox.requests()["graphql:conversions"] <= 6


def test_a_server_that_is_not_there_is_said(sandbox: SandboxServer) -> None:
    with SandboxServer(replace(SMALL, orders=1)) as gone:
        url = gone.rest_url
    with pytest.raises(ServerUnavailable, match=r"cannot connect to 127\.0\.0\.1:\d+"):
        read(sandbox, "affiliate_list", rest_url=url, retry_seconds=0)


@pytest.mark.parametrize("url", ["http://", "ftp://example.com", "no address at all", "http://[::1"])
def test_an_address_that_is_none_is_said_at_once(sandbox: SandboxServer, url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"REFERSION_REST_URL\) is not a valid URL"):
        read(sandbox, "affiliate_list", rest_url=url)


def test_an_edge_that_refuses_library_user_agents_lets_us_in(sandbox: SandboxServer) -> None:
    sandbox.configure(refuse_library_user_agents=True)
    assert read(sandbox, "affiliate_list").num_rows == 12


def test_a_schema_that_changes_type_between_two_runs_changes_nothing(
    sandbox: SandboxServer, warehouse: Warehouse
) -> None:
    warehouse.load(sandbox, "affiliate_list", "affiliate_get", "conversion_totals")
    before = {table: warehouse.rows(table, "* EXCLUDE (read_at)", order="ALL") for table in warehouse.counts()}
    sandbox.configure(list_total="string", totals_shape="numbers")
    for person in list(sandbox.account.affiliates.values()):
        sandbox.change_affiliate(person.id, offer_id=person.offer_id)  # a number instead of a text
    warehouse.load(sandbox, "affiliate_list", "affiliate_get", "conversion_totals", all_details=True, full_reload=True)
    assert {table: warehouse.rows(table, "* EXCLUDE (read_at)", order="ALL") for table in before} == before
