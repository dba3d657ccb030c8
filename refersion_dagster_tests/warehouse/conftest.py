from collections.abc import Iterator
from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """An empty warehouse in each of the databases."""
    if request.param == "duckdb":
        yield Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
    else:
        request.getfixturevalue("postgres")
        yield Warehouse(destination="postgres")
