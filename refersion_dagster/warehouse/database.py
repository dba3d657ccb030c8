"""What every database that tables can land in offers, and which there are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from dlt.extract.source import DltSource

from refersion_dagster.settings import InvalidSetting, WarehouseSettings
from refersion_dagster.warehouse.duckdb.database import DuckDBDatabase
from refersion_dagster.warehouse.errors import WarehouseError, WarehouseNotSet
from refersion_dagster.warehouse.postgres.database import PostgresDatabase
from refersion_dagster.warehouse.session import Session


class Database(Protocol):
    """A database. A further one is a class like these two, and an entry in `database`."""

    @property
    def location(self) -> str:
        """Where it is, in words and without credentials."""
        ...

    @property
    def exists(self) -> bool:
        """Whether there is something to read from."""
        ...

    def loading(self) -> AbstractContextManager[Any]:
        """dlt's destination, for the loads within."""
        ...

    def prepare(self, source: DltSource) -> DltSource:
        """The source, loaded the way that is safe and fast in this database."""
        ...

    def session(self, read_only: bool = False) -> AbstractContextManager[Session]:
        """A separate connection; a read-only one changes nothing and creates no file."""
        ...

    def exclusive(self, timeout: float, tell: Callable[[str], None]) -> AbstractContextManager[None]:
        """The right to write, for one run at a time. Raises WarehouseBusy after `timeout` seconds."""
        ...

    def classify_error(self, error: BaseException) -> WarehouseError | None:
        """What an error of a load comes down to; None when it is none of the database's."""
        ...


def database(destination: str, duckdb_path: str, duckdb_memory: str) -> Database:
    """The database of these settings. Raises WarehouseNotSet for a destination that there is not."""
    try:
        settings = WarehouseSettings.of({WarehouseSettings.variable("destination"): destination})
    except InvalidSetting as error:
        raise WarehouseNotSet(str(error)) from None
    if settings.destination == "duckdb":
        return DuckDBDatabase(Path(duckdb_path).expanduser().resolve(), duckdb_memory)
    return PostgresDatabase()
