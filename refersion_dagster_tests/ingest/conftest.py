import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster_tests.location import MakeOnce, held_open, load_small


@pytest.fixture(scope="session")
def loaded_once(made_once: MakeOnce) -> Path:
    """A warehouse with the conversions of SMALL and their history. Every account of SMALL begins with these rows."""
    assets = ("refersion/conversions", "refersion/conversion_history")
    return made_once("conversions_loaded", lambda database: load_small(database, *assets))


@pytest.fixture
def loaded_database(loaded_once: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of that warehouse for this test."""
    database = Path(shutil.copy(loaded_once, tmp_path))
    with held_open(database):
        yield database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """An empty warehouse."""
    database = tmp_path / "warehouse.duckdb"
    with held_open(database):
        yield database


@pytest.fixture
def warehouse(database: Path) -> Warehouse:
    return Warehouse(duckdb_path=str(database))
