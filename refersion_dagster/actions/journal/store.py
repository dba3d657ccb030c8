"""Where the journal is: in the warehouse, or in a store that REFERSION_JOURNAL names.

Many warehouses do not enforce primary keys, and without them two runs could send the same item. Their journal is in a
SQLite file or in a PostgreSQL database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from refersion_dagster.actions.journal.journal import Journal, JournalSession
from refersion_dagster.actions.journal.sqlite_store import SQLiteStore
from refersion_dagster.errors import ReportedError
from refersion_dagster.resources import Warehouse
from refersion_dagster.settings import InvalidSetting, WarehouseSettings
from refersion_dagster.settings.values import SQLITE
from refersion_dagster.warehouse.errors import WarehouseNotSet
from refersion_dagster.warehouse.postgres.credentials import credentials_of_address
from refersion_dagster.warehouse.postgres.database import JOURNAL_LOCK, PostgresDatabase
from refersion_dagster.warehouse.renamed_session import RenamedSession
from refersion_dagster.warehouse.session import Session

VARIABLE = WarehouseSettings.variable("journal")


class TwoJournals(ReportedError):
    """The warehouse has a journal of its own, and another one is set. Items of one could be sent again by the other."""


class JournalStore(Protocol):
    """A database outside of the warehouse that enforces primary keys."""

    @property
    def location(self) -> str:
        """The location as text, without credentials."""
        ...

    def session(self) -> AbstractContextManager[JournalSession]:
        """A separate connection."""
        ...

    def write_lock(self, timeout: float, tell: Callable[[str], None]) -> AbstractContextManager[None]:
        """The right to write, for one run at a time. Raises WarehouseBusy after `timeout` seconds."""
        ...


class PostgresStore:
    """A PostgreSQL database. Where the warehouse's schemas have other names, that of the journal has, too.

    Args:
        address: postgresql://user:password@host:5432/database
    """

    def __init__(self, address: str, schemas: Mapping[str, str]) -> None:
        self._database = PostgresDatabase(lambda: credentials_of_address(address, VARIABLE), JOURNAL_LOCK)
        self._schemas = schemas

    @property
    def location(self) -> str:
        return self._database.location

    @contextmanager
    def session(self) -> Iterator[Session]:
        with self._database.session() as session:
            yield RenamedSession(session, self._schemas) if self._schemas else session

    def write_lock(self, timeout: float, tell: Callable[[str], None]) -> AbstractContextManager[None]:
        return self._database.write_lock(timeout, tell)


def find_store(warehouse: Warehouse) -> JournalStore | None:
    """Returns the store that REFERSION_JOURNAL names; None if the journal is in the warehouse.

    Raises WarehouseNotSet for an invalid address, without repeating it.
    """
    try:
        address = WarehouseSettings.of({}, journal=warehouse.journal or None).journal
    except InvalidSetting as error:
        raise WarehouseNotSet(str(error)) from None
    if address is None:
        return None
    text = address.get_secret_value()
    if text.startswith(SQLITE):
        return SQLiteStore(Path(text.removeprefix(SQLITE)).expanduser().resolve())
    store = PostgresStore(text, warehouse.schemas)
    return None if store.location == warehouse.location else store


@contextmanager
def journal_of(warehouse: Warehouse, session: Session, tell: Callable[[str], None]) -> Iterator[Journal]:
    """The journal of a warehouse, which no other run writes to in the meantime.

    The caller holds the warehouse's write lock. The journal's own one holds even if a lease of the warehouse is lost.

    Raises TwoJournals if the warehouse has a journal of its own, and another one is set.

    Args:
        session: a session of the warehouse.
    """
    store = find_store(warehouse)
    if store is None:
        yield Journal(session)
        return
    if warehouse.database.enforces_keys and (entries := len(Journal(session).attempts())):
        raise TwoJournals(
            f"Nothing was sent: {VARIABLE} names the journal {store.location}, but there is one in the warehouse "
            f"{warehouse.location} with {entries} entries. Move them: refersion-dagster actions move-journal"
        )
    with store.write_lock(warehouse.lock_timeout_seconds, tell), store.session() as own:
        yield Journal(own)
