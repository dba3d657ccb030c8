"""Redshift as a warehouse: the endpoint and database from dlt's own configuration, and write access."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlt.destinations.sql_client import SqlClientBase
from dlt.extract.source import DltSource

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.tables.catalog import CONVERSIONS
from refersion_dagster.warehouse.database import WriteAccess
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.lease import lease_holder
from refersion_dagster.warehouse.redshift.credentials import redshift_credentials
from refersion_dagster.warehouse.redshift.errors import HOW_TO_GRANT, convert_error
from refersion_dagster.warehouse.redshift.session import RedshiftSession
from refersion_dagster.warehouse.server.leased import LeasedDatabase
from refersion_dagster.warehouse.session import Session


class RedshiftDatabase(LeasedDatabase):
    """The database of a Redshift workgroup or cluster that dlt's configuration names."""

    enforces_keys = False

    @property
    def location(self) -> str:
        credentials = redshift_credentials()
        return f"redshift://{credentials.host}:{credentials.port}/{credentials.database}"

    @contextmanager
    def open_destination(self) -> Iterator[Any]:
        credentials = redshift_credentials()
        self.check_lease()
        # Imported here because it needs psycopg2, which only the extra `redshift` installs.
        from refersion_dagster.warehouse.dlt_internals.redshift import utc_destination

        yield utc_destination(credentials)

    def prepare(self, source: DltSource) -> DltSource:
        """dlt has no MERGE for Redshift: it deletes and inserts in one transaction.

        Conversions are spread by their id, by which they are merged and joined, and sorted by time.
        """
        for name, resource in source.resources.items():
            resource.apply_hints(write_disposition={"disposition": "merge", "strategy": "delete-insert"})
            if name == CONVERSIONS.name:
                resource.apply_hints(
                    columns={"id": {"name": "id", "cluster": True}, "created": {"name": "created", "sort": True}}
                )
        return source

    def client(self) -> SqlClientBase[Any]:
        credentials = redshift_credentials()
        from refersion_dagster.warehouse.dlt_internals.redshift import endpoint_client

        return endpoint_client(credentials, DATASET)

    def session_of(self, client: SqlClientBase[Any], read_only: bool) -> RedshiftSession:
        return RedshiftSession(client)

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return convert_error(error)

    def write_access(self, session: Session) -> WriteAccess:
        assert isinstance(session, RedshiftSession)  # noqa: S101 - always the session of this database
        return WriteAccess(session.may_write(), HOW_TO_GRANT, lease_holder(session))
