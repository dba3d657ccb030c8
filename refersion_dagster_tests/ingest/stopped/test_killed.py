"""Runs that are killed at any moment: nothing is lost, nothing is there twice, little is read again."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.ingest.stopped.resuming import ASSETS, MONTHLY, asked, at_the_source, in_warehouse
from refersion_dagster_tests.location import Location


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
