"""The inbox's file: opens it with durable commits, and converts its errors to messages."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refersion_dagster.errors import ReportedError

# "rfsn", SQLite's application id of the file.
APPLICATION = 0x7266736E
VERSION = 1
# How long one process waits for the commit of another.
BUSY_SECONDS = 5

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS events (
      seq INTEGER PRIMARY KEY AUTOINCREMENT,
      event_id BLOB NOT NULL UNIQUE,
      topic TEXT NOT NULL,
      received_at INTEGER NOT NULL,  -- microseconds since 1970, UTC
      body BLOB,                     -- NULL once drained
      drained_at INTEGER             -- likewise, NULL until then
    )
    """,
    "CREATE INDEX IF NOT EXISTS events_by_drained ON events (drained_at)",
    "CREATE TABLE IF NOT EXISTS counts (kind TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
)


class InboxError(ReportedError):
    """The inbox cannot be used. The message says why and what to do. Nothing was added, and nothing is lost."""


class NoInbox(InboxError):
    """There is no inbox at this path."""


def open_file(path: Path, *, create: bool, max_bytes: int | None) -> sqlite3.Connection:
    """A connection to the inbox at `path`; see Inbox."""
    if create:
        with convert_errors(path, "cannot be created"):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Raw events contain customers' names and addresses: no other user of this machine may read them.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    elif not path.exists():
        raise NoInbox(f"The webhook inbox {path} does not exist.")
    with convert_errors(path, "cannot be opened"):
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, path, max_bytes)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, max_bytes: int | None) -> None:
    application, version, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application != APPLICATION and (tables or application):
        raise InboxError(f"{path} is a database of another program. Use another file for the webhook inbox.")
    if version > VERSION:
        raise InboxError(f"{path} was written by a newer version of this program. Update this installation.")
    # A response to Refersion is a promise: each commit is on disk (fsync) before the response.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    if max_bytes is not None:
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page_size)}")
    if version < VERSION:
        with transaction(connection):
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Runs all statements inside or none of them. They are on disk on exit."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back if the disk is full
            connection.execute("ROLLBACK")
        raise


@contextmanager
def convert_errors(path: Path, what: str) -> Iterator[None]:
    """Converts SQLite's and the system's errors to InboxError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            advice = (
                "The disk is full, or the inbox has reached its maximum size. Load its events, or increase the limit."
            )
        elif name.startswith("SQLITE_BUSY"):
            advice = f"Another process has locked it for more than {BUSY_SECONDS} s."
        elif name in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            advice = "The file is damaged or belongs to another program. Move it away; a new one will be created."
        else:
            advice = "Check the disk and the permissions of file and folder."
        raise InboxError(f"The webhook inbox {path} {what}: {error}. {advice}") from error
