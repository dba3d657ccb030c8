"""What every database that tables can land in offers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dlt.extract.source import DltSource

from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.session import Session


@dataclass(frozen=True)
class WriteAccess:
    """Who may write to a database, and who does.

    Args:
        is_granted: whether the user of the session may create what a refresh creates.
        how_to_grant: what an administrator does about it.
        writer: the run that writes now, in words; empty where none does.
    """

    is_granted: bool
    how_to_grant: str
    writer: str


class Database(Protocol):
    """A database. A further one is a class, a dialect, and an entry in `registry`."""

    @property
    def file(self) -> Path | None:
        """The file of this machine that holds all of it; None for a server."""
        ...

    @property
    def enforces_keys(self) -> bool:
        """Whether it refuses a second row of the same primary key, whoever writes it."""
        ...

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

    def write_access(self, session: Session) -> WriteAccess:
        """Who may write, and who does."""
        ...

    def classify_error(self, error: BaseException) -> WarehouseError | None:
        """What an error of a load comes down to; None when it is none of the database's."""
        ...
