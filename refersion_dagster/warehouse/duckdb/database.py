"""DuckDB as a warehouse: one file, which only one process at a time can write to."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError
from dlt.extract.source import DltSource

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.settings import WarehouseSettings
from refersion_dagster.warehouse.database import WriteAccess
from refersion_dagster.warehouse.disk import disk_is_full
from refersion_dagster.warehouse.dlt_internals.duckdb import file_client
from refersion_dagster.warehouse.duckdb.destination import (
    MEMORY_VARIABLE,
    find_newer_version,
    open_destination,
    open_file,
)
from refersion_dagster.warehouse.errors import WarehouseBusy, WarehouseError, WarehouseFull
from refersion_dagster.warehouse.file_lock import file_lock
from refersion_dagster.warehouse.session import Session

POLL_SECONDS = 0.5
# DuckDB's message if another process has the file open, e.g. "Conflicting lock is held in /usr/bin/duckdb (PID 4711)".
LOCK_HOLDER = re.compile(r"Conflicting lock is held in (.+?\(PID \d+\))")


@dataclass(frozen=True)
class DuckDBDatabase:
    """A DuckDB file.

    Args:
        memory: the memory that DuckDB may use during a load.
    """

    path: Path
    memory: str = WarehouseSettings.default("duckdb_memory")

    @property
    def location(self) -> str:
        return str(self.path)

    @property
    def file(self) -> Path:
        return self.path

    @property
    def enforces_keys(self) -> bool:
        return True

    @property
    def exists(self) -> bool:
        return self.path.exists()

    @contextmanager
    def open_destination(self) -> Iterator[Any]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open_destination(str(self.path), self.memory, stays_open=True) as destination:
            yield destination

    def prepare(self, source: DltSource) -> DltSource:
        return source

    @contextmanager
    def session(self, read_only: bool = False) -> Iterator[Session]:
        if not read_only:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        client = file_client(str(self.path), DATASET, read_only=read_only)
        try:
            client.open_connection()
        except DestinationConnectionError as error:
            if newer := find_newer_version(self.location, error):
                raise newer from None
            raise
        try:
            yield Session(client)
        except DatabaseException as error:
            if disk_is_full(error):
                raise self._make_full_error() from error
            raise
        finally:
            client.close_connection()

    @contextmanager
    def write_lock(self, timeout: float, tell: Callable[[str], None]) -> Iterator[None]:
        """Runs of any process queue at a lock file next to the database. Also waits for readers to close the file."""
        deadline = time.monotonic() + timeout
        with file_lock(self.path, timeout, tell), self._hold(timeout, deadline, tell):
            yield

    @contextmanager
    def _hold(self, timeout: float, deadline: float, tell: Callable[[str], None]) -> Iterator[None]:
        """Hold the file open for writing, so that no reader of another process gets in between two steps of a run."""
        told = False
        while True:
            try:
                connection = open_file(str(self.path))
                break
            except duckdb.IOException as error:
                holder = LOCK_HOLDER.search(str(error))
                if holder is None:
                    raise
                if time.monotonic() >= deadline:
                    raise WarehouseBusy(
                        f"{self.path} is still open in another program ({holder[1]}) after {timeout} s, and "
                        "DuckDB allows no other writer in the meantime. Close it there, then start this run "
                        "again. Nothing was written."
                    ) from None
                if not told:
                    tell(
                        f"{self.path} is open in another program ({holder[1]}), and DuckDB allows no other writer "
                        f"in the meantime; waiting up to {timeout} s for it to be closed."
                    )
                    told = True
                time.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            connection.close()

    def write_access(self, session: Session) -> WriteAccess:
        """No other process can have the file open for writing while a session is open."""
        return WriteAccess(
            os.access(self.path, os.W_OK), f"Give the user that runs Dagster write permission on {self.path}.", ""
        )

    def classify_error(self, error: BaseException) -> WarehouseError | None:
        if disk_is_full(error):
            return self._make_full_error()
        if "Out of Memory" in str(error):  # DuckDB's message
            return WarehouseFull(
                "DuckDB reached its memory limit during the load. The tables are unchanged. Increase "
                f"{MEMORY_VARIABLE} (such as 1GB) and run again."
            )
        return None

    def _make_full_error(self) -> WarehouseFull:
        return WarehouseFull(
            f"There is no space left for {self.path} or for temporary files in {tempfile.gettempdir()}. No table is "
            "partly written. Free disk space and run again."
        )
