"""DuckDB allows one writer: a run waits for a program that has the file open, says so, and finally gives up."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from refersion_dagster.resources import Warehouse, WarehouseBusy
from refersion_dagster.warehouse.errors import FileTooNew
from refersion_dagster_tests.warehouse.newer_file import OF_DUCKDB_2

READER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
connection.execute("FROM duckdb_tables()")
print("reading", flush=True)
sys.stdin.readline()
"""


def reader(path: Path) -> subprocess.Popen[str]:
    """Another process that keeps the file open until it receives a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "reading\n"
    return process


@pytest.fixture
def path(tmp_path: Path) -> Path:
    database = tmp_path / "warehouse.duckdb"
    duckdb.connect(str(database)).close()
    return database


def test_a_reader_is_waited_for_and_named(path: Path) -> None:
    said: list[str] = []
    with reader(path) as process:

        def tell(message: str) -> None:
            said.append(message)
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()

        warehouse = Warehouse(duckdb_path=str(path), lock_timeout_seconds=60)
        with warehouse.write_lock(tell):
            warehouse.query("CREATE TABLE numbers AS SELECT 1 AS one")
    assert len(said) == 1
    assert "open in another program" in said[0]
    assert f"PID {process.pid}" in said[0]
    assert warehouse.query("SELECT one FROM numbers") == [(1,)]


def test_a_reader_that_stays_is_an_error_that_can_be_tried_again(path: Path) -> None:
    warehouse = Warehouse(duckdb_path=str(path), lock_timeout_seconds=0)
    with reader(path) as process:
        with (
            pytest.raises(WarehouseBusy, match=rf"PID {process.pid}.*Nothing was written"),
            warehouse.write_lock(print),
        ):
            pass
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    with warehouse.write_lock(print):
        warehouse.query("CREATE TABLE numbers AS SELECT 1 AS one")


def test_a_reader_cannot_come_between_while_a_run_writes(path: Path) -> None:
    warehouse = Warehouse(duckdb_path=str(path))
    with warehouse.write_lock(print):
        done = subprocess.run(
            [sys.executable, "-c", READER, str(path)], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    assert done.returncode != 0
    assert "Conflicting lock" in done.stderr


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "notes.duckdb").write_text("not a database, but long enough to be looked at " * 100)
    with (
        pytest.raises(duckdb.IOException, match="not a valid DuckDB"),
        Warehouse(duckdb_path=str(tmp_path / "notes.duckdb")).write_lock(print),
    ):
        pass


@pytest.mark.parametrize("use", ["write_lock", "session", "pipeline"])
def test_a_file_of_a_newer_duckdb_is_refused_and_stays_as_it_is(path: Path, use: str) -> None:
    path.write_bytes(OF_DUCKDB_2)
    warehouse = Warehouse(duckdb_path=str(path))
    used = {
        "write_lock": lambda: warehouse.write_lock(print),
        "session": warehouse.session,
        "pipeline": warehouse.pipeline,
    }
    said = f"{path} was written by a newer DuckDB; this installation has DuckDB {duckdb.__version__}"
    with pytest.raises(FileTooNew, match=re.escape(said)), used[use]():
        pytest.fail("it was opened")
    assert path.read_bytes() == OF_DUCKDB_2
