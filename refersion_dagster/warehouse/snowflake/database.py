"""Snowflake as a warehouse: the account and database from dlt's own configuration, and write access."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlt.destinations.sql_client import SqlClientBase
from dlt.extract.source import DltSource

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.database import WriteAccess
from refersion_dagster.warehouse.dlt_internals.snowflake import account_client, session_destination
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.lease import lease_holder
from refersion_dagster.warehouse.server.leased import LeasedDatabase
from refersion_dagster.warehouse.session import Session
from refersion_dagster.warehouse.snowflake.credentials import snowflake_credentials
from refersion_dagster.warehouse.snowflake.errors import HOW_TO_GRANT, convert_error
from refersion_dagster.warehouse.snowflake.session import SnowflakeSession


class SnowflakeDatabase(LeasedDatabase):
    """The database of a Snowflake account that dlt's configuration names."""

    enforces_keys = False

    @property
    def location(self) -> str:
        credentials = snowflake_credentials()
        return f"snowflake://{credentials.host}/{credentials.database}"

    @contextmanager
    def open_destination(self) -> Iterator[Any]:
        credentials = snowflake_credentials()
        self.check_lease()
        yield session_destination(credentials)

    def prepare(self, source: DltSource) -> DltSource:
        """Merge with one MERGE statement, instead of dlt's default of deleting and inserting.

        Tables have no clustering key. Rows arrive month by month anyway, and Snowflake recommends a key, which costs
        credits to maintain, only for tables of a terabyte or more.
        """
        for resource in source.resources.values():
            resource.apply_hints(write_disposition={"disposition": "merge", "strategy": "upsert"})
        return source

    def client(self) -> SqlClientBase[Any]:
        return account_client(snowflake_credentials(), DATASET)

    def session_of(self, client: SqlClientBase[Any], read_only: bool) -> SnowflakeSession:
        return SnowflakeSession(client)

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return convert_error(error)

    def write_access(self, session: Session) -> WriteAccess:
        assert isinstance(session, SnowflakeSession)  # noqa: S101 - always the session of this database
        return WriteAccess(session.may_write(), HOW_TO_GRANT, lease_holder(session))
