"""What an engine computes reaches the warehouse whole or not at all. Here the engine is a DuckDB of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from refersion_dagster.settings import Settings
from refersion_dagster.warehouse.dialects.dialect import DUCKDB
from refersion_dagster.warehouse.dialects.spark import SparkDialect, find_tables
from refersion_dagster.warehouse.engine import ComputeSession, Exchange, try_exchange
from refersion_dagster.warehouse.errors import ResultIncomplete, WarehouseForbidden, WarehouseNotSet
from refersion_dagster.warehouse.registry import find_dialect
from refersion_dagster.warehouse.resource import Warehouse
from refersion_dagster.warehouse.session import Row, UndefinedTable
from refersion_dagster.warehouse.spark.engine import SCHEMAS, SparkEngine
from refersion_dagster.warehouse.spark.errors import convert_error
from refersion_dagster.warehouse.sql import parse

SELECT = "SELECT number, CAST(1 AS INTEGER) AS short FROM refersion_data.numbers AS n ORDER BY number DESC"
TOKEN = "t0psecret"


class DuckDBEngine:
    """An engine in which a machine of several may write to another folder.

    Args:
        lost: rows that are written elsewhere.
    """

    dialect = DUCKDB

    def __init__(self, lost: int = 0) -> None:
        self.lost = lost

    def tables(self, select: str) -> set[tuple[str, str]]:
        return {table for table, _, _ in find_tables(select, SCHEMAS)}

    def read_files(self, select: str, files: Mapping[tuple[str, str], Path]) -> str:
        for (schema, table), file in files.items():
            select = select.replace(f"{schema}.{table}", f"'{file}'")
        return select

    def rows(self, select: str) -> list[Row]:
        return duckdb.sql(select).fetchall()

    def write(self, select: str, folder: Path) -> int:
        found = duckdb.sql(select)
        folder.mkdir()
        found.limit(len(found) - self.lost).write_parquet(str(folder / "part-0.parquet"))
        return len(found)

    def copy(self, file: Path, folder: Path) -> int:
        return self.write(f"SELECT * FROM '{file}'", folder)

    def describe(self) -> str:
        return "DuckDB"

    def close(self) -> None:
        pass


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    opened = Exchange(tmp_path / "shared")
    opened.open()
    yield opened
    opened.close()


@pytest.fixture(params=["duckdb", pytest.param("ducklake", marks=pytest.mark.warehouses)])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """A warehouse of each kind that works with engines, with a table of numbers."""
    if request.param == "ducklake":
        request.getfixturevalue("lake")
    made = Warehouse(destination=request.param, duckdb_path=str(tmp_path / "w.duckdb"))
    with made.session() as session:
        session.create_schema("refersion_data")
        session.native("CREATE TABLE refersion_data.numbers AS SELECT range AS number FROM range(5)")
    return made


def test_a_summary_is_computed_elsewhere_and_lands_in_order(warehouse: Warehouse, exchange: Exchange) -> None:
    with warehouse.session() as inner:
        session = ComputeSession(inner, {}, DuckDBEngine(), exchange)
        session.swap_in("refersion_summaries", "down", session.build_beside("refersion_summaries", "down", SELECT))
        assert inner.native("SELECT number FROM refersion_summaries.down") == [(4,), (3,), (2,), (1,), (0,)]
        assert inner.columns("refersion_summaries", "down") == [("number", "bigint"), ("short", "bigint")]
        assert session.compute("SELECT sum(number) FROM refersion_summaries.down") == [(10,)]


def test_a_table_is_sent_again_only_once_it_may_have_changed(warehouse: Warehouse, exchange: Exchange) -> None:
    with warehouse.session() as inner:
        session = ComputeSession(inner, {}, DuckDBEngine(), exchange)
        assert session.compute("SELECT count(*) FROM refersion_data.numbers") == [(5,)]
        (first,) = exchange.folder.iterdir()
        assert session.compute("SELECT max(number) FROM refersion_data.numbers") == [(4,)]
        assert [*exchange.folder.iterdir()] == [first]
        inner.native("DELETE FROM refersion_data.numbers WHERE number = 4")
        exchange.forget()
        assert session.compute("SELECT max(number) FROM refersion_data.numbers") == [(3,)]
        assert first not in [*exchange.folder.iterdir()]


def test_rows_that_do_not_arrive_are_an_error_and_change_nothing(warehouse: Warehouse, exchange: Exchange) -> None:
    with warehouse.session() as inner:
        session = ComputeSession(inner, {}, DuckDBEngine(lost=2), exchange)
        with pytest.raises(ResultIncomplete, match="The engine wrote 5 rows, of which 3 are in the shared folder"):
            session.build_beside("refersion_summaries", "down", SELECT)
        assert session.columns("refersion_summaries", "down") == []
    with pytest.raises(ResultIncomplete):
        try_exchange(DuckDBEngine(lost=1), exchange)
    try_exchange(DuckDBEngine(), exchange)


def test_a_table_that_is_not_there_is_named_by_the_warehouse(warehouse: Warehouse, exchange: Exchange) -> None:
    with warehouse.session() as inner, pytest.raises(UndefinedTable, match="nothing"):
        ComputeSession(inner, {}, DuckDBEngine(), exchange).compute("SELECT * FROM refersion_data.nothing")


def test_files_of_runs_that_died_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    for name in ("run-dead", "run-alive"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.lock").touch()
    opened = Exchange(tmp_path)
    with FileLock(tmp_path / "run-alive.lock"):
        opened.open()
    opened.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-alive", "run-alive.lock"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "also needs REFERSION_SPARK_REMOTE and REFERSION_SPARK_FOLDER"),
        ({"spark_remote": f"sc://host/;token={TOKEN}"}, "also needs REFERSION_SPARK_FOLDER;"),
        ({"destination": "postgres"}, "works with duckdb and ducklake, not with postgres"),
        ({"spark_remote": "sc://host", "spark_folder": "/proc/nothing"}, "cannot be written to: /proc/nothing"),
    ],
)
def test_settings_that_make_no_sense_say_what_to_set(values: dict[str, Any], said: str) -> None:
    warehouse = Warehouse(**{"summaries_engine": "spark", **values})
    with pytest.raises(WarehouseNotSet, match=said), warehouse.compute_session():
        pass


def test_own_sql_has_to_be_translatable_to_the_dialect_of_the_engine() -> None:
    settings = Settings.of({"REFERSION_SUMMARIES_ENGINE": "Spark"})
    assert find_dialect(settings.warehouse) == SparkDialect()
    assert find_dialect(Settings.of({}).warehouse) == DUCKDB


def test_an_address_of_spark_that_makes_no_sense_is_not_repeated() -> None:
    said = Settings.of({"REFERSION_SPARK_REMOTE": f"spark://host;token={TOKEN}"}).problems["REFERSION_SPARK_REMOTE"]
    assert said.endswith("it has to begin with sc:// and contain a host.")
    assert TOKEN not in said


class TestSpark:
    def test_files_take_the_place_of_tables_and_not_of_texts(self) -> None:
        select = SparkDialect().write(
            parse(
                "SELECT conversions.id, 'refersion_data.conversions' AS said FROM refersion_data.conversions "
                "JOIN refersion_summaries.affiliates AS a ON a.id = conversions.id"
            )
        )
        engine = SparkEngine("sc://host")
        files = {table: Path(f"/shared/{table[1]}.1.parquet") for table in engine.tables(select)}
        assert engine.read_files(select, files) == (
            "SELECT conversions.id, 'refersion_data.conversions' AS said "
            "FROM parquet.`file:///shared/conversions.1.parquet` AS conversions "
            "JOIN parquet.`file:///shared/affiliates.1.parquet` AS a ON a.id = conversions.id"
        )

    @pytest.mark.parametrize(
        "address", [f"sc://host:15002/;token={TOKEN}", f"sc://host:15002/;use_ssl=true;token={TOKEN}"]
    )
    def test_the_location_has_no_token(self, address: str) -> None:
        assert SparkEngine(address).location == "host:15002"

    def test_an_error_of_the_connection_is_told_by_its_status(self) -> None:
        import grpc

        class Refused(grpc.RpcError):
            def code(self) -> grpc.StatusCode:
                return grpc.StatusCode.UNAUTHENTICATED

        found = convert_error(Refused(f"token {TOKEN} is not valid"), "host:15002")
        assert isinstance(found, WarehouseForbidden)
        assert "did not accept the credentials (UNAUTHENTICATED)" in str(found)
        assert TOKEN not in str(found)
        assert convert_error(ValueError("[DIVIDE_BY_ZERO] Division by zero."), "host:15002") is None
