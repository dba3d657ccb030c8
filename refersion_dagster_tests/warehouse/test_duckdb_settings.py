"""DuckDB gets by with little memory while a load goes on, and queries have what the machine has."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from refersion_dagster import pipeline
from refersion_dagster.refersion.errors import UnusableSetting
from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.duckdb.destination import MEMORY_VARIABLE, loading_into

SETTINGS = """
SELECT current_setting('memory_limit'), current_setting('threads'), current_setting('preserve_insertion_order')
"""


def test_the_settings_of_loads_end_with_them_while_the_run_goes_on(tmp_path: Path) -> None:
    warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
    with warehouse.exclusive(print):
        before = warehouse.query(SETTINGS)
        with warehouse.pipeline():
            assert warehouse.query(SETTINGS) == [("143.0 MiB", 2, False)]
        assert warehouse.query(SETTINGS) == before
    assert before[0][0] != "143.0 MiB"
    assert before[0][2] is True


def test_they_end_with_a_load_that_fails(tmp_path: Path) -> None:
    warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
    with warehouse.exclusive(print):
        before = warehouse.query(SETTINGS)
        with pytest.raises(TimeoutError), warehouse.pipeline():
            raise TimeoutError
        assert warehouse.query(SETTINGS) == before


def test_a_file_that_nobody_else_has_open_keeps_them_to_its_closing(tmp_path: Path) -> None:
    path = str(tmp_path / "plain.duckdb")
    with duckdb.connect(path) as watching:
        with loading_into(path):
            pass
        assert watching.execute(SETTINGS).fetchone() == ("143.0 MiB", 2, False)


def test_memory_that_is_no_size_is_told_with_the_variable_and_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "warehouse.duckdb")
    monkeypatch.setenv(MEMORY_VARIABLE, "lots")
    said = "REFERSION_DUCKDB_MEMORY is 'lots', which is not a valid size. Use a value such as 1GB. Nothing was loaded."
    with pytest.raises(UnusableSetting, match=said), Warehouse(duckdb_path=path).pipeline():
        pass
    monkeypatch.setenv("REFERSION_DUCKDB_PATH", path)
    assert pipeline.main() == 1
    assert said in capsys.readouterr().err
