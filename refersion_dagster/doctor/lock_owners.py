"""Which process holds the DuckDB file, or the lock that a run takes beside it."""

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
# struct flock of Linux on 64 bits: type, whence, start, length, pid.
FLOCK = "hhqqi4x"


@dataclass(frozen=True)
class Holder:
    """A process, as far as it is known.

    Args:
        pid: None if the system does not say.
        program: what it runs, without its arguments: these may hold secrets.
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
    """The program that has the database open and so keeps writers out, be it as a reader; None where none has."""
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
    """The run that holds a lock file; None where none does. A lock file that is not there is not made."""
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
    """Linux tells in /proc/locks, by inode; other systems do not."""
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
    """Of a process of another container, of which the system tells a pid of 0 or less, nothing is known."""
    if not pid or pid < 0:
        return Holder(None, None)
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        words = []
    # Python's first argument is the program that it runs, unless it is an option.
    program = [Path(word).name for word in words[:2] if word and not word.startswith("-")]
    return Holder(pid, " ".join(program) or None)
