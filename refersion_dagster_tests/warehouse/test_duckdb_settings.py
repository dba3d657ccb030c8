"""DuckDB uses little memory during a load, and queries get all of the machine's memory."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from dlt.destinations.exceptions import DatabaseException

from refersion_dagster import pipeline
from refersion_dagster.refersion.errors import UnusableSetting
from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.duckdb.destination import open_destination

SETTINGS = """
SELECT
  current_setting('threads'), current_setting('preserve_insertion_order'),
  current_setting('allocator_background_threads'), current_setting('memory_limit')
"""
DURING_LOADS = (1, False, True, "95.3 MiB")


def test_the_settings_of_loads_end_with_them_while_the_run_goes_on(tmp_path: Path) -> None:
    warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
    with warehouse.write_lock(print):
        before = warehouse.query(SETTINGS)
        with warehouse.pipeline():
            assert warehouse.query(SETTINGS) == [DURING_LOADS]
        ((*after, memory),) = warehouse.query(SETTINGS)
    assert after == [*before[0][:3]]
    assert after[1:] == [True, False]
    assert memory != DURING_LOADS[3]


def test_queries_after_a_load_use_more_memory_than_the_load(tmp_path: Path) -> None:
    """The setting alone proves nothing: after RESET, DuckDB 1.5 shows the default but keeps to the old limit."""
    warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"), duckdb_memory="16MB")
    large = "SELECT len(list(repeat('x', 100) || i)) FROM range(400000) AS t(i)"
    with warehouse.write_lock(print):
        with warehouse.pipeline(), pytest.raises(DatabaseException, match="Out of Memory"):
            warehouse.query(large)
        assert warehouse.query(large) == [(400_000,)]


def test_they_end_with_a_load_that_fails(tmp_path: Path) -> None:
    warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
    with warehouse.write_lock(print):
        before = warehouse.query(SETTINGS)
        with pytest.raises(TimeoutError), warehouse.pipeline():
            raise TimeoutError
        ((*after, memory),) = warehouse.query(SETTINGS)
    assert after == [*before[0][:3]]
    assert memory != DURING_LOADS[3]


def test_a_file_that_nobody_else_has_open_keeps_them_to_its_closing(tmp_path: Path) -> None:
    path = str(tmp_path / "plain.duckdb")
    with duckdb.connect(path) as watching:
        with open_destination(path):
            pass
        assert watching.execute(SETTINGS).fetchone() == DURING_LOADS


@pytest.mark.parametrize("memory", ["lots", "-1", "0MB", "1KB", "15MB", "50%", "1000", "9999999999TB"])
def test_memory_that_no_load_can_do_with_is_told_with_the_variable_and_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], memory: str
) -> None:
    path = str(tmp_path / "warehouse.duckdb")
    said = f"REFERSION_DUCKDB_MEMORY is '{memory}'; it has to be a size of at least 16MB, such as 1GB."
    with (
        pytest.raises(UnusableSetting, match=f"{said} Nothing was loaded."),
        Warehouse(duckdb_path=path, duckdb_memory=memory).pipeline(),
    ):
        pass
    monkeypatch.setenv("REFERSION_DUCKDB_MEMORY", memory)
    monkeypatch.setenv("REFERSION_DUCKDB_PATH", path)
    assert pipeline.main() == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("memory", ["16MB", "143.0 MiB", "1gb", "1.5G", " 2GB ", "1TiB"])
def test_memory_is_written_as_duckdb_writes_it(tmp_path: Path, memory: str) -> None:
    warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"), duckdb_memory=memory)
    with duckdb.connect() as connection:
        connection.execute("SET GLOBAL memory_limit = ?", [memory])
        expected = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    with warehouse.write_lock(print), warehouse.pipeline():
        assert warehouse.query("SELECT current_setting('memory_limit')") == expected
