"""Isolates the tests from this machine.

No configuration of it is read, nothing is reported, and nothing is written outside pytest's temporary folders.
"""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import dagster as dg
import pytest
from filelock import FileLock
from hypothesis import settings

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import env_file_ignored
from refersion_dagster_tests.location import SMALL, MakeOnce, fresh_instance, held_open, load_small
from refersion_dagster_tests.postgres import PostgresDatabase, PostgresServer
from refersion_dagster_tests.summaries.builders import WarehouseBuilder, create_raw_tables

# Before any test module is imported, because the code location reads the environment when it is loaded.
for _name in [name for name in os.environ if name.startswith(("REFERSION_", "SOURCES__", "DESTINATION__", "PG"))]:
    del os.environ[_name]
os.environ.pop("DAGSTER_HOME", None)
# A shell that starts the suite in the background makes its processes, and their children, ignore Ctrl-C. Only SIGKILL
# could then stop `dagster dev`.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.update(DAGSTER_DISABLE_TELEMETRY="1", RUNTIME__DLTHUB_TELEMETRY="false")

# No deadline for examples, because other tests run in parallel.
settings.register_profile("suite", deadline=None)
settings.register_profile("quick", settings.get_profile("suite"), max_examples=33)
settings.load_profile("suite")


def pytest_xdist_auto_num_workers() -> int:
    """1.5 workers per processor: the tests spend a third of their time waiting."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Test modules import the code location, which reads .env from the working directory, here the developer's own."""
    with env_file_ignored():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of dlt's internals run first, because loads depend on them.

    Long files follow, so that the workers finish together: those that wait for minutes, those that start processes,
    then by number of tests.
    """
    tests = Counter(item.path for item in items)
    waiting, long = ({item.path for item in items if item.get_closest_marker(one)} for one in ("waits", "processes"))
    first = "test_dlt_internals.py"
    items.sort(
        key=lambda item: (
            item.path.name != first,
            item.path not in waiting,
            item.path not in long,
            -tests[item.path],
            str(item.path),
        )
    )


@pytest.fixture(scope="session", autouse=True)
def nothing_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """dlt and Dagster look for settings in the working directory and in dlt's data folder."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path_factory.mktemp("dlt")))
        monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
        yield


@pytest.fixture(autouse=True)
def settings_of_one_test() -> Iterator[None]:
    """Commands and definitions add `.env` to the environment of their process. The next test must not see that."""
    before = {name: value for name, value in os.environ.items() if name.startswith("REFERSION_")}
    yield
    for name in [name for name in os.environ if name.startswith("REFERSION_")]:
        if name not in before:
            del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process retry a step without the delay of several minutes that its policy sets."""
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda _policy, _attempt: 0)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A sandbox for one test, which may change it."""
    with SandboxServer(SMALL) as running:
        yield running


@pytest.fixture(scope="session")
def account() -> Iterator[SandboxServer]:
    """A sandbox shared by all tests, which must not change it."""
    with SandboxServer(SMALL) as running:
        yield running


@pytest.fixture
def temporary_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of this test, to check that none is left behind."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    with fresh_instance() as instance:
        instance.storage_directory()  # Dagster creates its own on first use and keeps it for other tests
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server shared by all tests of this worker. Each test has its own database."""
    server = PostgresServer(tmp_path_factory.getbasetemp().parent / "postgres.lock")
    yield server
    server.stop()


@pytest.fixture
def postgres(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresDatabase:
    """An empty database for this test, set in the environment."""
    database = postgres_server.create_database()
    for name, value in database.credentials.items():
        monkeypatch.setenv(name, value)
    return database


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> MakeOnce:
    """Creates a database when the first test of any worker needs it: `made_once(name, make)` returns its file.

    Tests must copy it, because other tests of all workers read it too.
    """
    folder = tmp_path_factory.getbasetemp()
    shared = folder if worker_id == "master" else folder.parent

    def path_of(name: str, make: Callable[[Path], object]) -> Path:
        database = shared / f"{name}.duckdb"
        with FileLock(database.with_suffix(".lock")):
            if not database.exists():
                made = tmp_path_factory.mktemp(name) / "warehouse.duckdb"
                make(made)
                made.rename(database)
        return database

    return path_of


@pytest.fixture(scope="session")
def empty_raw_tables(made_once: MakeOnce) -> Path:
    """A warehouse with raw tables as the source creates them."""
    return made_once("empty_raw_tables", create_raw_tables)


@pytest.fixture(scope="session")
def everything_built(made_once: MakeOnce) -> Path:
    """A warehouse with a SMALL account and all its summaries."""
    return made_once("everything_built", load_small)


@pytest.fixture
def database(empty_raw_tables: Path, tmp_path: Path) -> Iterator[Path]:
    """A warehouse with empty raw tables for this test."""
    with held_open(Path(shutil.copy(empty_raw_tables, tmp_path))) as path:
        yield path


@pytest.fixture
def books(database: Path) -> WarehouseBuilder:
    """Summaries of the rows that the test adds."""
    return WarehouseBuilder(database)
