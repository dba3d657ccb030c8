"""A connection to the warehouse: queries in DuckDB's dialect, transactions, tables built from a SELECT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import pyarrow as pa
from dlt.destinations.exceptions import DatabaseUndefinedRelation as UndefinedTable
from dlt.destinations.sql_client import SqlClientBase
from sqlglot import exp

from refersion_dagster.usage.meter import METER
from refersion_dagster.warehouse.dialects.dialect import DUCKDB, Dialect
from refersion_dagster.warehouse.sql import Value, bind, write_statement

__all__ = ["Session", "UndefinedTable"]

Row = tuple[Any, ...]


def staging_name(table: str) -> str:
    """The name of a table while it is built next to the current one."""
    return f"{table}__new"


# Not from information_schema, which scans every column of every table with twice the work for each.
COLUMNS = """
SELECT column_name, data_type FROM duckdb_columns()
WHERE schema_name = $schema AND table_name = $table AND NOT internal ORDER BY column_index
"""
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = $schema ORDER BY table_name"
# Comments of a table (under the empty name) and of each of its columns.
COMMENTS = """
SELECT '' AS name, comment FROM duckdb_tables()
WHERE schema_name = $schema AND table_name = $table AND NOT internal
UNION ALL
SELECT column_name, comment FROM duckdb_columns()
WHERE schema_name = $schema AND table_name = $table AND NOT internal
"""


def comment_statements(schema: str, table: str, description: str, columns: Mapping[str, str]) -> list[str]:
    """Statements that store descriptions with a table, in syntax that DuckDB and PostgreSQL share."""
    name = f'"{schema}"."{table}"'
    return [
        f"COMMENT ON TABLE {name} IS {_text(description)}",
        *(f'COMMENT ON COLUMN {name}."{column}" IS {_text(text)}' for column, text in columns.items()),
    ]


def _text(text: str) -> str:
    return "'" + " ".join(text.split()).replace("'", "''") + "'"


class Session:
    """One connection, in dlt's own client, with the session's time zone set to UTC.

    The methods suit DuckDB; databases that differ have a subclass. Errors are dlt's: DatabaseException and, for a table
    that does not exist, UndefinedTable.
    """

    _comments = COMMENTS
    dialect: Dialect = DUCKDB
    # Whether the time that statements take is billed.
    is_timed: ClassVar[bool] = False

    def __init__(self, client: SqlClientBase[Any]) -> None:
        self._client = client

    def query(self, sql: str | exp.Expr, **parameters: Value) -> list[Row]:
        """Runs one statement in DuckDB's dialect, with values for its `$name`s, and returns its rows.

        Raises UnknownParameter for a `$name` without a value.
        """
        if isinstance(sql, str):
            return self.native(write_statement(sql, parameters, self.dialect))
        return self.native(self.translated(bind(sql, parameters)))

    def compute(self, sql: str | exp.Expr, **parameters: Value) -> list[Row]:
        """The rows of a SELECT that reads whole tables: as `query`, or by an engine if the settings name one."""
        return self.query(sql, **parameters)

    def translated(self, tree: exp.Expr) -> str:
        """A statement in the database's own dialect."""
        return self.dialect.write(tree)

    def native(self, sql: str) -> list[Row]:
        """Runs a statement in the database's own dialect.

        Statements that all databases understand are run this way too: parsing a statement takes longer than running a
        small one.
        """
        with METER.statement(is_timed=self.is_timed):
            return [tuple(row) for row in self._client.execute_sql(sql) or ()]

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        """The rows of a query in DuckDB's dialect, with values for its `$name`s, in batches of `rows`.

        Raises UnknownParameter for a `$name` without a value.
        """
        found = self._client.native_connection.sql(write_statement(sql, parameters, self.dialect))
        for batch in METER.results(iter(found.to_arrow_reader(rows)), is_timed=self.is_timed):
            yield pa.Table.from_batches([batch])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements in the context, or none of them."""
        with self._client.begin_transaction():
            yield

    def table(self, schema: str, table: str) -> str:
        """The name of a table in statements that are run by `native`."""
        return f"{schema}.{table}"

    def tables(self, schema: str) -> list[str]:
        """Names of a schema's tables, in order; empty if the schema does not exist."""
        return [name for (name,) in self.query(TABLES, schema=schema)]

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        """Names and DuckDB types of a table's columns, in order; empty if the table does not exist."""
        return [(name, kind.lower()) for name, kind in self.query(COLUMNS, schema=schema, table=table)]

    def comment(self, schema: str, table: str, description: str, columns: Mapping[str, str]) -> None:
        """Stores the descriptions of a table and of its existing columns. Writes nothing if all are already stored.

        Other programs that show the table, such as a BI tool, can then display them.
        """
        stored = self.comments(schema, table)
        texts = {name: " ".join(text.split()) for name, text in columns.items() if name in stored}
        if stored == dict.fromkeys(stored) | {"": " ".join(description.split()), **texts}:
            return
        self.store_comments(schema, table, " ".join(description.split()), texts)

    def comments(self, schema: str, table: str) -> dict[str, str | None]:
        """The stored descriptions: of a table, under the empty name, and of each of its columns."""
        return dict(self.query(self._comments, schema=schema, table=table))

    def store_comments(self, schema: str, table: str, description: str, columns: Mapping[str, str]) -> None:
        """Stores descriptions, replacing existing ones."""
        with self.transaction():
            self.native(";\n".join(comment_statements(schema, table, description, columns)))

    def first_rows(self, schema: str, table: str, rows: int) -> list[Row]:
        """Some rows of a table, without reading all of it; the first ones if the table was just built in an order."""
        return self.native(f"SELECT * FROM {schema}.{table} LIMIT {rows}")  # noqa: S608

    def count(self, schema: str, table: str) -> int:
        """Number of rows of a table. Raises UndefinedTable."""
        return int(self.native(f"SELECT count(*) FROM {schema}.{table}")[0][0])  # noqa: S608

    def create_schema(self, schema: str) -> None:
        """Creates a schema if it does not exist."""
        self.native(f"CREATE SCHEMA IF NOT EXISTS {schema}")

    def build_beside(self, schema: str, table: str, select: str) -> str:
        """Builds a table from a SELECT in the database's own dialect, next to the current one.

        Returns the name it has until `swap_in`.
        """
        fresh = staging_name(table)
        self.create_schema(schema)
        self.native(f"DROP TABLE IF EXISTS {schema}.{fresh}")
        self.native(f"CREATE TABLE {schema}.{fresh} AS\n{select}")
        return fresh

    def swap_in(self, schema: str, table: str, fresh: str) -> None:
        """Replaces the current table with the newly built one, in one transaction."""
        with self.transaction():
            self.native(f"DROP TABLE IF EXISTS {schema}.{table}")
            self.native(f"ALTER TABLE {schema}.{fresh} RENAME TO {table}")
