"""A journal in a SQLite file of this machine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dlt.destinations.exceptions import DatabaseTerminalException

from refersion_dagster.errors import ReportedError
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.file_lock import file_lock
from refersion_dagster.warehouse.session import Row, UndefinedTable
from refersion_dagster.warehouse.sql import Value

# "rfsj", SQLite's application id of the file.
APPLICATION = 0x7266736A
# How long one process waits for the commit of another.
BUSY_SECONDS = 30
ADVICE: Mapping[str, str] = {
    "SQLITE_FULL": "The disk is full.",
    "SQLITE_NOTADB": "The file is damaged or belongs to another program. Restore it from a backup, or correct "
    "REFERSION_JOURNAL.",
    "SQLITE_BUSY": f"Another process has locked it for more than {BUSY_SECONDS} s.",
}


class JournalUnusable(ReportedError):
    """The file of the journal cannot be used. The message says why and what to do."""


@dataclass(frozen=True)
class SQLiteStore:
    """A SQLite file. It has to be on a local disk, because SQLite's locks do not hold on many network drives."""

    path: Path

    @property
    def location(self) -> str:
        return str(self.path)

    @contextmanager
    def session(self) -> Iterator[SQLiteSession]:
        """A separate connection. The file is not created before `create_schema`."""
        session = SQLiteSession(self.path)
        try:
            yield session
        finally:
            session.close()

    @contextmanager
    def write_lock(self, timeout: float, tell: Callable[[str], None]) -> Iterator[None]:
        """The right to write, for one run on this machine at a time. Raises WarehouseBusy."""
        if not self.path.parent.is_dir():
            raise JournalUnusable(f"The folder {self.path.parent} of the journal does not exist. Create it, or correct "
                                  "REFERSION_JOURNAL.")  # fmt: skip
        try:
            with file_lock(self.path, timeout, tell):
                yield
        except PermissionError as error:
            raise _unusable(self.path, error) from error


class SQLiteSession:
    """One connection. The file is attached as the schema of the journal, so that the statements are the warehouses'.

    Errors are dlt's, as those of a Session: UndefinedTable, and DatabaseException with "duplicate key". Everything else
    raises JournalUnusable. Each commit is on the disk before it returns.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(":memory:", timeout=BUSY_SECONDS, isolation_level=None, uri=True)
        if path.exists():
            self._attach()

    def close(self) -> None:
        self._connection.close()

    def query(self, sql: str, **parameters: Value) -> list[Row]:
        """Runs one statement that SQLite shares with DuckDB, with values for its `$name`s, and returns its rows."""
        return self._execute(sql, {name: _plain(value) for name, value in parameters.items()})

    def create_schema(self, schema: str) -> None:
        """Creates the file if there is none."""
        assert schema == DATASET  # noqa: S101 - the journal has no other
        if not self._path.exists():
            try:
                # Requests contain names and e-mail addresses: no other user of this machine may read them.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            except OSError as error:
                raise _unusable(self._path, error) from error
            self._attach()
        self._execute(f"PRAGMA {DATASET}.application_id = {APPLICATION}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements in the context, or none of them. They are on the disk at the end."""
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite itself rolls back if the disk is full
                self._execute("ROLLBACK")
            raise

    def _attach(self) -> None:
        self._execute(f"ATTACH $path AS {DATASET}", {"path": f"{self._path.as_uri()}?mode=rw"})
        ((application,),) = self._execute(f"PRAGMA {DATASET}.application_id")
        ((tables,),) = self._execute(f"SELECT count(*) FROM {DATASET}.sqlite_master")  # noqa: S608 - name of ours
        if application != APPLICATION and (application or tables):
            self.close()
            raise JournalUnusable(
                f"{self._path} is a database of another program. Set REFERSION_JOURNAL to another file."
            )
        # A rollback journal, so that a backup is one file. With EXTRA, a commit survives a loss of power, too.
        self._execute(f"PRAGMA {DATASET}.journal_mode = DELETE")
        self._execute(f"PRAGMA {DATASET}.synchronous = EXTRA")

    def _execute(self, sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        try:
            return self._connection.execute(sql, values or {}).fetchall()
        except sqlite3.IntegrityError as error:
            raise DatabaseTerminalException(ValueError(f"duplicate key: {error}")) from error
        except sqlite3.Error as error:
            if "no such table" in str(error):
                raise UndefinedTable(error) from error
            raise _unusable(self._path, error) from error


def _plain(value: Value) -> Any:
    """A value as SQLite stores it. Times are text in UTC, all of one length, so that their order is that of time."""
    return value.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(value, datetime) else value


def _unusable(path: Path, error: Exception) -> JournalUnusable:
    name = getattr(error, "sqlite_errorname", "")
    advice = next((words for code, words in ADVICE.items() if name.startswith(code)), None)
    return JournalUnusable(
        f"The journal {path} cannot be used: {error}. "
        f"{advice or 'Check the disk and the permissions of file and folder.'}"
    )
