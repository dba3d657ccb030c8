from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from refersion_dagster_tests.refersion.plain_dlt import Warehouse


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What dlt keeps, and files that a test puts where dlt looks for settings, are the test's own."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    warehouse = Warehouse(tmp_path)
    # Held open, so that each further connection of the test takes no time.
    with duckdb.connect(str(warehouse.path)):
        yield warehouse
