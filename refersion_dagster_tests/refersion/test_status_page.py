"""Refersion's status page: its words are repeated, and nothing depends on whether it can be read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from refersion_dagster.refersion.api.status_page import PAGE, StatusPage, StatusSummary, parse_summary
from refersion_dagster.resources import RefersionResource
from refersion_dagster.sandbox import SandboxServer


@pytest.fixture
def page(sandbox: SandboxServer) -> StatusPage:
    return StatusPage(sandbox.status_url)


def test_without_incidents_there_is_nothing_to_say(page: StatusPage) -> None:
    assert page.read() == StatusSummary()
    assert str(page.read()) == ""


@pytest.mark.parametrize(
    ("impact", "components", "is_outage", "notices"),
    [
        ("critical", ["REST API", "GraphQL API"], True, 3),
        ("major", ["GraphQL API"], True, 2),
        ("major", [], True, 1),
        ("minor", ["GraphQL API"], False, 2),
        ("none", [], False, 1),
    ],
)
def test_incidents_are_named_and_severe_ones_are_an_outage(
    page: StatusPage, sandbox: SandboxServer, impact: str, components: list[str], is_outage: bool, notices: int
) -> None:
    sandbox.report_incident("Errors in reports", impact, components)
    summary = page.read()
    assert (summary.is_outage, len(summary.notices), summary.unknown) == (is_outage, notices, None)
    assert summary.notices[0] == (f'incident "Errors in reports" ({impact}, investigating, since 2025-07-01T00:00:00Z)')
    sandbox.resolve_incidents()
    assert page.read() == StatusSummary()


GARBAGE: dict[str, dict[str, Any]] = {
    "a page in HTML": {"kind": "503-html"},
    "HTML that claims to be fine": {"kind": "status", "status": 200, "body": "<html>"},
    "a list": {"kind": "status", "status": 200, "body": []},
    "a status that is a word": {"kind": "status", "status": 200, "body": {"status": "down"}},
    "incidents that are a number": {"kind": "status", "status": 200, "body": {"status": {}, "incidents": 5}},
    "half of an answer": {"kind": "truncated-json"},
    "fewer bytes than announced": {"kind": "truncated"},
    "a reset": {"kind": "reset"},
    "not found": {"kind": "status", "status": 404, "body": {}},
    "a redirect to nowhere": {"kind": "status", "status": 302, "body": {}},
}


@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in GARBAGE.items()])
def test_any_other_answer_means_that_the_status_is_unknown(
    page: StatusPage, sandbox: SandboxServer, fault: dict[str, Any]
) -> None:
    sandbox.report_incident("Errors")
    sandbox.fault("status", **fault)
    summary = page.read()
    assert summary.unknown
    assert summary.unknown.startswith("127.0.0.1 ")
    assert (summary.notices, summary.is_outage) == ((), False)


def test_a_slow_page_is_not_waited_for(page: StatusPage, sandbox: SandboxServer) -> None:
    sandbox.fault("status", "latency", seconds=60)
    assert page.read(0.2).unknown == "127.0.0.1 did not answer within 0.2 s"


def test_a_page_without_a_server_or_with_a_broken_address_is_unknown() -> None:
    assert StatusPage("http://127.0.0.1:9").read().unknown == "127.0.0.1 cannot be read (MaxRetryError)"
    assert (StatusPage("http://[::1").read().unknown or "").endswith("cannot be read (ValueError)")


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """A server that keeps the first request."""
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                got.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", got
        thread.join()


def test_no_key_is_sent_to_it(listener: tuple[str, list[bytes]]) -> None:
    url, got = listener
    account = RefersionResource(public_key="pub_1", api_key="sec_1", graphql_token="gql_1", status_url=url)
    page = account.status_page()
    assert page
    page.read()
    head, *lines = got[0].decode().strip().split("\r\n")
    assert head == "GET /api/v2/summary.json HTTP/1.1"
    assert {line.partition(":")[0].lower() for line in lines} == {"host", "user-agent", "accept", "accept-encoding"}


def test_it_is_known_only_for_refersions_own_servers() -> None:
    assert RefersionResource().status_page() == StatusPage(PAGE)
    assert RefersionResource(status_url="off").status_page() is None
    assert RefersionResource(rest_url="http://127.0.0.1:8400/v2").status_page() is None
    assert RefersionResource(graphql_url="http://127.0.0.1:8400/graphql").status_page() is None
    elsewhere = RefersionResource(rest_url="http://127.0.0.1:8400/v2", status_url="https://status.example.com/")
    assert elsewhere.status_page() == StatusPage("https://status.example.com/")


def test_its_words_are_short_and_on_one_line() -> None:
    incidents = [{"name": f"{number}\n\x1b[31mred\x07" + "x" * 500, "impact": None} for number in range(5)]
    text = str(parse_summary({"status": {"indicator": "minor"}, "incidents": incidents}))
    assert text.isprintable()
    assert len(text) < 900
    assert text.endswith("; and 2 more.")


def test_maintenance_counts_while_it_is_in_progress_and_groups_do_not_count_twice() -> None:
    summary = {
        "status": {"indicator": "none"},
        "components": [
            {"name": "APIs", "group": True, "status": "partial_outage"},
            {"name": "REST API", "group": False, "status": "under_maintenance"},
            {"name": "Dashboard", "group": False, "status": "major_outage"},
            "not a component",
        ],
        "scheduled_maintenances": [
            {"name": "Next week", "status": "scheduled"},
            {"name": "Database upgrade", "status": "in_progress"},
        ],
        "incidents": [{"name": "Over", "status": "resolved", "impact": "critical"}],
    }
    assert parse_summary(summary) == StatusSummary(
        ('maintenance "Database upgrade" (in_progress)', 'component "Dashboard" (major_outage)'), is_outage=False
    )
