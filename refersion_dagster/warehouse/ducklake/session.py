"""A connection to a DuckLake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.sql_client import SqlClientBase

from refersion_dagster.warehouse.ducklake.errors import lake_trouble
from refersion_dagster.warehouse.session import Row, Session

# Of the lake alone: the catalogue's own tables are those of another database, maybe of a server.
COLUMNS = """
SELECT column_name, data_type FROM duckdb_columns()
WHERE database_name = current_database() AND schema_name = $schema AND table_name = $table ORDER BY column_index
"""
TABLES = """
SELECT table_name FROM duckdb_tables()
WHERE database_name = current_database() AND schema_name = $schema ORDER BY table_name
"""
COMMENTS = """
SELECT '' AS name, comment FROM duckdb_tables()
WHERE database_name = current_database() AND schema_name = $schema AND table_name = $table
UNION ALL
SELECT column_name, comment FROM duckdb_columns()
WHERE database_name = current_database() AND schema_name = $schema AND table_name = $table
"""


class LakeSession(Session):
    """One connection to a lake, in DuckDB's dialect.

    Raises WarehouseError for what is not the statement's own: a catalogue or files that cannot be reached, a right that
    is missing, a change by somebody else.
    """

    _comments = COMMENTS

    def __init__(self, client: SqlClientBase[Any], location: str) -> None:
        super().__init__(client)
        self._location = location

    def native(self, sql: str) -> list[Row]:
        try:
            return super().native(sql)
        except DatabaseException as error:
            if trouble := lake_trouble(error, self._location):
                raise trouble from error
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside, or none of them; what somebody else changed meanwhile shows at the end."""
        try:
            with super().transaction():
                yield
        except DatabaseException as error:
            if trouble := lake_trouble(error, self._location):
                raise trouble from error
            raise

    def tables(self, schema: str) -> list[str]:
        """Names of a schema's tables, in order."""
        return [name for (name,) in self.query(TABLES, schema=schema)]

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        return [(name, kind.lower()) for name, kind in self.query(COLUMNS, schema=schema, table=table)]
