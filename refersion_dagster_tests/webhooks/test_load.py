"""The load test of benchmarks/webhooks.py, small: events at a steady rate, and the receiver killed in the middle."""

from __future__ import annotations

import subprocess
import sys

import pytest

from refersion_dagster_tests.location import REPOSITORY


@pytest.mark.processes
def test_a_receiver_killed_under_load_loses_no_acknowledged_event_and_keeps_none_twice() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.webhooks", "--seconds", "2", "--rate", "500", "--clients", "2"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = dict(line.split() for line in ended.stdout.splitlines() if len(line.split()) == 2)
    assert (figures["sent"], figures["acknowledged"], figures["stored"]) == ("1,000", "1,000", "1,000")
    assert (figures["lost"], figures["twice"], figures["foreign"]) == ("0", "0", "0")
