"""Databricks as a warehouse: the workspace and catalog from dlt's own configuration, and write access."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlt.destinations.sql_client import SqlClientBase
from dlt.extract.source import DltSource

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.database import WriteAccess
from refersion_dagster.warehouse.databricks.credentials import databricks_credentials
from refersion_dagster.warehouse.databricks.errors import HOW_TO_GRANT, convert_error
from refersion_dagster.warehouse.databricks.session import DatabricksSession
from refersion_dagster.warehouse.dlt_internals.databricks import utc_destination, workspace_client
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.lease import lease_holder
from refersion_dagster.warehouse.server.leased import LeasedDatabase
from refersion_dagster.warehouse.session import Session


class DatabricksDatabase(LeasedDatabase):
    """The Unity Catalog catalog that dlt's configuration names."""

    enforces_keys = False

    @property
    def location(self) -> str:
        credentials = databricks_credentials()
        return f"databricks://{credentials.server_hostname}/{credentials.catalog}"

    @contextmanager
    def open_destination(self) -> Iterator[Any]:
        credentials = databricks_credentials()
        self.check_lease()
        yield utc_destination(credentials)

    def prepare(self, source: DltSource) -> DltSource:
        """Merge with one MERGE statement. dlt's default deletes and inserts, and readers would miss rows in between."""
        for resource in source.resources.values():
            resource.apply_hints(write_disposition={"disposition": "merge", "strategy": "upsert"})
        return source

    def client(self) -> SqlClientBase[Any]:
        return workspace_client(databricks_credentials(), DATASET)

    def session_of(self, client: SqlClientBase[Any], read_only: bool) -> DatabricksSession:
        session = DatabricksSession(client)
        session.prepare()
        return session

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return convert_error(error)

    def write_access(self, session: Session) -> WriteAccess:
        assert isinstance(session, DatabricksSession)  # noqa: S101 - always the session of this database
        return WriteAccess(session.may_write(), HOW_TO_GRANT, lease_holder(session))
