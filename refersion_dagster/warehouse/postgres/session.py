"""A connection to PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.sql_client import SqlClientBase

from refersion_dagster.usage.meter import METER
from refersion_dagster.warehouse.dialects.dialect import Dialect
from refersion_dagster.warehouse.dialects.postgres import PostgresDialect
from refersion_dagster.warehouse.errors import TableInUse, WarehouseError
from refersion_dagster.warehouse.postgres.errors import convert_error, state_of
from refersion_dagster.warehouse.server.session import ServerSession
from refersion_dagster.warehouse.sql import Value, write_statement

# Type names of PostgreSQL and of DuckDB.
TYPE_NAMES = (
    ("character varying", "varchar"),
    ("text", "varchar"),
    ("numeric", "decimal"),
    ("double precision", "double"),
    ("timestamp(6)", "timestamp"),
    ("timestamp without time zone", "timestamp"),
)
NUMERIC = 1700
# Maximum digits of a decimal. PostgreSQL reports 65,535 for a decimal without a limit.
DIGITS = 38
# By OID of pg_type, which never changes. Everything else is text.
ARROW_TYPES = {
    16: pa.bool_(),
    20: pa.int64(),
    23: pa.int32(),
    701: pa.float64(),
    1082: pa.date32(),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", "UTC"),
}
DEPENDENT_OBJECTS_STILL_EXIST = "2BP01"

COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), c.relkind
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $schema AND c.relname = $table AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
# Comments of a table (under the empty name) and of each of its columns.
COMMENTS = """
SELECT '' AS name, d.description
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_description AS d ON d.objoid = c.oid AND d.objsubid = 0
WHERE n.nspname = $schema AND c.relname = $table
UNION ALL
SELECT a.attname, d.description
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_description AS d ON d.objoid = c.oid AND d.objsubid = a.attnum
WHERE n.nspname = $schema AND c.relname = $table AND a.attnum > 0 AND NOT a.attisdropped
"""
GRANTS = """
SELECT
  format(
    'GRANT %s ON {schema}.{table} TO %s%s',
    g.privilege_type,
    CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
    CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
  )
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL aclexplode(c.relacl) AS g
WHERE n.nspname = '{schema}' AND c.relname = '{table}' AND g.grantee <> c.relowner
"""


class PostgresSession(ServerSession):
    """One connection to PostgreSQL, or to a database that descends from it."""

    _comments = COMMENTS
    _grants = GRANTS

    def __init__(self, client: SqlClientBase[Any], dialect: Dialect) -> None:
        super().__init__(client)
        self.dialect = dialect

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        statement = write_statement(sql, parameters, self.dialect)
        yield from METER.results(self._batches(statement, rows), is_timed=self.is_timed)

    def _batches(self, statement: str, rows: int) -> Iterator[pa.Table]:
        # A named cursor is a server-side one, which sends rows in batches instead of all at once.
        with self.transaction(), self._client.native_connection.cursor(name="rows_by_and_by") as cursor:
            cursor.execute(statement)
            while chunk := cursor.fetchmany(rows):
                kinds = map(_arrow_type, cursor.description)
                arrays = [pa.array(values, kind) for values, kind in zip(zip(*chunk, strict=True), kinds, strict=True)]
                yield pa.Table.from_arrays(arrays, [column.name for column in cursor.description])

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return convert_error(error)

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        return [(name, _type_name(kind)) for name, kind, _ in self.query(COLUMNS, schema=schema, table=table)]

    def create_schema(self, schema: str) -> None:
        # IF NOT EXISTS requires the right to create schemas even if the schema exists. A careful administrator does not
        # grant it.
        if not self.query("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $schema", schema=schema):
            super().create_schema(schema)

    def swap_in(self, schema: str, table: str, fresh: str) -> None:
        """Replaces the current table with the newly built one, in one transaction.

        If the columns are the same, only the rows are replaced, so that indexes and views stay and readers are not
        blocked. If the columns have changed, the new table gets the grants of the old one. Raises TableInUse if views
        or other objects depend on the old table.
        """
        old, new = (self.query(COLUMNS, schema=schema, table=name) for name in (table, fresh))
        if old == new:
            self._swap_rows(schema, table, fresh)
        else:
            self._swap_tables(schema, table, fresh)
        # Otherwise the next queries would be planned with the statistics of the previous rows.
        self.native(f"ANALYZE {schema}.{table}")

    def _swap_rows(self, schema: str, table: str, fresh: str) -> None:
        with self.transaction():
            # TRUNCATE would wait for every reader and block new ones.
            self.native(f"DELETE FROM {schema}.{table}")  # noqa: S608 - names of ours
            self.native(f"INSERT INTO {schema}.{table} SELECT * FROM {schema}.{fresh}")  # noqa: S608
            self.native(f"DROP TABLE {schema}.{fresh}")

    def _swap_tables(self, schema: str, table: str, fresh: str) -> None:
        grants = self.native(self._grants.format(schema=schema, table=table))
        try:
            with self.transaction():
                self.native(f"DROP TABLE IF EXISTS {schema}.{table}")
                self.native(f"ALTER TABLE {schema}.{fresh} RENAME TO {table}")
                for (grant,) in grants:
                    self.native(grant)
        except DatabaseException as error:
            self.native(f"DROP TABLE IF EXISTS {schema}.{fresh}")
            if state_of(error) != DEPENDENT_OBJECTS_STILL_EXIST:
                raise
            detail = error.dbapi_exception.diag.message_detail  # pyright: ignore[reportAttributeAccessIssue]
            stands_on_it = "; ".join((detail or "other objects depend on it").splitlines())
            raise TableInUse(
                f"{schema}.{table} has to get other columns, which is not possible while {stands_on_it}. Drop the "
                "dependent objects, run again, and recreate them. The table is unchanged."
            ) from None


def dialect_of(server_version: int) -> Dialect:
    """The dialect for a release of PostgreSQL, as psycopg2 numbers them.

    Of the server's collations `pg_c_utf8` converts case as DuckDB does; the database's default mostly does.
    """
    return PostgresDialect("pg_c_utf8" if server_version >= 170_000 else "default")


def _arrow_type(column: Any) -> pa.DataType | None:
    """The Arrow type of a result column, by its PostgreSQL OID; None if the values determine it."""
    if column.type_code == NUMERIC:
        return pa.decimal128(column.precision, column.scale) if 0 < column.precision <= DIGITS else None
    return ARROW_TYPES.get(column.type_code, pa.string())


def _type_name(kind: str) -> str:
    for theirs, ours in TYPE_NAMES:
        kind = kind.replace(theirs, ours)
    return kind
