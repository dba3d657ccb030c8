"""BigQuery as a warehouse: the project from dlt's own configuration, and write access."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.sql_client import SqlClientBase
from dlt.extract.source import DltSource

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.tables.catalog import CONVERSIONS
from refersion_dagster.usage.meter import METER, Usage
from refersion_dagster.warehouse.bigquery.credentials import bigquery_configuration
from refersion_dagster.warehouse.bigquery.errors import HOW_TO_GRANT, convert_error
from refersion_dagster.warehouse.bigquery.session import BigQuerySession
from refersion_dagster.warehouse.database import WriteAccess
from refersion_dagster.warehouse.dlt_internals.bigquery import by_month, project_client
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.lease import lease_holder
from refersion_dagster.warehouse.server.database import ServerDatabase
from refersion_dagster.warehouse.server.leased import LeasedDatabase
from refersion_dagster.warehouse.session import Session


class BigQueryDatabase(LeasedDatabase):
    """The BigQuery project that dlt's configuration names."""

    enforces_keys = False

    @property
    def location(self) -> str:
        configuration = bigquery_configuration()
        project = configuration.project_id or configuration.credentials.project_id
        return f"bigquery://{project}?location={configuration.location}"

    @contextmanager
    def open_destination(self) -> Iterator[Any]:
        bigquery_configuration()
        self.check_lease()
        import dlt

        with warnings.catch_warnings():
            # The BigQuery Storage client reads large results; loads do not need it.
            warnings.filterwarnings("ignore", message="Cannot create BigQuery Storage client")
            began = datetime.now(UTC)
            try:
                yield dlt.destinations.bigquery(destination_name="bigquery")
            finally:
                METER.add(self._usage_of_loads(began))

    def _usage_of_loads(self, began: datetime) -> Usage:
        """What dlt's statements cost since a moment; unpriced if BigQuery does not say it."""
        try:
            with ServerDatabase.session(self, read_only=True) as session:
                assert isinstance(session, BigQuerySession)  # noqa: S101 - always the session of this database
                return session.usage_of_loads(began)
        except (WarehouseError, DatabaseException):
            return Usage(unpriced=1)

    def prepare(self, source: DltSource) -> DltSource:
        """Merge with one MERGE statement. dlt's default deletes and inserts, and readers would miss rows in between."""
        from dlt.destinations.adapters import bigquery_adapter

        for name, resource in source.resources.items():
            resource.apply_hints(write_disposition={"disposition": "merge", "strategy": "upsert"})
            if name == CONVERSIONS.name:
                bigquery_adapter(resource, partition=by_month("created"), cluster=["affiliate_id"])
        return source

    def client(self) -> SqlClientBase[Any]:
        configuration = bigquery_configuration()
        return project_client(configuration, DATASET)

    def session_of(self, client: SqlClientBase[Any], read_only: bool) -> BigQuerySession:
        return BigQuerySession(client)

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return convert_error(error)

    def write_access(self, session: Session) -> WriteAccess:
        assert isinstance(session, BigQuerySession)  # noqa: S101 - always the session of this database
        return WriteAccess(session.may_write(), HOW_TO_GRANT, lease_holder(session))
