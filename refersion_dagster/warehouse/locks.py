"""One writer at a time, whatever process it runs in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from refersion_dagster.warehouse.session import Session

POLL_SECONDS = 0.5
# DuckDB's words when another process has the file open, e.g. "Conflicting lock is held in /usr/bin/duckdb (PID 4711)".
LOCK_HOLDER = re.compile(r"Conflicting lock is held in (.+?\(PID \d+\))")
# The advisory lock of PostgreSQL that stands for "a run writes to refersion_data": any number, always the same.
ADVISORY_LOCK = 7_381_026_455


class WarehouseBusy(Exception):
    """Another program went on using the warehouse for longer than this run was to wait."""


@contextmanager
def duckdb_writer(path: Path, timeout: float, tell: Callable[[str], None]) -> Iterator[None]:
    """The right to write to a DuckDB file, which takes one writing process: runs of any process queue up here.

    Raises WarehouseBusy after `timeout` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + timeout
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell(f"Another run is writing to {path}; waiting for it, {timeout} s at most.")
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            raise WarehouseBusy(
                f"Another run still holds {path}.lock after {timeout} s. Wait for that run "
                "to end or stop it, then start this one again; nothing was written."
            ) from None
    try:
        with _held(path, timeout, deadline, tell):
            yield
    finally:
        lock.release()


@contextmanager
def _held(path: Path, timeout: float, deadline: float, tell: Callable[[str], None]) -> Iterator[None]:
    """The file open for writing, so that no reader of another process comes between two steps of a run."""
    told = False
    while True:
        try:
            connection = duckdb.connect(str(path))
            break
        except duckdb.IOException as error:
            holder = LOCK_HOLDER.search(str(error))
            if holder is None:
                raise
            if time.monotonic() >= deadline:
                raise WarehouseBusy(
                    f"{path} is still open in another program ({holder[1]}) after {timeout} s, "
                    "and DuckDB lets nobody write meanwhile. Close it there, then start this run again; nothing "
                    "was written."
                ) from None
            if not told:
                tell(
                    f"{path} is open in another program ({holder[1]}), and DuckDB lets nobody write meanwhile; "
                    f"waiting for it to be closed, {timeout} s at most."
                )
                told = True
            time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        connection.close()


@contextmanager
def postgres_writer(session: Session, timeout: float, tell: Callable[[str], None]) -> Iterator[None]:
    """The right to write to a PostgreSQL database: dlt merges through a staging schema that two loads cannot share.

    The lock is the session's, so that a run that dies gives it back. Raises WarehouseBusy after `timeout` seconds.
    """
    deadline, told = time.monotonic() + timeout, False
    while session.query(f"SELECT pg_try_advisory_lock({ADVISORY_LOCK})") != [(True,)]:
        if time.monotonic() >= deadline:
            raise WarehouseBusy(
                f"Another run still writes to the warehouse after {timeout} s. Wait for that run to end or stop it, "
                "then start this one again; nothing was written."
            )
        if not told:
            tell(f"Another run is writing to the warehouse; waiting for it, {timeout} s at most.")
            told = True
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        session.query(f"SELECT pg_advisory_unlock({ADVISORY_LOCK})")
