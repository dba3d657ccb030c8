"""A connection to Redshift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlt.destinations.sql_client import SqlClientBase
from sqlglot import exp

from refersion_dagster.warehouse.dialects.redshift import RedshiftDialect
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.postgres.session import PostgresSession
from refersion_dagster.warehouse.redshift.errors import convert_error

# What the new table needs to be granted.
# https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_RELATION_PRIVILEGES.html
GRANTS = """
SELECT
  'GRANT ' || privilege_type || ' ON {schema}.{table} TO '
  || CASE identity_type
    WHEN 'public' THEN 'PUBLIC'
    WHEN 'group' THEN 'GROUP ' || quote_ident(identity_name)
    WHEN 'role' THEN 'ROLE ' || quote_ident(identity_name)
    ELSE quote_ident(identity_name)
  END
  || CASE WHEN admin_option THEN ' WITH GRANT OPTION' ELSE '' END
FROM svv_relation_privileges
WHERE namespace_name = '{schema}' AND relation_name = '{table}'
"""
# What a refresh creates: schemas, or tables in all three of them.
MAY_WRITE = """
SELECT has_database_privilege(current_database(), 'CREATE')
  OR (SELECT count(*) FROM pg_namespace
      WHERE nspname IN ('refersion_data', 'refersion_data_staging', 'refersion_summaries')
        AND has_schema_privilege(nspname, 'CREATE')) = 3
"""


@dataclass(frozen=True)
class RedshiftSessionDialect(RedshiftDialect):
    """Redshift's dialect with the server's clock, which the lease uses, and its catalogue's names of types."""

    constructs = RedshiftDialect.constructs and RedshiftDialect.constructs | {"CurrentTimestamp", "format_type()"}


class RedshiftSession(PostgresSession):
    """One connection to Redshift, whose catalogue, cursors and transactions are PostgreSQL's."""

    _grants = GRANTS
    is_timed = True

    def __init__(self, client: SqlClientBase[Any]) -> None:
        super().__init__(client, RedshiftSessionDialect())

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return convert_error(error)

    def store_comments(self, schema: str, table: str, description: str, columns: Mapping[str, str]) -> None:
        with self.transaction():
            for statement in comment_statements(schema, table, description, columns):
                self.native(statement)

    def may_write(self) -> bool:
        """Whether the user may create what a refresh creates."""
        return self.native(MAY_WRITE) == [(True,)]


def comment_statements(schema: str, table: str, description: str, columns: Mapping[str, str]) -> list[str]:
    name = f'"{schema}"."{table}"'
    return [
        f"COMMENT ON TABLE {name} IS {_text(description)}",
        *(f'COMMENT ON COLUMN {name}."{column}" IS {_text(text)}' for column, text in columns.items()),
    ]


def _text(text: str) -> str:
    """A backslash is an escape character in Redshift's texts."""
    return exp.Literal.string(text).sql("redshift")
