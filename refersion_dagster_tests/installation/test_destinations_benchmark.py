"""benchmarks/destinations on few rows: a refresh into DuckDB with its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from refersion_dagster_tests.location import REPOSITORY


@pytest.mark.processes
def test_a_refresh_is_measured_by_parts_with_its_statements(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.destinations", "--rows", "150", "--only", "duckdb"]
    ended = subprocess.run(
        [*command, "--json", str(figures)], cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (found,) = json.loads(figures.read_text("utf-8"))["results"]
    assert found["destination"] == "duckdb"
    assert not found["is_emulated"]
    assert min(found["parts"][part] for part in ("load", "summaries", "checks")) > 0
    assert sum(found["parts"].values()) < found["seconds"]
    assert found["peak_bytes"] > 100_000_000
    # At least a statement for each summary and each check.
    assert found["usage"]["statements"] > 100
    assert (found["usage"]["priced"], found["usage"]["timed"]) == (0, 0)
    assert "duckdb" in ended.stdout
