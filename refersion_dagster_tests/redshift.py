"""PostgreSQL in Redshift's place, for what the two have in common: dlt's destination, its driver, and SQL.

What dlt and the package send is changed where PostgreSQL does not understand it; see `as_postgres`. It is sent by dlt's
Redshift destination through psycopg2, as to Redshift.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from dlt.common.destination.dataset import DBApiCursor
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.impl.redshift.redshift import RedshiftSqlClient
from psycopg2.sql import Composable
from sqlglot import exp

from refersion_dagster.warehouse.redshift.session import RedshiftSessionDialect
from refersion_dagster_tests.engines.redshift_relative import FUNCTIONS, SETTINGS, as_postgres
from refersion_dagster_tests.postgres import HOST, PASSWORD, USER, PostgresDatabase

CREDENTIALS = "DESTINATION__REDSHIFT__CREDENTIALS"
# Views of Redshift's catalogue: no grants, and the schemas as PostgreSQL knows them.
VIEWS = """
CREATE VIEW svv_relation_privileges AS
SELECT '' AS namespace_name, '' AS relation_name, '' AS privilege_type, '' AS identity_type, '' AS identity_name,
  FALSE AS admin_option
WHERE FALSE;
CREATE VIEW svv_redshift_schemas AS SELECT nspname AS schema_name FROM pg_namespace;
"""


@contextmanager
def redshift_relative(database: PostgresDatabase) -> Iterator[None]:
    """The database in Redshift's place, in this process's environment."""
    for name, value in SETTINGS.items():
        database.query(f"ALTER DATABASE {database.name} SET {name} = {value}")
    database.query(FUNCTIONS + VIEWS)
    sent = Psycopg2SqlClient.execute_query

    def execute_query(
        self: RedshiftSqlClient, query: Any, *values: Any, **named: Any
    ) -> AbstractContextManager[DBApiCursor]:
        text = query.as_string(self.native_connection) if isinstance(query, Composable) else query
        return sent(self, as_postgres(text.decode() if isinstance(text, bytes) else text), *values, **named)

    written = RedshiftSessionDialect.write

    def write(self: RedshiftSessionDialect, tree: exp.Expr) -> str:
        """Cursors of the session go past dlt's client."""
        return as_postgres(written(self, tree))

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(RedshiftSessionDialect, "write", write)
        monkeypatch.setattr(RedshiftSqlClient, "execute_query", execute_query)
        for name, value in environment(database).items():
            monkeypatch.setenv(name, value)
        yield


def environment(database: PostgresDatabase) -> dict[str, str]:
    """The variables with the credentials."""
    parts = {
        "HOST": HOST,
        "PORT": str(database.server.port),
        "DATABASE": database.name,
        "USERNAME": USER,
        "PASSWORD": PASSWORD,
    }
    return {f"{CREDENTIALS}__{name}": value for name, value in parts.items()}
