import shutil
from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import SMALL, account_of, materialise


@pytest.fixture(scope="session")
def everything_built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with an account of the sandbox and every summary of it, which tests copy and break."""
    database = tmp_path_factory.mktemp("built") / "warehouse.duckdb"
    with SandboxServer(SMALL) as sandbox:
        outcome = materialise(account_of(sandbox), Warehouse(duckdb_path=str(database)))
    assert outcome.success, outcome.failure
    return database


@pytest.fixture
def warehouse(everything_built: Path, tmp_path: Path) -> Warehouse:
    """Such a warehouse of this test's own."""
    return Warehouse(duckdb_path=str(shutil.copy(everything_built, tmp_path)))
