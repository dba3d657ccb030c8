"""Finds the process that holds the DuckDB file or the lock file of a run."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock, Timeout

from refersion_dagster.warehouse.duckdb.database import LOCK_HOLDER

PID = re.compile(r"\(PID (\d+)\)")
# Linux's struct flock on 64 bits: type, whence, start, length, pid.
FLOCK = "hhqqi4x"


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock.

    Args:
        pid: None if unknown.
        program: what it runs, without arguments, because these may contain secrets.
    """

    pid: int | None
    program: str | None

    def __str__(self) -> str:
        if self.pid is None:
            return "an unknown process"
        return f"process {self.pid} ({self.program})" if self.program else f"process {self.pid}"

    def as_json(self) -> dict[str, Any]:
        return {"pid": self.pid, "program": self.program}


def duckdb_holder(path: Path) -> Holder | None:
    """Returns the process that has the database open, even as a reader, and so blocks writers; None if none does."""
    if sys.platform == "linux":
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        with path.open("rb") as file:
            kind, _, _, _, pid = struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
        return None if kind == fcntl.F_UNLCK else _holder(pid)
    try:
        duckdb.connect(str(path), read_only=True).close()
    except duckdb.IOException as error:
        if LOCK_HOLDER.search(str(error)):
            found = PID.search(str(error))
            return _holder(int(found[1]) if found else None)
    return None


def lock_holder(lock: Path) -> Holder | None:
    """Returns the run that holds a lock file; None if there is none. It does not create the lock file."""
    if not lock.exists():
        return None
    attempt = FileLock(lock)
    try:
        attempt.acquire(timeout=0)
    except Timeout:
        return _holder(_pid_of(lock))
    attempt.release()
    return None


def _pid_of(lock: Path) -> int | None:
    """Looks up the process in /proc/locks by inode (Linux only)."""
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    inode = str(lock.stat().st_ino)
    for line in lines:
        fields = line.replace("->", "").split()
        if len(fields) > 5 and fields[5].rpartition(":")[2] == inode and fields[4].isdigit():
            return int(fields[4])
    return None


def _holder(pid: int | None) -> Holder:
    """Describes a process. A pid of 0 or less means a process in another container, which is unknown here."""
    if not pid or pid < 0:
        return Holder(None, None)
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        words = []
    # For Python, the first argument is the program unless it is an option.
    program = [Path(word).name for word in words[:2] if word and not word.startswith("-")]
    return Holder(pid, " ".join(program) or None)
