"""A connection to Snowflake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from refersion_dagster.warehouse.dialects.snowflake import SnowflakeDialect
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.server.session import ServerSession
from refersion_dagster.warehouse.session import Row
from refersion_dagster.warehouse.snowflake.errors import trouble_of
from refersion_dagster.warehouse.sql import Value

# Names of types as Snowflake shows them, and as DuckDB does.
TYPE_NAMES = {
    "TEXT": "varchar",
    "FLOAT": "double",
    "TIMESTAMP_LTZ": "timestamp with time zone",
    "TIMESTAMP_TZ": "timestamp with time zone",
    "TIMESTAMP_NTZ": "timestamp",
}
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = $schema ORDER BY table_name"
# With all that a type is declared with.
COLUMNS = """
SELECT column_name, data_type, numeric_precision, numeric_scale, character_maximum_length
FROM information_schema.columns WHERE table_schema = $schema AND table_name = $table ORDER BY ordinal_position
"""
# Of a table, under the empty name, and of each of its columns.
COMMENTS = """
SELECT '' AS name, comment FROM information_schema.tables WHERE table_schema = $schema AND table_name = $table
UNION ALL
SELECT column_name, comment FROM information_schema.columns WHERE table_schema = $schema AND table_name = $table
"""
SCHEMA = "SELECT 1 FROM information_schema.schemata WHERE schema_name = $schema"
# What a refresh creates: schemas, or tables in all three of them.
# https://docs.snowflake.com/en/sql-reference/info-schema/object_privileges
MAY_WRITE = """
SELECT COUNT(CASE WHEN object_type = 'DATABASE' THEN 1 END) > 0
  OR COUNT(DISTINCT CASE WHEN object_type = 'SCHEMA' THEN object_name END) = 3
FROM information_schema.object_privileges
WHERE is_role_in_session(grantee) AND (
  object_type = 'DATABASE' AND object_name = CURRENT_DATABASE() AND privilege_type IN ('OWNERSHIP', 'CREATE SCHEMA')
  OR object_type = 'SCHEMA' AND object_catalog = CURRENT_DATABASE() AND privilege_type IN ('OWNERSHIP', 'CREATE TABLE')
    AND LOWER(object_name) IN ('refersion_data', 'refersion_data_staging', 'refersion_summaries')
)
"""


@dataclass(frozen=True)
class SnowflakeSessionDialect(SnowflakeDialect):
    """Snowflake's dialect with the server's clock, which the lease goes by.

    The emulator has executed all else with DuckDB's results, and no clock gives the same result twice.
    """

    constructs = SnowflakeDialect.constructs and SnowflakeDialect.constructs | {"CurrentTimestamp"}


class SnowflakeSession(ServerSession):
    """One connection to Snowflake.

    Names: dlt creates tables and columns in capitals and in quotes, and what is not in quotes is in capitals for
    Snowflake, so both are the same. Here they are in small letters, as everywhere else.

    Transactions hold the changes of rows. A statement that creates or changes a table commits what was before it; all
    of it can be repeated after a run that died.
    """

    dialect = SnowflakeSessionDialect()

    def trouble_of(self, error: BaseException) -> WarehouseError | None:
        return trouble_of(error)

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        # How many come at a time is up to the server.
        for table in super().arrow(sql, rows, **parameters):
            yield with_duckdb_types(table)

    def tables(self, schema: str) -> list[str]:
        return sorted(_small(name) for (name,) in self.query(TABLES, schema=schema.upper()))

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        return [(_small(name), type_name(*kind[:3])) for name, *kind in self._declared(schema, table)]

    def _declared(self, schema: str, table: str) -> list[Row]:
        """The columns of a table, with all that their types are declared with."""
        return self.query(COLUMNS, schema=schema.upper(), table=table.upper())

    def comments(self, schema: str, table: str) -> dict[str, str | None]:
        found = self.query(COMMENTS, schema=schema.upper(), table=table.upper())
        return {_small(name): comment or None for name, comment in found}

    def store_comments(self, schema: str, table: str, description: str, columns: Mapping[str, str]) -> None:
        for statement in comment_statements(schema, table, description, columns):
            self.native(statement)

    def create_schema(self, schema: str) -> None:
        # As a statement it requires the right to create schemas in any case.
        if not self.query(SCHEMA, schema=schema.upper()):
            super().create_schema(schema)

    def swap_in(self, schema: str, table: str, fresh: str) -> None:
        """Puts a table that was built beside in the place of the one there is, by one statement.

        A table of the same columns gets other rows, and so keeps its descriptions, rights, policies and tags. One of
        other columns is replaced, with its rights.
        """
        old, new = (self._declared(schema, name) for name in (table, fresh))
        self.native(swap_statement(schema, table, fresh, has_same_columns=old == new))
        self.native(f"DROP TABLE {schema}.{fresh}")

    def may_write(self) -> bool:
        """Whether the role may create what a refresh creates."""
        return self.native(MAY_WRITE) == [(True,)]


def swap_statement(schema: str, table: str, fresh: str, *, has_same_columns: bool) -> str:
    done = (
        f"INSERT OVERWRITE INTO {schema}.{table}"
        if has_same_columns
        else f"CREATE OR REPLACE TABLE {schema}.{table} COPY GRANTS AS"
    )
    return f"{done} SELECT * FROM {schema}.{fresh}"  # noqa: S608 - names of ours


def comment_statements(schema: str, table: str, description: str, columns: Mapping[str, str]) -> list[str]:
    """One for the table, and one for all of its columns."""
    each = ", ".join(f'COLUMN "{name.upper()}" COMMENT {_text(text)}' for name, text in columns.items())
    statements = [f"COMMENT ON TABLE {schema}.{table} IS {_text(description)}"]
    return [*statements, f"ALTER TABLE {schema}.{table} ALTER {each}"] if each else statements


def type_name(kind: str, precision: int | None, scale: int | None) -> str:
    """The type of a column, in DuckDB's words. All whole numbers are NUMBER in Snowflake."""
    if kind == "NUMBER":
        return f"decimal({precision},{scale})" if scale else "bigint"
    return TYPE_NAMES.get(kind) or kind.lower()


def with_duckdb_types(table: pa.Table) -> pa.Table:
    """A table with names and types that DuckDB gives.

    Whole numbers come in as few bytes as a batch needs. Raises ArrowInvalid rather than to lose a digit.
    """
    fields = [pa.field(_small(field.name), _duckdb_type(field.type)) for field in table.schema]
    return table.rename_columns([field.name for field in fields]).cast(pa.schema(fields))


def _duckdb_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return pa.int64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    return kind


def _small(name: str) -> str:
    """A name as it is elsewhere; one of mixed letters was created in quotes and stays."""
    return name.lower() if name == name.upper() else name


def _text(text: str) -> str:
    return exp.Literal.string(text).sql("snowflake")
