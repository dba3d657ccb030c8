"""The interface of every database that tables can be loaded into."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dlt.extract.source import DltSource

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.session import Session

SUMMARIES = "refersion_summaries"


@dataclass(frozen=True)
class Schemas:
    """The names of an account's schemas in a database: of its raw tables and of its summaries."""

    data: str
    summaries: str


SCHEMAS = Schemas(DATASET, SUMMARIES)


@dataclass(frozen=True)
class WriteAccess:
    """Who may write to a database, and who is writing now.

    Args:
        is_granted: whether the session's user may create what a refresh creates.
        how_to_grant: what an administrator has to do.
        writer: a description of the run that is writing now; empty if there is none.
    """

    is_granted: bool
    how_to_grant: str
    writer: str


class Database(Protocol):
    """A database. To add one, write a class and a dialect, and add an entry to `registry`."""

    @property
    def file(self) -> Path | None:
        """The local file that holds the whole database; None for a server."""
        ...

    @property
    def enforces_keys(self) -> bool:
        """Whether it rejects a second row with the same primary key from any writer."""
        ...

    @property
    def location(self) -> str:
        """The location as text, without credentials."""
        ...

    @property
    def exists(self) -> bool:
        """Whether the database exists and can be read."""
        ...

    def open_destination(self) -> AbstractContextManager[Any]:
        """dlt's destination, for the loads in the context."""
        ...

    def prepare(self, source: DltSource) -> DltSource:
        """The source with the load strategy that is safe and fast in this database."""
        ...

    def session(self, read_only: bool = False) -> AbstractContextManager[Session]:
        """A separate connection. A read-only one changes nothing and creates no file."""
        ...

    def write_lock(self, timeout: float, tell: Callable[[str], None]) -> AbstractContextManager[None]:
        """The right to write, for one run at a time. Raises WarehouseBusy after `timeout` seconds."""
        ...

    def write_access(self, session: Session) -> WriteAccess:
        """Who may write, and who is writing now."""
        ...

    def classify_error(self, error: BaseException) -> WarehouseError | None:
        """The warehouse error behind an error of a load; None if the database did not cause it."""
        ...
