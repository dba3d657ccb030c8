"""One run writes at a time, on any process or machine. The others wait, and say which run they wait for."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.warehouse.errors import WarehouseBusy, WarehouseUnreachable
from refersion_dagster.warehouse.postgres.database import LOCK, LOCK_HOLDER
from refersion_dagster_tests.location import materialise
from refersion_dagster_tests.postgres import PostgresDatabase
from refersion_dagster_tests.processes import soon

HOLD_FILE = """
import sys
from filelock import FileLock
with FileLock(f"{sys.argv[1]}.lock"):
    print("held", flush=True)
    sys.stdin.read()
"""
HOLD_POSTGRES = f"""
import sys, psycopg2
connection = psycopg2.connect(sys.argv[1], application_name="another run")
connection.cursor().execute("SELECT pg_advisory_lock({LOCK})")
print("held", flush=True)
sys.stdin.read()
"""


class Other:
    """Another process that writes to the warehouse until it is stopped."""

    def __init__(self, warehouse: Warehouse, postgres: PostgresDatabase | None) -> None:
        script, target = (HOLD_POSTGRES, postgres.url) if postgres else (HOLD_FILE, warehouse.location)
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "held\n"

    def stop(self) -> None:
        self.process.communicate(timeout=30)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)


@pytest.fixture
def other(warehouse: Warehouse, request: pytest.FixtureRequest) -> Iterator[Other]:
    running = Other(warehouse, request.getfixturevalue("postgres") if warehouse.destination != "duckdb" else None)
    yield running
    running.stop()


def impatient(warehouse: Warehouse) -> Warehouse:
    return Warehouse(destination=warehouse.destination, duckdb_path=warehouse.duckdb_path, lock_timeout_seconds=0)


def locked(warehouse: Warehouse) -> str:
    """The location of the lock: for a lake, the database of its catalogue."""
    return warehouse.location.removeprefix("ducklake:").partition("#")[0]


def test_a_run_that_waits_in_vain_says_for_whom(warehouse: Warehouse, other: Other) -> None:
    said: list[str] = []
    with (
        pytest.raises(WarehouseBusy, match=r"Another run .+ after 0 s.+Nothing was written") as busy,
        impatient(warehouse).write_lock(said.append),
    ):
        pytest.fail("two writers at once")
    assert locked(warehouse) in str(busy.value)
    assert not busy.value.may_pass
    if warehouse.destination != "duckdb":
        assert "of loader from 127.0.0.1, another run, connected since " in str(busy.value)
    else:
        assert said == [f"Another run is writing to {warehouse.location}; waiting for it, up to 0 s."]
        assert not Path(warehouse.location).exists()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_run_goes_on_as_soon_as_the_other_one_ends(warehouse: Warehouse, other: Other, end: str) -> None:
    told: list[str] = []

    def tell(message: str) -> None:
        told.append(message)
        getattr(other, end)()

    with warehouse.write_lock(tell):
        assert other.process.returncode == (0 if end == "stop" else -signal.SIGKILL)
    assert len(told) == 1
    assert re.match(r"Another run.* is writing to .+; waiting for it, up to 3600 s\.", told[0])


def test_the_right_is_free_again_after_a_run_that_failed(warehouse: Warehouse) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), impatient(warehouse).write_lock(pytest.fail):
            raise ZeroDivisionError
    with impatient(warehouse).write_lock(pytest.fail):
        pass


def test_a_busy_warehouse_fails_a_run_with_the_same_words(warehouse: Warehouse, other: Other) -> None:
    outcome = materialise(RefersionResource(), impatient(warehouse), "summaries/commission_by_affiliate")
    assert not outcome.success
    assert "Another run" in outcome.failure
    assert other.process.returncode is None


def test_the_folder_of_a_database_file_is_made(tmp_path: Path) -> None:
    deep = Warehouse(duckdb_path=str(tmp_path / "a" / "b" / "warehouse.duckdb"))
    with deep.write_lock(pytest.fail):
        assert deep.query("SELECT 1") == [(1,)]


class TestPostgres:
    @pytest.fixture
    def warehouse(self, postgres: PostgresDatabase) -> Warehouse:
        return Warehouse(destination="postgres")

    def holder(self, postgres: PostgresDatabase) -> int:
        """The server process of the connection that holds the lock."""
        ((pid, *_),) = postgres.query(LOCK_HOLDER.format(high=LOCK >> 32, low=LOCK & 0xFFFFFFFF))
        return pid

    def test_two_databases_of_one_server_have_a_writer_each(
        self, warehouse: Warehouse, postgres: PostgresDatabase
    ) -> None:
        with (
            warehouse.write_lock(pytest.fail),
            postgres.server.create_database().in_use(),
            impatient(warehouse).write_lock(pytest.fail),
        ):
            pass

    def test_a_run_whose_lock_was_lost_under_way_is_told(
        self, warehouse: Warehouse, postgres: PostgresDatabase
    ) -> None:
        with (
            pytest.raises(
                WarehouseUnreachable, match=r"broke while this run was writing\. Start the run again"
            ) as lost,
            warehouse.write_lock(pytest.fail),
        ):
            postgres.query("SELECT pg_terminate_backend(%s, 5000)", self.holder(postgres))
        assert lost.value.may_pass

    def test_the_runs_own_error_is_told_even_then(self, warehouse: Warehouse, postgres: PostgresDatabase) -> None:
        def fail() -> None:
            with warehouse.write_lock(pytest.fail):
                postgres.query("SELECT pg_terminate_backend(%s, 5000)", self.holder(postgres))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()

    def test_the_lock_outlives_the_servers_patience_with_idle_connections(
        self, warehouse: Warehouse, postgres: PostgresDatabase
    ) -> None:
        import psycopg2

        postgres.query(f"ALTER DATABASE {postgres.name} SET idle_session_timeout = '100ms'")
        with warehouse.write_lock(pytest.fail):
            idle = psycopg2.connect(postgres.url)
            gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %s"
            assert soon(lambda: postgres.query(gone, idle.info.backend_pid) == [(True,)])
            assert self.holder(postgres)
