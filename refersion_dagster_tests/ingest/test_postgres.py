"""Loads into PostgreSQL: concurrent processes, interruptions at the worst moment, and the plain dlt script."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import dagster as dg
import psycopg2
import pytest

from refersion_dagster import pipeline
from refersion_dagster.automation.backfill import backfill_job
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import Settings
from refersion_dagster.warehouse.postgres.database import LOCK
from refersion_dagster_tests.ingest.interruptions.interrupted_load import at_the_source
from refersion_dagster_tests.location import (
    SMALL,
    Ended,
    Location,
    Outcome,
    account_of,
    fresh_instance,
    materialise,
    outcome,
    resources,
)
from refersion_dagster_tests.postgres import HOST, PASSWORD, PostgresDatabase, PostgresServer
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.test_refersion_refresh import lines_until
from refersion_dagster_tests.test_secrets import LOG_EVERYTHING, files_with

MATERIALISE = ("dagster", "asset", "materialize", "-m", "refersion_dagster.definitions", "--select")
SOME = (
    *(f"refersion/{table}" for table in ("affiliate_list", "affiliate_get", "affiliates", "payments")),
    *("refersion/conversions", "refersion/conversion_history"),
    *("summaries/data_as_of", "summaries/affiliates", "summaries/conversions"),
)
CONVERSIONS = ("refersion/conversions", "refersion/conversion_history")
# Reads rows of any age again.
ALL_AGAIN = {"lookback_days": 1_000}
SUMS = """
SELECT is_test_conversion, status, payment_status, currency, count(*), count(DISTINCT id), sum(total),
  sum(commission_total)
FROM refersion_data.conversions GROUP BY 1, 2, 3, 4
"""
# Every way in which a URL may contain it.
SECRETS = (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), quote_plus(PASSWORD))


def in_warehouse(database: PostgresDatabase) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {row[:4]: row[4:] for row in database.query(SUMS)}


@dataclass(frozen=True)
class Runs:
    """A process and a run in this process that refreshed the same warehouse concurrently."""

    sandbox: SandboxServer
    database: PostgresDatabase
    location: Location
    ended: Ended
    outcomes: Sequence[Outcome]

    @property
    def in_order(self) -> list[Outcome]:
        """Both outcomes, the earlier run first."""
        return sorted(self.outcomes, key=lambda run: -run.metadata["refersion/affiliate_get"]["rows_loaded"])


@pytest.fixture(scope="module")
def runs(account: SandboxServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The process logs at the most verbose level."""
    database = postgres_server.create_database()
    folder = tmp_path_factory.mktemp("process")
    location = Location.of(folder, account).with_settings(RUNTIME__LOG_LEVEL="DEBUG", **database.environment)
    (folder / "dagster" / "dagster.yaml").write_text(LOG_EVERYTHING)
    with lock_held(database):
        process = location.start(*MATERIALISE, ",".join(SOME))
        said = "".join(lines_until("waiting for it", process))
    with ThreadPoolExecutor(1) as reading, database.in_use():
        rest = reading.submit(process.communicate, timeout=120)
        in_this_process = materialise(account_of(account), Warehouse(destination="postgres"), *SOME)
        said += rest.result()[0]
    with location.records() as instance:
        (run,) = instance.get_runs()
        outcomes = [outcome(instance, run.run_id), in_this_process]
    return Runs(account, database, location, Ended(process.returncode, said), outcomes)


@pytest.mark.processes
class TestTwoRunsAtOnce:
    """Simulates two machines, each with its own records."""

    def test_they_queue_up_and_both_succeed(self, runs: Runs) -> None:
        assert runs.ended.code == 0, runs.ended.output
        assert [run.success for run in runs.outcomes] == [True, True], runs.outcomes[1].failure
        where = f"is writing to postgresql://{HOST}:{runs.database.server.port}/{runs.database.name}; waiting for it"
        assert where in runs.ended.output

    def test_every_row_is_there_once_and_sums_are_refersions_own(self, runs: Runs) -> None:
        sums = runs.sandbox.sums()
        counts = runs.database.counts()
        assert in_warehouse(runs.database) == at_the_source(runs.sandbox)
        assert counts["conversions"] == counts["conversion_history"] == sums["number_of_conversions"]
        assert counts["affiliate_get"] == counts["affiliate_list"] == sums["affiliates"]

    def test_the_second_goes_on_from_the_state_in_the_database(self, runs: Runs) -> None:
        first, second = (run.metadata["refersion/conversions"] for run in runs.in_order)
        assert second["window_from"] > first["window_from"]
        assert 0 < second["rows_loaded"] < first["rows_loaded"] == first["dagster/row_count"]

    def test_the_password_is_in_no_file_and_in_no_output(self, runs: Runs) -> None:
        # The log is as verbose as intended.
        assert "POST /graphql" in runs.ended.output
        assert files_with(runs.location.folder, *SECRETS) == []
        assert not [secret for secret in SECRETS if secret in runs.ended.output]

    def test_the_tables_tell_where_they_are_without_credentials(self, runs: Runs) -> None:
        told = {run.metadata["refersion/conversions"]["warehouse"] for run in runs.outcomes}
        assert told == {f"postgresql://{HOST}:{runs.database.server.port}/{runs.database.name}"}

    def test_nothing_stays_in_the_temporary_folder(self, runs: Runs) -> None:
        left = [file.name for file in (runs.location.folder / "tmp").iterdir()]
        assert [name for name in left if "refersion" in name] == []


