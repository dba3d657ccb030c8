"""Raw tables as the source creates them, and rows of one's own in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster.summaries.query import Summary, load_summaries
from refersion_dagster_tests.location import NOW, account_of, materialise

Row = Mapping[str, Any]


def create_raw_tables(database: Path) -> None:
    """Loads an account without orders and offers, so that every raw table is there and has no row."""
    with SandboxServer(SandboxSettings(affiliates=0, orders=0, days=30, now=NOW)) as sandbox:
        tables = [f"refersion/{table}" for table in ("affiliates", "conversions")]
        outcome = materialise(account_of(sandbox), Warehouse(duckdb_path=str(database)), *tables)
    assert outcome.success, outcome.failure


def summary(name: str) -> Summary:
    return next(found for found in load_summaries() if found.name == name)


def insert(connection: duckdb.DuckDBPyConnection, table: str, *rows: Row) -> None:
    """Adds rows; columns that are not named are NULL, those of dlt's own have any value."""
    for row in rows:
        values = {"_dlt_load_id": "1", "_dlt_id": "1", **row}
        known = [name for (name,) in connection.execute(COLUMNS, [table]).fetchall()]
        given = {name: value for name, value in values.items() if name in known}
        assert given.keys() >= row.keys(), f"{table} has no column {row.keys() - given.keys()}"
        names, places = ", ".join(given), ", ".join("?" * len(given))
        connection.execute(f"INSERT INTO refersion_data.{table} ({names}) VALUES ({places})", list(given.values()))


COLUMNS = "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'refersion_data' AND table_name = ?"


@contextmanager
def writing(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def selected(connection: duckdb.DuckDBPyConnection, select: str) -> list[dict[str, Any]]:
    found = connection.execute(select)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
