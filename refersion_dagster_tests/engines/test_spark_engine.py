"""Summaries and checks computed by a real Spark cluster: a master, two workers and a Spark Connect server.

Every value of every table is DuckDB's, in two time zones, and whatever is killed leaves the tables as they were.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from refersion_dagster.doctor.findings import Status
from refersion_dagster.doctor.warehouse import check_engine
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.build import build
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.warehouse.errors import WarehouseUnreachable
from refersion_dagster_tests.checks.check_evaluation import Evaluations, evaluate
from refersion_dagster_tests.engines.evaluated_account import SETTINGS, Loaded
from refersion_dagster_tests.engines.spark_cluster import SparkCluster, spark_cluster
from refersion_dagster_tests.location import REPOSITORY
from refersion_dagster_tests.summaries.builders import all_summaries

pytestmark = pytest.mark.warehouses

# A summary of raw tables alone that takes several stages on the cluster.
(BUILT,) = load_summaries("affiliates")
UTC = SETTINGS["UTC"]
# Time for a job to begin on a busy machine, in seconds.
PATIENCE = 300.0

Tables = dict[str, tuple[list[tuple[str, str]], list[str]]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    with spark_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "shared"


@pytest.fixture
def warehouse(cluster: SparkCluster, loaded: Loaded, tmp_path: Path, shared: Path) -> Warehouse:
    """The loaded account, whose summaries are computed on the cluster."""
    return computed_on(cluster, Path(shutil.copy(loaded.database, tmp_path / "warehouse.duckdb")), shared)


def alone(database: Path) -> Warehouse:
    """The same warehouse, in which DuckDB computes."""
    return Warehouse(duckdb_path=str(database))


def computed_on(cluster: SparkCluster, database: Path, shared: Path) -> Warehouse:
    return Warehouse(
        duckdb_path=str(database), summaries_engine="spark", spark_remote=cluster.remote, spark_folder=str(shared)
    )


def build_all(warehouse: Warehouse, settings: ReportSettings) -> None:
    with warehouse.compute_session() as session:
        for summary in all_summaries():
            build(session, summary, settings.parameters())


def build_one(warehouse: Warehouse, settings: ReportSettings) -> None:
    with warehouse.compute_session() as session:
        build(session, BUILT, settings.parameters())


def read_all(warehouse: Warehouse) -> Tables:
    with warehouse.session(read_only=True) as session:
        return {
            table: (
                session.columns(SUMMARIES, table),
                sorted(map(repr, session.query(f"SELECT * FROM {SUMMARIES}.{table}"))),
            )
            for table in session.tables(SUMMARIES)
        }


def results(found: Evaluations) -> dict[str, tuple[bool, object]]:
    return {name: (one.passed, one.metadata.get("offending_rows")) for name, one in found.items()}


@pytest.fixture
def before(warehouse: Warehouse) -> Tables:
    """The tables after a build in DuckDB."""
    build_one(alone(Path(warehouse.duckdb_path)), UTC)
    return read_all(warehouse)


def test_a_worker_that_dies_in_a_build_changes_nothing(
    cluster: SparkCluster, warehouse: Warehouse, before: Tables, shared: Path
) -> None:
    victim = cluster.workers.pop()
    with when_it_computes(shared, lambda: kill_tree(victim.pid)):
        build_one(warehouse, UTC)
    assert victim.wait() == -signal.SIGKILL
    assert read_all(warehouse) == before
    cluster.workers.append(cluster.start_worker("worker3"))


def test_a_run_that_dies_leaves_the_tables_and_the_next_one_removes_its_files(
    warehouse: Warehouse, before: Tables, shared: Path
) -> None:
    program = (
        "from refersion_dagster.resources import Warehouse\n"
        "from refersion_dagster_tests.engines.test_spark_engine import UTC, build_one\n"
        f"build_one(Warehouse(**{warehouse.model_dump()!r}), UTC)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY) as run, when_it_computes(shared, run.kill):
        assert run.wait() == -signal.SIGKILL
    left = {path.name for path in shared.iterdir()}
    assert len(left) == 2  # its folder and its lock
    assert read_all(warehouse) == before
    build_one(warehouse, UTC)
    assert read_all(warehouse) == before
    assert not {path.name for path in shared.iterdir()} & left


def test_a_server_that_dies_in_a_build_leaves_the_tables_and_the_next_run_succeeds(
    cluster: SparkCluster, warehouse: Warehouse, before: Tables, shared: Path
) -> None:
    server = cluster.server
    assert server is not None
    with (
        pytest.raises(WarehouseUnreachable, match=r"Spark at 127\.0\.0\.1:\d+ cannot be reached, or broke .*unchanged"),
        when_it_computes(shared, lambda: os.kill(server.pid, signal.SIGKILL)),
    ):
        build_one(warehouse, UTC)
    assert read_all(warehouse) == before
    (away, folder) = check_engine(warehouse)
    assert (away.status, folder.status) == (Status.FAILED, Status.SKIPPED)
    server.wait()
    cluster.start_server()
    build_one(warehouse, UTC)
    assert read_all(warehouse) == before
    assert [*shared.iterdir()] == []


def test_the_doctor_sends_rows_to_the_cluster_and_back(warehouse: Warehouse) -> None:
    engine, folder = check_engine(warehouse)
    assert engine.status is Status.OK
    assert engine.message.startswith("Spark 4.")
    assert engine.message.endswith(", in ANSI mode and UTC")
    assert folder.status is Status.OK


@pytest.mark.parametrize("zone", SETTINGS)
def test_every_table_and_every_check_is_the_same_as_in_duckdb(
    cluster: SparkCluster, warehouse: Warehouse, loaded: Loaded, tmp_path: Path, zone: str
) -> None:
    settings = SETTINGS[zone]
    plain = alone(Path(shutil.copy(loaded.database, tmp_path / "alone.duckdb")))
    build_all(plain, settings)
    build_all(warehouse, settings)
    expected, found = read_all(plain), read_all(warehouse)
    assert found.keys() == expected.keys() == {summary.name for summary in all_summaries()}
    assert {table for table in expected if found[table][0] != expected[table][0]} == set()
    assert {table for table in expected if found[table][1] != expected[table][1]} == set()
    assert results(evaluate(warehouse, settings=settings)) == results(evaluate(plain, settings=settings))


def kill_tree(pid: int) -> None:
    """Kills a worker with its executors."""
    worker = psutil.Process(pid)
    executors = worker.children(recursive=True)
    for process in (worker, *executors):
        process.kill()


@contextmanager
def when_it_computes(shared: Path, then: object) -> Iterator[None]:
    """Calls `then` once the cluster has begun to compute a result."""
    assert callable(then)
    done = threading.Event()
    called: list[bool] = []

    def watch() -> None:
        deadline = time.monotonic() + PATIENCE
        while not done.is_set() and time.monotonic() < deadline:
            if any(shared.glob("run-*/result-*")):
                called.append(True)
                then()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        assert called, "Nothing was computed."