@contextmanager
def lock_held(database: PostgresDatabase) -> Iterator[None]:
    connection = psycopg2.connect(database.url)
    connection.cursor().execute("SELECT pg_advisory_lock(%s)", [LOCK])
    yield
    connection.close()


@pytest.fixture(scope="module")
def loaded(postgres_server: PostgresServer) -> PostgresDatabase:
    """The first load, which tests copy."""
    database = postgres_server.create_database()
    with SandboxServer(SMALL) as sandbox, database.in_use():
        done = materialise(account_of(sandbox, **ALL_AGAIN), Warehouse(destination="postgres"), *CONVERSIONS)
        assert done.success, done.failure
    return database


class TestCutShort:
    """A run interrupted while the database merges its rows, which a lock on the table delays."""

    @pytest.fixture
    def database(self, loaded: PostgresDatabase) -> Iterator[PostgresDatabase]:
        database = loaded.copy()
        with database.in_use():
            yield database

    @pytest.fixture
    def sandbox(self) -> Iterator[SandboxServer]:
        """The account of that load, two months later."""
        with SandboxServer(SMALL) as sandbox:
            sandbox.advance(days=60)
            yield sandbox

    @pytest.mark.exhaustive
    def test_by_a_kill_leaves_the_table_as_it_was_and_the_next_run_ends_right(
        self, sandbox: SandboxServer, database: PostgresDatabase, tmp_path: Path
    ) -> None:
        before = in_warehouse(database)
        location = Location.of(tmp_path, sandbox).with_settings(
            REFERSION_LOOKBACK_DAYS=str(ALL_AGAIN["lookback_days"]), **database.environment
        )
        with merge_kept_up(database) as waiting, location.start(*MATERIALISE, ",".join(CONVERSIONS)) as process:
            assert process.stdout
            # Its output has to be read, otherwise it would block.
            threading.Thread(target=process.stdout.read).start()
            try:
                assert soon(lambda: bool(waiting()), 60)
            finally:
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        # The server cancels a statement when the client disconnects.
        assert soon(lambda: not others(database), 30)
        assert in_warehouse(database) == before

        done = materialise(account_of(sandbox, **ALL_AGAIN), Warehouse(destination="postgres"), *CONVERSIONS)

        assert done.success, done.failure
        assert in_warehouse(database) == at_the_source(sandbox)

    @pytest.mark.exhaustive
    def test_by_a_lost_connection_is_made_up_for_within_the_run(
        self, sandbox: SandboxServer, database: PostgresDatabase
    ) -> None:
        with meanwhile(database, terminate):
            done = materialise(account_of(sandbox, **ALL_AGAIN), Warehouse(destination="postgres"), *CONVERSIONS)
        assert done.success, done.failure
        assert in_warehouse(database) == at_the_source(sandbox)

    @pytest.mark.exhaustive
    def test_rows_that_were_copied_twice_are_there_once(
        self, sandbox: SandboxServer, database: PostgresDatabase
    ) -> None:
        """Simulates a lost response to a copy, which dlt repeats."""

        def copy_again(database: PostgresDatabase, _pid: int) -> None:
            staging = "refersion_data_staging.conversions"
            database.query(f"INSERT INTO {staging} SELECT * FROM {staging}")

        with meanwhile(database, copy_again):
            done = materialise(account_of(sandbox, **ALL_AGAIN), Warehouse(destination="postgres"), *CONVERSIONS)
        assert done.success, done.failure
        assert in_warehouse(database) == at_the_source(sandbox)

    @pytest.mark.exhaustive
    def test_by_a_server_that_goes_away_is_an_error_that_says_so(
        self, sandbox: SandboxServer, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # By default, dlt tries five times, a second apart.
        monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")

        def close(database: PostgresDatabase, pid: int) -> None:
            database.server.allow_connections(database, False)
            database.server.end_connections(database, first=pid)

        before = in_warehouse(database)
        with meanwhile(database, close):
            failed = backfill(sandbox, "2025-06-01")
        database.server.allow_connections(database, True)
        assert not failed.success
        assert "The connection to PostgreSQL broke or could not be opened" in failed.failure
        assert in_warehouse(database) == before
        assert backfill(sandbox, "2025-06-01").success


def backfill(sandbox: SandboxServer, month: str) -> Outcome:
    """Runs the job for one month in this process, without retries."""
    given = resources(account_of(sandbox), Warehouse(destination="postgres"))
    job = dg.Definitions(jobs=[backfill_job(Settings.of({}))], resources=given).resolve_job_def("refersion_backfill")
    with fresh_instance() as instance:
        run = job.execute_in_process(partition_key=month, instance=instance, raise_on_error=False)
        return outcome(instance, run.run_id)


def others(database: PostgresDatabase, where: str = "TRUE") -> list[int]:
    """The server processes of other connections to this database."""
    activity = f"SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = %s AND {where}"
    return [pid for (pid,) in database.server.query("postgres", activity, database.name, "refersion_dagster")]


@contextmanager
def merge_kept_up(database: PostgresDatabase) -> Iterator[Callable[[], list[int]]]:
    """Locks conversions against changes. Yields a function that returns the server processes waiting for the lock."""
    connection = psycopg2.connect(database.url)
    connection.cursor().execute("LOCK TABLE refersion_data.conversions IN SHARE MODE")
    yield lambda: others(database, "wait_event_type = 'Lock' AND wait_event = 'relation'")
    connection.close()


@contextmanager
def meanwhile(database: PostgresDatabase, happen: Callable[[PostgresDatabase, int], None]) -> Iterator[None]:
    """Calls `happen` while the merge waits for the table, then lets the merge continue."""
    happened: list[BaseException | None] = []

    def wait_and_let_it_happen() -> None:
        try:
            with merge_kept_up(database) as waiting:
                ready.set()
                deadline = time.monotonic() + 60
                while not (pids := waiting()):
                    assert time.monotonic() < deadline, "no merge"
                happen(database, pids[0])
            happened.append(None)
        except BaseException as error:  # noqa: BLE001 - told below, in the thread of the test
            happened.append(error)

    ready = threading.Event()
    thread = threading.Thread(target=wait_and_let_it_happen)
    thread.start()
    ready.wait()
    yield
    thread.join()
    assert happened == [None]


def terminate(database: PostgresDatabase, pid: int) -> None:
    database.query("SELECT pg_terminate_backend(%s, 5000)", pid)


class TestScript:
    """`python -m refersion_dagster.pipeline`"""

    SCRIPT = ("python", "-m", "refersion_dagster.pipeline")

    @pytest.mark.exhaustive
    def test_it_loads_into_postgres_and_dlt_knows_the_pipeline(
        self, account: SandboxServer, postgres: PostgresDatabase, tmp_path: Path
    ) -> None:
        location = Location.of(tmp_path, account).with_settings(
            DLT_DATA_DIR=str(tmp_path / "dlt"), **postgres.environment
        )
        done = location.run(*self.SCRIPT)
        assert done.code == 0, done.output
        assert in_warehouse(postgres) == at_the_source(account)
        info = location.run("dlt", "pipeline", "refersion_pipeline", "info")
        assert info.code == 0, info.output
        assert "dlt.destinations.postgres" in info.output
        for ended in (done, info):
            assert not [secret for secret in SECRETS if secret in ended.output]
        assert files_with(tmp_path, *SECRETS) == []
        assert not (tmp_path / "refersion.duckdb").exists()

    @pytest.mark.parametrize(
        ("name", "error", "told"),
        [
            (
                "oracle",
                "InvalidSetting",
                "is 'oracle'; it has to be duckdb, postgres, ducklake, motherduck, bigquery, databricks, snowflake "
                "or redshift.",
            ),
            ("postgres", "WarehouseNotSet", "PostgreSQL's credentials lack database"),
        ],
    )
    def test_what_is_not_set_right_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, error: str, told: str
    ) -> None:
        monkeypatch.setenv("REFERSION_DESTINATION", name)
        assert pipeline.main() == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{error}: ")
        assert told in line
