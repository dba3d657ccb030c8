"""Runs killed at any moment: nothing is lost or duplicated, and little is read again."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.ingest.interruptions.interrupted_load import (
    ACCOUNT,
    ASSETS,
    ROWS_PER_LOAD,
    asked,
    at_the_source,
    in_warehouse,
    load,
)
from refersion_dagster_tests.location import Location, query

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def asked_in_one_go(tmp_path_factory: pytest.TempPathFactory) -> int:
    """The number of requests of an uninterrupted run."""
    with SandboxServer(ACCOUNT) as sandbox:
        assert load(sandbox, tmp_path_factory.mktemp("whole") / "warehouse.duckdb").success
        return asked(sandbox)


@pytest.mark.parametrize("after", [2, 9, 14])
def test_a_run_that_is_killed_goes_on_where_it_was(
    sandbox: SandboxServer, tmp_path: Path, asked_in_one_go: int, after: int
) -> None:
    # One page at a time with a delay, so that the kill interrupts the run while it reads.
    location = Location.of(tmp_path, sandbox).with_settings(
        REFERSION_ROWS_PER_LOAD=str(ROWS_PER_LOAD), REFERSION_MAX_CONCURRENCY="1"
    )
    sandbox.fault("graphql:conversions", "latency", seconds=0.1, times=None)
    with location.start(
        "dagster", "asset", "materialize", "-m", "refersion_dagster.definitions", "--select", ",".join(ASSETS)
    ) as process:
        deadline = time.monotonic() + 90
        while asked(sandbox) < after and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    sandbox.clear_faults()

    again = load(sandbox, location.database)

    assert again.success, again.failure
    assert in_warehouse(location.database) == at_the_source(sandbox)
    changes = query(location.database, "SELECT DISTINCT change FROM refersion_data.conversion_history")
    assert changes == [("new",)]
    # At most the months of one commit are read again: one or two of about ten.
    assert asked(sandbox) <= asked_in_one_go + 6
