"""A load is tried for longer while Refersion's status page reports an outage."""

from __future__ import annotations

from pathlib import Path

import pytest

from refersion_dagster.ingest import outages
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import Outcome, account_of, materialise


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "WAIT_SECONDS", 0)


def load_offers(sandbox: SandboxServer, folder: Path) -> Outcome:
    account = account_of(sandbox, retry_seconds=0, status_url=sandbox.status_url)
    return materialise(account, Warehouse(duckdb_path=str(folder / "w.duckdb")), "refersion/offers")


def test_during_an_outage_a_load_is_tried_until_refersion_answers(sandbox: SandboxServer, tmp_path: Path) -> None:
    sandbox.report_incident("Errors in GraphQL")
    sandbox.fault("graphql", "503-html", times=5)
    done = load_offers(sandbox, tmp_path)
    assert done.success, done.failure
    assert sandbox.requests()["status"] == 5
    assert sum('incident "Errors in GraphQL"' in line for line in done.log) == 5


@pytest.mark.parametrize("reported", ["nothing", "a minor incident", "no answer"])
def test_without_a_reported_outage_it_gives_up_after_three_attempts(
    sandbox: SandboxServer, tmp_path: Path, reported: str
) -> None:
    if reported == "a minor incident":
        sandbox.report_incident("Slow", "minor")
    if reported == "no answer":
        sandbox.fault("status", "503-html", times=None)
    sandbox.fault("graphql", "503-html", times=5)
    done = load_offers(sandbox, tmp_path)
    assert not done.success
    assert sandbox.requests()["graphql:introspection"] == 3
    assert "HTTP 503" in done.failure


def test_an_outage_without_end_ends_the_run_with_refersions_error(
    sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "MOST_ATTEMPTS", 4)
    sandbox.report_incident("Errors in GraphQL")
    sandbox.fault("graphql", "503-html", times=None)
    done = load_offers(sandbox, tmp_path)
    assert not done.success
    assert sandbox.requests()["graphql:introspection"] == 5
    assert "HTTP 503" in done.failure


def test_an_error_that_cannot_pass_is_not_waited_for(sandbox: SandboxServer, tmp_path: Path) -> None:
    sandbox.report_incident("Errors in GraphQL")
    account = account_of(sandbox, graphql_token="gql_old", status_url=sandbox.status_url)
    done = materialise(account, Warehouse(duckdb_path=str(tmp_path / "w.duckdb")), "refersion/offers")
    assert not done.success
    assert "status" not in sandbox.requests()
