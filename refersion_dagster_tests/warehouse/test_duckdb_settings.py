"""DuckDB gets by with little memory while a load goes on, and queries have what the machine has."""

from __future__ import annotations

from pathlib import Path

import duckdb

from refersion_dagster.refersion.duckdb_file import loading_into
from refersion_dagster.resources import Warehouse

SETTINGS = """
SELECT current_setting('memory_limit'), current_setting('threads'), current_setting('preserve_insertion_order')
"""


def test_the_settings_of_loads_end_with_them_while_the_run_goes_on(tmp_path: Path) -> None:
    warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
    with warehouse.writing(print):
        before = warehouse.query(SETTINGS)
        with warehouse.pipeline():
            assert warehouse.query(SETTINGS) == [("143.0 MiB", 2, False)]
        assert warehouse.query(SETTINGS) == before
    assert before[0][0] != "143.0 MiB"
    assert before[0][2] is True


def test_they_end_with_a_load_that_fails(tmp_path: Path) -> None:
    warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
    with warehouse.writing(print):
        before = warehouse.query(SETTINGS)
        try:
            with warehouse.pipeline():
                raise TimeoutError
        except TimeoutError:
            assert warehouse.query(SETTINGS) == before


def test_a_file_that_nobody_else_has_open_keeps_them_to_its_closing(tmp_path: Path) -> None:
    path = str(tmp_path / "plain.duckdb")
    with duckdb.connect(path) as watching:
        with loading_into(path):
            pass
        assert watching.execute(SETTINGS).fetchone() == ("143.0 MiB", 2, False)
