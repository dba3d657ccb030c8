import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster_tests.location import held_open


@pytest.fixture
def warehouse(everything_built: Path, tmp_path: Path) -> Iterator[Warehouse]:
    """A copy of that warehouse for this test."""
    with held_open(Path(shutil.copy(everything_built, tmp_path))) as database:
        yield Warehouse(duckdb_path=str(database))
