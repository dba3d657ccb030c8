"""A session whose usual schemas have other names in the database, so that accounts can share one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa
from sqlglot import exp

from refersion_dagster.warehouse.session import Row, Session
from refersion_dagster.warehouse.sql import Value


class RenamedSession(Session):
    """A session that takes the usual names of schemas and uses others.

    In statements, the dialect renames the schemas of tables; text and values are not touched. `native` statements
    have to name tables as `table` does.

    Args:
        schemas: names in the database by usual names.
    """

    def __init__(self, session: Session, schemas: Mapping[str, str]) -> None:
        super().__init__(session._client)
        session.dialect = replace(session.dialect, schemas=tuple(schemas.items()))
        self.dialect = session.dialect
        self._session = session
        self._schemas = schemas

    def _name(self, schema: str) -> str:
        return self._schemas.get(schema, schema)

    def query(self, sql: str | exp.Expr, **parameters: Value) -> list[Row]:
        return self._session.query(sql, **parameters)

    def native(self, sql: str) -> list[Row]:
        return self._session.native(sql)

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        return self._session.arrow(sql, rows, **parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._session.transaction():
            yield

    def table(self, schema: str, table: str) -> str:
        return self._session.table(self._name(schema), table)

    def tables(self, schema: str) -> list[str]:
        return self._session.tables(self._name(schema))

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        return self._session.columns(self._name(schema), table)

    def comment(self, schema: str, table: str, description: str, columns: Mapping[str, str]) -> None:
        self._session.comment(self._name(schema), table, description, columns)

    def comments(self, schema: str, table: str) -> dict[str, str | None]:
        return self._session.comments(self._name(schema), table)

    def store_comments(self, schema: str, table: str, description: str, columns: Mapping[str, str]) -> None:
        self._session.store_comments(self._name(schema), table, description, columns)

    def first_rows(self, schema: str, table: str, rows: int) -> list[Row]:
        return self._session.first_rows(self._name(schema), table, rows)

    def count(self, schema: str, table: str) -> int:
        return self._session.count(self._name(schema), table)

    def create_schema(self, schema: str) -> None:
        self._session.create_schema(self._name(schema))

    def build_beside(self, schema: str, table: str, select: str) -> str:
        return self._session.build_beside(self._name(schema), table, select)

    def swap_in(self, schema: str, table: str, fresh: str) -> None:
        self._session.swap_in(self._name(schema), table, fresh)
