"""A connection to Databricks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from refersion_dagster.warehouse.databricks.errors import convert_error
from refersion_dagster.warehouse.dialects.databricks import DatabricksDialect
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.server.session import ServerSession

# Type names of Unity Catalog and of DuckDB.
TYPE_NAMES = {
    "string": "varchar",
    "int": "integer",
    "long": "bigint",
    "timestamp": "timestamp with time zone",
    "timestamp_ntz": "timestamp",
}
# Makes results match the tested ones regardless of the SQL warehouse's defaults.
SETTINGS = ("SET TIME ZONE 'UTC'", "SET ANSI_MODE = true")
COLUMNS = """
SELECT column_name, full_data_type FROM information_schema.columns
WHERE table_schema = $schema AND table_name = $table ORDER BY ordinal_position
"""
# Comments of a table (under the empty name) and of each of its columns.
COMMENTS = """
SELECT '' AS name, comment FROM information_schema.tables WHERE table_schema = $schema AND table_name = $table
UNION ALL
SELECT column_name, comment FROM information_schema.columns WHERE table_schema = $schema AND table_name = $table
"""
SCHEMA = "SELECT 1 FROM information_schema.schemata WHERE schema_name = $schema"
# What a refresh creates: schemas, or tables in all three of them. The owner of an object has all rights on it.
MAY_WRITE = """
WITH held AS (
  SELECT 'catalog' AS what FROM information_schema.catalog_privileges
  WHERE replace(privilege_type, ' ', '_') IN ('ALL_PRIVILEGES', 'CREATE_SCHEMA')
    AND (grantee = current_user() OR is_account_group_member(grantee))
  UNION ALL
  SELECT 'catalog' FROM system.information_schema.catalogs
  WHERE catalog_name = current_catalog()
    AND (catalog_owner = current_user() OR is_account_group_member(catalog_owner))
  UNION
  SELECT schema_name FROM information_schema.schemata
  WHERE schema_name IN ('refersion_data', 'refersion_data_staging', 'refersion_summaries')
    AND (schema_owner = current_user() OR is_account_group_member(schema_owner))
)
SELECT max(what = 'catalog') OR count(DISTINCT what) = 3 FROM held
"""


@dataclass(frozen=True)
class DatabricksSessionDialect(DatabricksDialect):
    """Databricks' dialect with the server's clock, which the lease uses.

    Spark has executed everything else with DuckDB's results. A clock never returns the same result twice.
    """

    constructs = DatabricksDialect.constructs and DatabricksDialect.constructs | {"CurrentTimestamp"}


class DatabricksSession(ServerSession):
    """One connection to Databricks.

    It has no transactions. Each statement is atomic, and all of them can be repeated after a run that died.
    """

    dialect = DatabricksSessionDialect()
    is_timed = True
    _comments = COMMENTS

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return convert_error(error)

    def prepare(self) -> None:
        """Set the session parameters that results depend on."""
        for statement in SETTINGS:
            self.native(statement)

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        found = self.query(COLUMNS, schema=schema, table=table)
        return [(str(name), TYPE_NAMES.get(str(kind).lower(), str(kind).lower())) for name, kind in found]

    def store_comments(self, schema: str, table: str, description: str, columns: Mapping[str, str]) -> None:
        for statement in comment_statements(schema, table, description, columns):
            self.native(statement)

    def create_schema(self, schema: str) -> None:
        # CREATE SCHEMA IF NOT EXISTS requires the right to create schemas even if the schema exists.
        if not self.query(SCHEMA, schema=schema):
            super().create_schema(schema)

    def swap_in(self, schema: str, table: str, fresh: str) -> None:
        """Replaces the current table with the newly built one, in one Delta commit.

        If the columns are the same, only the rows are replaced, so descriptions and access rights stay. If they differ,
        the table is replaced.
        """
        old, new = (self.columns(schema, name) for name in (table, fresh))
        self.native(swap_statement(schema, table, fresh, has_same_columns=old == new))
        self.native(f"DROP TABLE {schema}.{fresh}")

    def may_write(self) -> bool:
        """Whether the principal may create what a refresh creates."""
        return self.native(MAY_WRITE) == [(True,)]


def swap_statement(schema: str, table: str, fresh: str, *, has_same_columns: bool) -> str:
    done = f"INSERT OVERWRITE {schema}.{table}" if has_same_columns else f"CREATE OR REPLACE TABLE {schema}.{table} AS"
    return f"{done} SELECT * FROM {schema}.{fresh}"  # noqa: S608 - names of ours


def comment_statements(schema: str, table: str, description: str, columns: Mapping[str, str]) -> list[str]:
    """One statement for the table, and one for all of its columns."""
    each = ", ".join(f"`{name}` COMMENT {_text(text)}" for name, text in columns.items())
    statements = [f"COMMENT ON TABLE {schema}.{table} IS {_text(description)}"]
    return [*statements, f"ALTER TABLE {schema}.{table} ALTER COLUMN {each}"] if each else statements


def _text(text: str) -> str:
    return exp.Literal.string(text).sql("databricks")
