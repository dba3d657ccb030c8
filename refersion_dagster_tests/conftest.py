"""Nothing of this machine's configuration is read, nothing is reported, and nothing is written outside of pytest's
temporary folders."""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from filelock import FileLock
from hypothesis import settings

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import env_file_ignored
from refersion_dagster_tests.location import SMALL, MakeOnce, fresh_instance
from refersion_dagster_tests.postgres import PostgresDatabase, PostgresServer
from refersion_dagster_tests.summaries.builders import WarehouseBuilder, create_raw_tables

# Before any test module is imported: the code location looks at the environment when it is loaded.
for _name in [name for name in os.environ if name.startswith(("REFERSION_", "SOURCES__", "DESTINATION__", "PG"))]:
    del os.environ[_name]
os.environ.pop("DAGSTER_HOME", None)
# A shell that starts the suite in the background has its processes ignore Ctrl-C, and theirs too: `dagster dev` could
# then be stopped by no signal but SIGKILL.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.update(DAGSTER_DISABLE_TELEMETRY="1", RUNTIME__DLTHUB_TELEMETRY="false")

# No example fails for the time it takes: other tests run beside it.
settings.register_profile("suite", deadline=None)
settings.register_profile("quick", settings.get_profile("suite"), max_examples=33)
settings.load_profile("suite")


def pytest_xdist_auto_num_workers() -> int:
    """Half as many workers again as there are processors: a third of the tests' time is spent waiting."""
    return (os.cpu_count() or 1) * 3 // 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Test modules import the code location, which reads .env of the working directory: here that is a developer's."""
    with env_file_ignored():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is used of dlt's internals first, as loads stand on it. Then long files, so that the workers end together:
    those that wait for minutes to pass, those that start processes, then by number of tests."""
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
    """Commands and definitions complete the environment of their process by `.env`, which the next test has not."""
    before = {name: value for name, value in os.environ.items() if name.startswith("REFERSION_")}
    yield
    for name in [name for name in os.environ if name.startswith("REFERSION_")]:
        if name not in before:
            del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process try a step again without the minutes in between that its policy asks for."""
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda _policy, _attempt: 0)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A sandbox of one test, which may change it."""
    with SandboxServer(SMALL) as running:
        yield running


@pytest.fixture(scope="session")
def account() -> Iterator[SandboxServer]:
    """A sandbox that all tests share and must not change."""
    with SandboxServer(SMALL) as running:
        yield running


@pytest.fixture
def temporary_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files of this test go, to see that none stays."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    with fresh_instance() as instance:
        instance.storage_directory()  # Dagster's own is made when it is first asked for, and kept for other tests
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server that all tests of this worker share, each with a database of its own."""
    server = PostgresServer(tmp_path_factory.getbasetemp().parent / "postgres.lock")
    yield server
    server.stop()


@pytest.fixture
def postgres(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresDatabase:
    """An empty database of this test's own, which is the one in the environment."""
    database = postgres_server.create_database()
    for name, value in database.credentials.items():
        monkeypatch.setenv(name, value)
    return database


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> MakeOnce:
    """What makes a database when the first test of all workers needs it: `made_once(name, make)` gives its file.

    Tests copy it, as others of this and of other workers read it too.
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


@pytest.fixture
def database(empty_raw_tables: Path, tmp_path: Path) -> Iterator[Path]:
    """A warehouse with empty raw tables of this test's own."""
    path = Path(shutil.copy(empty_raw_tables, tmp_path))
    # Held open, so that each further connection of the test takes no time.
    with duckdb.connect(str(path)):
        yield path


@pytest.fixture
def books(database: Path) -> WarehouseBuilder:
    """Summaries of rows that the test adds."""
    return WarehouseBuilder(database)
