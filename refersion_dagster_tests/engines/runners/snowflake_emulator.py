"""Runs statements in fakesnow, an emulator of Snowflake based on DuckDB, through Snowflake's own connector.

    python snowflake_emulator.py prepare FOLDER             does nothing: it is ready once it is installed
    python snowflake_emulator.py run FOLDER < requests      answers each line of statements with a line of results

It is executed by the Python of the engine's own environment, so it imports nothing from the package. Tables are Parquet
files; values are returned as text.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import snowflake.connector
from fakesnow import server as emulator_server
from fakesnow_repairs import repair

# The type families of result.py, by the connector's type code.
FAMILIES = {
    1: "double",
    2: "text",
    3: "date",
    6: "moment",
    7: "moment",
    8: "time of clocks",
    13: "boolean",
}
FIXED = 0


def kind_of(kind: pa.DataType) -> str:
    """The Snowflake type of a column that dlt or a summary created."""
    if pa.types.is_decimal(kind):
        return f"NUMBER({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP_LTZ" if kind.tz else "TIMESTAMP_NTZ"
    for matches, found in (
        (pa.types.is_integer, "NUMBER(38, 0)"),
        (pa.types.is_boolean, "BOOLEAN"),
        (pa.types.is_date, "DATE"),
        (pa.types.is_string, "VARCHAR"),
        (pa.types.is_large_string, "VARCHAR"),
        (pa.types.is_floating, "FLOAT"),
    ):
        if matches(kind):
            return found
    raise TypeError(f"no table has columns of type {kind}")


def text_of(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat(" ", "microseconds")
    return str(value).lower() if isinstance(value, bool) else str(value)


class Prepared:
    """A folder's tables in a separate database."""

    def __init__(self, settings: Mapping[str, Any], folder: Path, database: str) -> None:
        self._shared = sys.modules["fakesnow.server"].shared_fs.connect(database)
        for path in sorted(folder.glob("*.parquet")):
            schema, table = path.stem.split(".")
            columns = ", ".join(f"{column.name} {kind_of(column.type)}" for column in pq.read_schema(path))
            cursor = self._shared.cursor()
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            cursor.execute(f"CREATE TABLE {schema}.{table} ({columns})")
            self._shared._duck_conn.execute(
                f"INSERT INTO {database}.{schema}.{table} SELECT * FROM read_parquet('{path}')"
            )
        self._empty = sys.modules["fakesnow.server"].shared_fs.connect(f"{database}_empty")
        for schema in {path.stem.split(".")[0] for path in folder.glob("*.parquet")}:
            self._empty.cursor().execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        self._connection = snowflake.connector.connect(**settings, database=database)

    def run(self, sql: str) -> dict[str, Any]:
        if sql.startswith("CREATE"):
            return self._create(sql)
        return self._query(sql) if sql.startswith(("SELECT", "WITH", "(")) else self._modify(sql)

    def _query(self, sql: str) -> dict[str, Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            rows = [[text_of(value) for value in row] for row in cursor.fetchall()]
            columns = [
                [
                    column.name.lower(),
                    ("decimal" if column.scale else "integer")
                    if column.type_code == FIXED
                    else FAMILIES.get(column.type_code, str(column.type_code)),
                ]
                for column in cursor.description or ()
            ]
        return {"columns": columns, "rows": rows}

    def _create(self, sql: str) -> dict[str, Any]:
        """Create the table if it does not exist."""
        self._empty.cursor().execute(sql)
        return {"columns": [], "rows": []}

    def _modify(self, sql: str) -> dict[str, Any]:
        """The new rows, computed in DuckDB, because Snowflake does not return them. No table changes."""
        with self._undone():
            cursor = self._shared.cursor()
            cursor.execute(sql)
            translated = cursor._last_transformed.sql(dialect="duckdb")
        with self._undone():
            found = self._shared._duck_conn.execute(f"{translated} RETURNING *")
            columns = [
                [name, "decimal" if str(kind).startswith("DECIMAL") else str(kind)]
                for name, kind, *_ in found.description
            ]
            rows = [[text_of(value) for value in row] for row in found.fetchall()]
        if sql.startswith("DELETE"):
            return {"columns": [], "rows": [[] for _ in rows]}
        return {"columns": columns, "rows": rows}

    @contextmanager
    def _undone(self) -> Iterator[None]:
        connection = self._shared._duck_conn
        connection.begin()
        try:
            yield
        finally:
            connection.rollback()


def answer(prepared: Prepared, statements: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, sql in statements.items():
        try:
            found[name] = prepared.run(sql)
        except Exception as error:  # noqa: BLE001 - any error is the statement's result
            found[name] = {"error": f"{type(error).__name__}: {error}"}
    return found


def main(command: str) -> None:
    if command == "prepare":
        return
    repair()
    answers = sys.stdout
    sys.stdout = sys.stderr
    with emulator_server(session_parameters={"CLIENT_SESSION_KEEP_ALIVE": False}) as settings:
        prepared: dict[str, Prepared] = {}
        for line in sys.stdin:
            asked = json.loads(line)
            tables = asked["tables"]
            if tables not in prepared:
                prepared[tables] = Prepared(settings, Path(tables), f"account{len(prepared)}")
            print(json.dumps(answer(prepared[tables], asked["statements"])), flush=True, file=answers)


if __name__ == "__main__":
    main(sys.argv[1])
