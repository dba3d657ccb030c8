import shutil
from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster_tests.location import MakeOnce, load_small


@pytest.fixture(scope="session")
def everything_built(made_once: MakeOnce) -> Path:
    """A warehouse with an account of the sandbox and every summary of it, which tests copy and break."""
    return made_once("everything_built", load_small)


@pytest.fixture
def warehouse(everything_built: Path, tmp_path: Path) -> Warehouse:
    """Such a warehouse of this test's own."""
    return Warehouse(duckdb_path=str(shutil.copy(everything_built, tmp_path)))
