"""A database on a server."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlt.destinations.sql_client import SqlClientBase

from refersion_dagster.warehouse.disk import disk_is_full
from refersion_dagster.warehouse.errors import WarehouseError, WarehouseFull
from refersion_dagster.warehouse.server.session import ServerSession


class ServerDatabase(ABC):
    """A database on a server, named by dlt's configuration. Every use raises WarehouseNotSet if it names none."""

    enforces_keys: bool = True

    @property
    def file(self) -> None:
        return None

    @property
    def exists(self) -> bool:
        return True

    @property
    @abstractmethod
    def location(self) -> str:
        """The location as text, without credentials."""

    @abstractmethod
    def client(self) -> SqlClientBase[Any]:
        """dlt's client for it, not yet connected."""

    @abstractmethod
    def session_of(self, client: SqlClientBase[Any], read_only: bool) -> ServerSession:
        """The session for a connected client."""

    @abstractmethod
    def convert_error(self, error: BaseException) -> WarehouseError | None:
        """The warehouse error for an error of the server or of the connection; None for an error in the statement."""

    @contextmanager
    def session(self, read_only: bool = False) -> Iterator[ServerSession]:
        """Raises WarehouseUnreachable and WarehouseForbidden."""
        client = self.client()
        try:
            client.open_connection()
        except Exception as error:
            problem = self.convert_error(error)
            if problem is None:
                raise
            raise problem from None
        try:
            yield self.session_of(client, read_only)
        finally:
            client.close_connection()

    def classify_error(self, error: BaseException) -> WarehouseError | None:
        if found := self.convert_error(error):
            return found
        if disk_is_full(error):
            return WarehouseFull(
                f"There is no space left for temporary files in {tempfile.gettempdir()}. The tables are "
                "unchanged. Free disk space and run again."
            )
        return None
