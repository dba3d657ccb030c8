import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tenacity

from refersion_dagster.ingest.history.conversions import update_history
from refersion_dagster.refersion import ReadReport
from refersion_dagster.refersion.api import transport
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.actions.actions_harness import ActionsHarness
from refersion_dagster_tests.location import MakeOnce, account_of, held_open
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.postgres import PostgresServer


@pytest.fixture(scope="session")
def loaded(account: SandboxServer, made_once: MakeOnce) -> Path:
    """A warehouse with all data of the account. Tests copy it."""

    def load(database: Path) -> None:
        warehouse = Warehouse(duckdb_path=str(database))
        with warehouse.write_lock(print):
            with warehouse.pipeline() as pipeline:
                pipeline.run(account_of(account).source(ReadReport()), loader_file_format="parquet")
            update_history(warehouse, [])

    return made_once("account_loaded", load)


@pytest.fixture
def actions_of_processes(
    sandbox: SandboxServer, loaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ActionsHarness:
    """The test's sandbox and a warehouse that is up to date with it. Retries do not wait."""
    monkeypatch.setattr(transport, "BACK_OFF", tenacity.wait_none())
    shutil.copy(loaded, tmp_path / "warehouse.duckdb")
    return ActionsHarness(sandbox, tmp_path / "warehouse.duckdb")


@pytest.fixture
def actions(actions_of_processes: ActionsHarness) -> Iterator[ActionsHarness]:
    """The same for this process only, which keeps the database open: that saves half of the time of a small test."""
    with held_open(actions_of_processes.database):
        yield actions_of_processes


@pytest.fixture(params=limit_cases(["warehouse", "sqlite", "postgres"]))
def actions_with_journals(request: pytest.FixtureRequest, actions_of_processes: ActionsHarness) -> ActionsHarness:
    """The same with each place that a journal may have: the warehouse, a SQLite file and a PostgreSQL database."""
    return replace(actions_of_processes, journal_address=journal_address(request))


def journal_address(request: pytest.FixtureRequest) -> str | None:
    match request.param:
        case "sqlite":
            return f"sqlite:///{request.getfixturevalue('tmp_path') / 'journal.sqlite'}"
        case "postgres":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            return server.create_database().url
        case _:
            return None
