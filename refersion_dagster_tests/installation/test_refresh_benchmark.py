"""benchmarks/refresh on few rows: dbt in an environment of its own builds the same tables as a refresh."""

from __future__ import annotations

import subprocess
import sys

import pytest

from refersion_dagster.summaries.query import load_summaries
from refersion_dagster_tests.location import REPOSITORY


@pytest.mark.installs
def test_a_plain_load_and_dbt_build_the_same_tables_and_evaluate_as_many_tests_as_a_refresh() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.refresh", "--rows", "1000", "--repeat", "1"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"Both built the same {len(load_summaries())} tables and evaluated 89 tests" in ended.stdout
    assert "not judged: dlt and dbt take" in ended.stdout
