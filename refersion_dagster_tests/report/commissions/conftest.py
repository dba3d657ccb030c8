import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.report.commissions.reporting import Reported, report_of
from refersion_dagster_tests.summaries.hand_made import Books, create_raw_tables


@pytest.fixture(scope="session")
def empty_raw_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with raw tables as the source creates them, which tests copy."""
    database = tmp_path_factory.mktemp("raw") / "warehouse.duckdb"
    create_raw_tables(database)
    return database


@pytest.fixture
def books(empty_raw_tables: Path, tmp_path: Path) -> Iterator[Books]:
    """Summaries of rows that the test adds."""
    path = Path(shutil.copy(empty_raw_tables, tmp_path))
    # Held open, so that each further connection of the test takes no time.
    with duckdb.connect(str(path)):
        yield Books(path)


@pytest.fixture(scope="session")
def reported(account: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """The sandbox's account, read, summarised, checked and reported in one run."""
    return report_of(account, tmp_path_factory.mktemp("reported"))
