"""Runs that are stopped, by a kill or by an error: nothing is lost, nothing is there twice, little is read again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.location import NOW, Location

ACCOUNT = SandboxSettings(affiliates=12, orders=400, days=400, now=NOW)
# Small enough for a commit every month or two.
MONTHLY = {"REFERSION_ROWS_PER_LOAD": "20"}
ASSETS = ("refersion/conversions", "refersion/conversion_history")


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(ACCOUNT) as server:
        yield server


@pytest.fixture
def location(sandbox: SandboxServer, tmp_path: Path) -> Location:
    return Location.of(tmp_path, sandbox).with_settings(**MONTHLY)


def asked(sandbox: SandboxServer) -> int:
    return sandbox.requests().get("graphql:conversions", 0)


def in_warehouse(location: Location) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Rows, distinct ids and sums by currency, status and payment status, test conversions apart."""
    rows = location.query(
        "SELECT is_test_conversion, status, payment_status, currency, count(*), count(DISTINCT id), sum(total), "
        "sum(commission_total) FROM refersion_data.conversions GROUP BY ALL"
    )
    return {row[:4]: row[4:] for row in rows}


def at_the_source(sandbox: SandboxServer) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    sums = sandbox.sums()
    return {
        (row["is_test_conversion"], row["status"], row["payment_status"], row["currency"]): (
            row["count"],
            row["count"],
            Decimal(row["total"]),
            Decimal(row["commission_total"]),
        )
        for row in sums["conversions"] + sums["test_conversions"]
    }


@pytest.mark.parametrize("after", [2, 9, 14])
def test_a_run_that_is_killed_goes_on_where_it_was(
    location: Location, sandbox: SandboxServer, tmp_path: Path, after: int
) -> None:
    # One page at a time, and each takes a moment, so that the kill meets the run in the middle of its reading.
    location = location.with_settings(REFERSION_MAX_CONCURRENCY="1")
    sandbox.fault("graphql:conversions", "latency", seconds=0.3, times=None)
    with location.start(
        "dagster", "asset", "materialize", "-m", "refersion_dagster.definitions", "--select", ",".join(ASSETS)
    ) as process:
        deadline = time.monotonic() + 90
        while asked(sandbox) < after and process.poll() is None and time.monotonic() < deadline:
            os.sched_yield()
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    sandbox.clear_faults()

    again = location.materialise(*ASSETS)

    assert again.code == 0, again.output
    assert in_warehouse(location) == at_the_source(sandbox)
    assert location.query("SELECT count(*) FROM refersion_data.conversion_history WHERE change <> 'new'") == [(0,)]
    in_two_goes = asked(sandbox)
    sandbox.forget_requests()
    whole = Location.of(tmp_path / "whole", sandbox).with_settings(**MONTHLY, REFERSION_MAX_CONCURRENCY="1")
    assert whole.materialise(*ASSETS).code == 0
    # At most one commit's months are read again, which are one or two of some fifteen.
    assert in_two_goes <= asked(sandbox) + 6


def test_a_run_that_ends_by_an_error_in_the_middle_keeps_what_it_committed(
    location: Location, sandbox: SandboxServer
) -> None:
    sandbox.fault("graphql:conversions", "status", status=403, after=20, times=None)
    failed = location.with_settings(REFERSION_MAX_CONCURRENCY="1").materialise(*ASSETS)
    assert failed.code != 0
    assert "HTTP 403" in failed.output
    kept = location.query("SELECT count(*), count(DISTINCT id), max(created) FROM refersion_data.conversions")[0]
    assert 0 < kept[0] == kept[1] < sandbox.sums()["number_of_conversions"]

    sandbox.clear_faults()
    again = location.materialise(*ASSETS)

    assert again.code == 0, again.output
    assert in_warehouse(location) == at_the_source(sandbox)


def test_a_fresh_machine_goes_on_from_the_warehouses_state(
    location: Location, sandbox: SandboxServer, tmp_path: Path
) -> None:
    assert location.materialise(*ASSETS).code == 0
    first = asked(sandbox)
    elsewhere = Location.of(tmp_path / "elsewhere", sandbox).with_settings(REFERSION_DUCKDB_PATH=str(location.database))
    assert elsewhere.materialise(*ASSETS).code == 0
    assert asked(sandbox) - first < first
    assert in_warehouse(location) == at_the_source(sandbox)


def test_local_state_of_dlt_that_is_damaged_does_no_harm(location: Location, sandbox: SandboxServer) -> None:
    assert location.materialise(*ASSETS).code == 0
    state = location.folder / "home" / ".dlt" / "pipelines" / "refersion_pipeline"
    state.mkdir(parents=True)
    (state / "state.json").write_text("{damaged")
    assert location.materialise(*ASSETS).code == 0
    assert in_warehouse(location) == at_the_source(sandbox)


def test_no_run_leaves_temporary_folders_behind(location: Location, sandbox: SandboxServer) -> None:
    assert location.materialise(*ASSETS).code == 0
    sandbox.fault("graphql:conversions", "status", status=403, times=None)
    assert location.materialise(*ASSETS).code != 0
    assert [path.name for path in (location.folder / "tmp").iterdir() if "refersion" in path.name] == []
