"""The right to write to a file, for one run on this machine at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from refersion_dagster.warehouse.errors import WarehouseBusy


@contextmanager
def file_lock(path: Path, timeout: float, tell: Callable[[str], None]) -> Iterator[None]:
    """Runs of any process queue at a lock file next to the file. Raises WarehouseBusy after `timeout` seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell(f"Another run is writing to {path}; waiting for it, up to {timeout} s.")
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            raise WarehouseBusy(
                f"Another run still holds {path}.lock after {timeout} s. Wait for that run to finish, or stop it, then "
                "start this one again. Nothing was written."
            ) from None
    try:
        yield
    finally:
        lock.release()
