"""A connection to one of several databases that a DuckDB has open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from dlt.destinations.exceptions import DatabaseException

from refersion_dagster.warehouse.server.session import ServerSession
from refersion_dagster.warehouse.session import Session
from refersion_dagster.warehouse.sql import Value

# Of this database only: others in the same DuckDB have schemas with the same names.
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


class CatalogSession(ServerSession):
    """One connection, in DuckDB's dialect."""

    _comments = COMMENTS

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements in the context, or none of them. Conflicts with other writers are reported at the end."""
        try:
            with super().transaction():
                yield
        except DatabaseException as error:
            if problem := self.convert_error(error):
                raise problem from error
            raise

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        # Read while the result is computed, as for a file.
        yield from Session.arrow(self, sql, rows, **parameters)

    def tables(self, schema: str) -> list[str]:
        """Names of a schema's tables, in order."""
        return [name for (name,) in self.query(TABLES, schema=schema)]

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        return [(name, kind.lower()) for name, kind in self.query(COLUMNS, schema=schema, table=table)]
