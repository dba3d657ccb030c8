import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster_tests.location import MakeOnce, held_open, load_small


@pytest.fixture(scope="session")
def everything_built(made_once: MakeOnce) -> Path:
    """A warehouse with a sandbox account and all its summaries. Tests copy and corrupt it."""
    return made_once("everything_built", load_small)


@pytest.fixture
def warehouse(everything_built: Path, tmp_path: Path) -> Iterator[Warehouse]:
    """A copy of that warehouse for this test."""
    with held_open(Path(shutil.copy(everything_built, tmp_path))) as database:
        yield Warehouse(duckdb_path=str(database))
