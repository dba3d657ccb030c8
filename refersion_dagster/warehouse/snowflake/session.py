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
from refersion_dagster.warehouse.snowflake.errors import convert_error
from refersion_dagster.warehouse.sql import Value

# Type names of Snowflake and of DuckDB.
TYPE_NAMES = {
    "TEXT": "varchar",
    "FLOAT": "double",
    "TIMESTAMP_LTZ": "timestamp with time zone",
    "TIMESTAMP_TZ": "timestamp with time zone",
    "TIMESTAMP_NTZ": "timestamp",
}
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = $schema ORDER BY table_name"
# With everything that a type is declared with.
COLUMNS = """
SELECT column_name, data_type, numeric_precision, numeric_scale, character_maximum_length
FROM information_schema.columns WHERE table_schema = $schema AND table_name = $table ORDER BY ordinal_position
"""
# Comments of a table (under the empty name) and of each of its columns.
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
    """Snowflake's dialect with the server's clock, which the lease uses.

    The emulator has executed everything else with DuckDB's results. A clock never returns the same result twice.
    """

    constructs = SnowflakeDialect.constructs and SnowflakeDialect.constructs | {"CurrentTimestamp"}


class SnowflakeSession(ServerSession):
    """One connection to Snowflake.

    Names: dlt creates tables and columns with quoted names in upper case. Snowflake converts unquoted names to upper
    case, so both are the same. This class returns lower-case names, as in all other databases.

    Transactions apply to changes of rows. A statement that creates or alters a table commits the statements before it.
    All statements can be repeated after a run that died.
    """

    dialect = SnowflakeSessionDialect()
    is_timed = True

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return convert_error(error)

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        # The server determines the number of rows in each table.
        for table in super().arrow(sql, rows, **parameters):
            yield with_duckdb_types(table)

    def tables(self, schema: str) -> list[str]:
        return sorted(_fold_case(name) for (name,) in self.query(TABLES, schema=schema.upper()))

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        return [(_fold_case(name), type_name(*kind[:3])) for name, *kind in self._select_declarations(schema, table)]

    def _select_declarations(self, schema: str, table: str) -> list[Row]:
        """The columns of a table, with everything that their types are declared with."""
        return self.query(COLUMNS, schema=schema.upper(), table=table.upper())

    def comments(self, schema: str, table: str) -> dict[str, str | None]:
        found = self.query(COMMENTS, schema=schema.upper(), table=table.upper())
        return {_fold_case(name): comment or None for name, comment in found}

    def store_comments(self, schema: str, table: str, description: str, columns: Mapping[str, str]) -> None:
        for statement in comment_statements(schema, table, description, columns):
            self.native(statement)

    def create_schema(self, schema: str) -> None:
        # CREATE SCHEMA IF NOT EXISTS requires the right to create schemas even if the schema exists.
        if not self.query(SCHEMA, schema=schema.upper()):
            super().create_schema(schema)

    def swap_in(self, schema: str, table: str, fresh: str) -> None:
        """Replaces the current table with the newly built one, in one statement.

        If the columns are the same, only the rows are replaced, so descriptions, access rights, policies and tags stay.
        If they differ, the table is replaced and its access rights are copied.
        """
        old, new = (self._select_declarations(schema, name) for name in (table, fresh))
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
    """One statement for the table, and one for all of its columns."""
    each = ", ".join(f'COLUMN "{name.upper()}" COMMENT {_text(text)}' for name, text in columns.items())
    statements = [f"COMMENT ON TABLE {schema}.{table} IS {_text(description)}"]
    return [*statements, f"ALTER TABLE {schema}.{table} ALTER {each}"] if each else statements


def type_name(kind: str, precision: int | None, scale: int | None) -> str:
    """DuckDB's name for a column type. All integers are NUMBER in Snowflake."""
    if kind == "NUMBER":
        return f"decimal({precision},{scale})" if scale else "bigint"
    return TYPE_NAMES.get(kind) or kind.lower()


def with_duckdb_types(table: pa.Table) -> pa.Table:
    """The table with the names and types that DuckDB returns.

    Snowflake returns integers in as few bytes as a batch needs. Raises ArrowInvalid if a digit would be lost.
    """
    fields = [pa.field(_fold_case(field.name), _duckdb_type(field.type)) for field in table.schema]
    return table.rename_columns([field.name for field in fields]).cast(pa.schema(fields))


def _duckdb_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return pa.int64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    return kind


def _fold_case(name: str) -> str:
    """The name in lower case. A name in mixed case was created in quotes and stays."""
    return name.lower() if name == name.upper() else name


def _text(text: str) -> str:
    return exp.Literal.string(text).sql("snowflake")
