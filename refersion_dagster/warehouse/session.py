"""A connection to the warehouse: queries in DuckDB's dialect, transactions, tables built from a SELECT."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlt.destinations.exceptions import DatabaseUndefinedRelation as UndefinedTable
from dlt.destinations.sql_client import SqlClientBase
from sqlglot import exp

from refersion_dagster.warehouse.sql import DIALECT, Value, bind, parse, to_dialect

__all__ = ["Session", "UndefinedTable"]

Row = tuple[Any, ...]


class Session:
    """One connection, in dlt's own client.

    Errors are dlt's: DatabaseException and, for a table that does not exist, UndefinedTable.
    """

    def __init__(self, client: SqlClientBase[Any]) -> None:
        self._client = client
        self.dialect = client.capabilities.sqlglot_dialect or DIALECT

    def query(self, sql: str | exp.Expression, **parameters: Value) -> list[Row]:
        """Runs one statement in DuckDB's dialect, with values for its `$name`s, and gives its rows.

        Raises UnknownParameter for a `$name` without a value.
        """
        tree = parse(sql) if isinstance(sql, str) else sql
        return self._run(to_dialect(bind(tree, parameters), self.dialect))

    def _run(self, sql: str) -> list[Row]:
        return [tuple(row) for row in self._client.execute_sql(sql) or ()]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside, or none of them."""
        with self._client.begin_transaction():
            yield

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        """Names and types of a table's columns, in order; none where there is no such table."""
        precise = "CASE WHEN data_type = 'numeric' AND numeric_precision IS NOT NULL THEN 'decimal(' || "
        kind = (
            "data_type"
            if self.dialect == DIALECT  # has precision and scale in its name already
            else f"{precise} numeric_precision || ',' || numeric_scale || ')' ELSE data_type END"
        )
        found = self.query(
            f"SELECT column_name, {kind} FROM information_schema.columns "  # noqa: S608
            "WHERE table_schema = $schema AND table_name = $table ORDER BY ordinal_position",
            schema=schema,
            table=table,
        )
        return [(str(name), str(kind).lower()) for name, kind in found]

    def count(self, schema: str, table: str) -> int:
        """Rows of a table. Raises UndefinedTable."""
        return int(self.query(f"SELECT count(*) FROM {schema}.{table}")[0][0])  # noqa: S608

    def build_beside(self, schema: str, table: str, select: exp.Expression) -> str:
        """Builds a table from a SELECT beside the one there is; returns the name it has until `swap_in`."""
        fresh = f"{table}__new"
        self.query(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        self.query(f"DROP TABLE IF EXISTS {schema}.{fresh}")
        self._run(f"CREATE TABLE {schema}.{fresh} AS\n{to_dialect(select, self.dialect)}")
        return fresh

    def swap_in(self, schema: str, table: str, fresh: str) -> None:
        """Puts a table that was built beside in the place of the one there is, in one transaction.

        Elsewhere than in DuckDB a table of the same columns is emptied and filled instead of replaced, so that
        grants to it and views on it live on.
        """
        same = self.dialect != DIALECT and self.columns(schema, table) == self.columns(schema, fresh)
        with self.transaction():
            if same:
                self.query(f"TRUNCATE TABLE {schema}.{table}")
                self.query(f"INSERT INTO {schema}.{table} SELECT * FROM {schema}.{fresh}")  # noqa: S608
                self.query(f"DROP TABLE {schema}.{fresh}")
            else:
                self.query(f"DROP TABLE IF EXISTS {schema}.{table}")
                self.query(f"ALTER TABLE {schema}.{fresh} RENAME TO {table}")
