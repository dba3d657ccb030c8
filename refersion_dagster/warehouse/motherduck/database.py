"""MotherDuck as a warehouse: the database from dlt's own configuration, and write access."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dlt.destinations.sql_client import SqlClientBase
from dlt.extract.source import DltSource

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.database import WriteAccess
from refersion_dagster.warehouse.dlt_internals.motherduck import (
    MotherDuckCredentials,
    cloud_client,
    cloud_destination,
)
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.lease import lease_holder
from refersion_dagster.warehouse.motherduck.credentials import motherduck_credentials, without_token
from refersion_dagster.warehouse.motherduck.errors import HOW_TO_GRANT, convert_motherduck_error
from refersion_dagster.warehouse.motherduck.session import MotherDuckSession
from refersion_dagster.warehouse.server.leased import LeasedDatabase
from refersion_dagster.warehouse.session import Session


class MotherDuckDatabase(LeasedDatabase):
    """A MotherDuck database.

    Args:
        credentials: how to get them; defaults to dlt's configuration.
    """

    # MotherDuck says that it does. No actions are sent from there until this has been tried with two concurrent runs.
    enforces_keys = False

    def __init__(self, credentials: Callable[[], MotherDuckCredentials] = motherduck_credentials) -> None:
        self._credentials = credentials

    @property
    def location(self) -> str:
        return f"md:{self._credentials().database}"

    @contextmanager
    def open_destination(self) -> Iterator[Any]:
        credentials = self._credentials()
        self.check_lease()
        yield cloud_destination(credentials)

    def prepare(self, source: DltSource) -> DltSource:
        """Merge in one transaction: delete by key, then insert."""
        for resource in source.resources.values():
            resource.apply_hints(write_disposition={"disposition": "merge", "strategy": "delete-insert"})
        return source

    def client(self) -> SqlClientBase[Any]:
        return cloud_client(self._credentials(), DATASET)

    def session_of(self, client: SqlClientBase[Any], read_only: bool) -> MotherDuckSession:
        return MotherDuckSession(client, self.convert_error)

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        credentials = self._credentials()
        problem = convert_motherduck_error(error, self.location)
        return type(problem)(without_token(str(problem), credentials)) if problem else None

    def write_access(self, session: Session) -> WriteAccess:
        assert isinstance(session, MotherDuckSession)  # noqa: S101 - always the session of this database
        return WriteAccess(session.may_write(), HOW_TO_GRANT, lease_holder(session))
