"""A connection to the warehouse: queries in DuckDB's dialect, transactions, tables built from a SELECT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from dlt.destinations.exceptions import DatabaseUndefinedRelation as UndefinedTable
from dlt.destinations.sql_client import SqlClientBase
from sqlglot import exp

from refersion_dagster.warehouse.dialects.dialect import DUCKDB, Dialect
from refersion_dagster.warehouse.sql import Value, bind, written

__all__ = ["Session", "UndefinedTable"]

Row = tuple[Any, ...]


def beside(table: str) -> str:
    """The name that a table has while it is built beside the one there is."""
    return f"{table}__new"


# Not of information_schema, which goes through every column of every table with twice the work for each.
COLUMNS = """
SELECT column_name, data_type FROM duckdb_columns()
WHERE schema_name = $schema AND table_name = $table AND NOT internal ORDER BY column_index
"""
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = $schema ORDER BY table_name"
# Of a table, under the empty name, and of each of its columns.
COMMENTS = """
SELECT '' AS name, comment FROM duckdb_tables()
WHERE schema_name = $schema AND table_name = $table AND NOT internal
UNION ALL
SELECT column_name, comment FROM duckdb_columns()
WHERE schema_name = $schema AND table_name = $table AND NOT internal
"""


def comment_statements(schema: str, table: str, description: str, columns: Mapping[str, str]) -> list[str]:
    """Statements that store descriptions beside a table, in words that DuckDB and PostgreSQL share."""
    name = f'"{schema}"."{table}"'
    return [
        f"COMMENT ON TABLE {name} IS {_text(description)}",
        *(f'COMMENT ON COLUMN {name}."{column}" IS {_text(text)}' for column, text in columns.items()),
    ]


def _text(text: str) -> str:
    return "'" + " ".join(text.split()).replace("'", "''") + "'"


class Session:
    """One connection, in dlt's own client, of which the session's time zone is UTC.

    What is here suits DuckDB; a database that does it otherwise has a subclass. Errors are dlt's: DatabaseException
    and, for a table that does not exist, UndefinedTable.
    """

    _comments = COMMENTS
    dialect: Dialect = DUCKDB

    def __init__(self, client: SqlClientBase[Any]) -> None:
        self._client = client

    def query(self, sql: str | exp.Expr, **parameters: Value) -> list[Row]:
        """Runs one statement in DuckDB's dialect, with values for its `$name`s, and gives its rows.

        Raises UnknownParameter for a `$name` without a value.
        """
        if isinstance(sql, str):
            return self.native(written(sql, parameters, self.dialect))
        return self.native(self.translated(bind(sql, parameters)))

    def translated(self, tree: exp.Expr) -> str:
        """A statement in the database's own dialect."""
        return self.dialect.write(tree)

    def native(self, sql: str) -> list[Row]:
        """Runs a statement in the database's own dialect.

        What all of them understand alike comes here as well: reading a statement takes longer than running a small one.
        """
        return [tuple(row) for row in self._client.execute_sql(sql) or ()]

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        """The rows of a query in DuckDB's dialect, with values for its `$name`s, so many at a time.

        Raises UnknownParameter for a `$name` without a value.
        """
        found = self._client.native_connection.sql(written(sql, parameters, self.dialect))
        for batch in found.to_arrow_reader(rows):
            yield pa.Table.from_batches([batch])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside, or none of them."""
        with self._client.begin_transaction():
            yield

    def tables(self, schema: str) -> list[str]:
        """Names of a schema's tables, in order; none where there is no such schema."""
        return [name for (name,) in self.query(TABLES, schema=schema)]

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        """Names and types of a table's columns, in order and in DuckDB's words; none where there is no such table."""
        return [(name, kind.lower()) for name, kind in self.query(COLUMNS, schema=schema, table=table)]

    def comment(self, schema: str, table: str, description: str, columns: Mapping[str, str]) -> None:
        """Stores the descriptions of a table and of those of its columns that it has; writes nothing if all are there.

        Whoever looks at the table with another program, such as a BI tool, then reads what it means.
        """
        stored = self.comments(schema, table)
        texts = {name: " ".join(text.split()) for name, text in columns.items() if name in stored}
        if stored == dict.fromkeys(stored) | {"": " ".join(description.split()), **texts}:
            return
        self.store_comments(schema, table, " ".join(description.split()), texts)

    def comments(self, schema: str, table: str) -> dict[str, str | None]:
        """The descriptions that are stored: of a table, under the empty name, and of each of its columns."""
        return dict(self.query(self._comments, schema=schema, table=table))

    def store_comments(self, schema: str, table: str, description: str, columns: Mapping[str, str]) -> None:
        """Stores descriptions in the place of those there are."""
        with self.transaction():
            self.native(";\n".join(comment_statements(schema, table, description, columns)))

    def first_rows(self, schema: str, table: str, rows: int) -> list[Row]:
        """Some rows of a table, without reading all of it; the first ones where it was just built in an order."""
        return self.native(f"SELECT * FROM {schema}.{table} LIMIT {rows}")  # noqa: S608

    def count(self, schema: str, table: str) -> int:
        """Rows of a table. Raises UndefinedTable."""
        return int(self.native(f"SELECT count(*) FROM {schema}.{table}")[0][0])  # noqa: S608

    def create_schema(self, schema: str) -> None:
        """Makes a schema that is not there yet."""
        self.native(f"CREATE SCHEMA IF NOT EXISTS {schema}")

    def build_beside(self, schema: str, table: str, select: str) -> str:
        """Builds a table from a SELECT in the database's own dialect, beside the one there is.

        Returns the name it has until `swap_in`.
        """
        fresh = beside(table)
        self.create_schema(schema)
        self.native(f"DROP TABLE IF EXISTS {schema}.{fresh}")
        self.native(f"CREATE TABLE {schema}.{fresh} AS\n{select}")
        return fresh

    def swap_in(self, schema: str, table: str, fresh: str) -> None:
        """Puts a table that was built beside in the place of the one there is, in one transaction."""
        with self.transaction():
            self.native(f"DROP TABLE IF EXISTS {schema}.{table}")
            self.native(f"ALTER TABLE {schema}.{fresh} RENAME TO {table}")
