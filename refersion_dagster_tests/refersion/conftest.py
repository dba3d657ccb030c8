from collections.abc import Iterator
from pathlib import Path

import pytest

from refersion_dagster_tests.location import held_open
from refersion_dagster_tests.refersion.plain_dlt import Warehouse


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own folder for dlt's state and for files where dlt looks for settings."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    warehouse = Warehouse(tmp_path)
    with held_open(warehouse.path):
        yield warehouse
