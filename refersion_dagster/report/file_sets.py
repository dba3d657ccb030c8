"""Sets of files that are swapped in atomically, so that a reader never sees an incomplete set.

    refersion_published/
      current -> versions/20260701T000001000000Z-1a2b3c4d
      versions/20260701T000001000000Z-1a2b3c4d/

A set is written to a temporary folder and renamed, and then the link is switched to it in one step. Readers with open
files of an older set can continue, because the last few sets are kept. In a bucket, a file replaces the link; see
bucket_sets.py.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from refersion_dagster.report.bucket_sets import NAME_FORMAT, UNFINISHED_AFTER, current_in_bucket, upload_set
from refersion_dagster.report.storage import Folder

# Affiliates' earnings are confidential: the owner reads and writes, the group only reads.
FILE_MODE, FOLDER_MODE = 0o640, 0o750


@dataclass(frozen=True)
class FileSet:
    """A set that is being written.

    Args:
        building: local folder to write its files to.
        done: folder of the complete set.
        shown: folder that people open: in a bucket the folder of this set, otherwise the link.
    """

    building: Path
    done: Folder
    shown: Folder


@contextmanager
def replace_set(link: Folder, versions: Folder, run_id: str, kept: int) -> Iterator[FileSet]:
    """Yields a set to write inside the `with`, then switches `link` to it in one step.

    Args:
        link: the path that readers open.
        versions: folder of the sets, on the same disk and below the link's folder.
        kept: number of sets to keep, including the new one.

    Raises OSError, or StorageError for a bucket; after any error the link is unchanged.
    """
    now = datetime.now(UTC)
    name = f"{now.strftime(NAME_FORMAT)}-{run_id[:8]}"
    if isinstance(link, Path) and isinstance(versions, Path):
        with _replace_local_set(link, versions, name, kept, now) as files:
            yield files
    elif not isinstance(link, Path) and not isinstance(versions, Path):
        done = versions / name
        with tempfile.TemporaryDirectory(prefix="refersion-") as building:
            yield FileSet(Path(building), done, done)
            upload_set(Path(building), done, link, kept)


def current_set(link: Folder) -> Folder | None:
    """Returns the folder of the set that `link` points to; None if there is none. Raises StorageError."""
    if not isinstance(link, Path):
        return current_in_bucket(link)
    return link.resolve() if link.exists() else None


@contextmanager
def _replace_local_set(link: Path, versions: Path, name: str, kept: int, now: datetime) -> Iterator[FileSet]:
    """Yields a local set. After any error, its files are removed."""
    for folder in (versions.parent, versions):
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=versions))
    done = versions / name
    try:
        yield FileSet(building, done, link)
        for file in building.rglob("*"):
            file.chmod(FOLDER_MODE if file.is_dir() else FILE_MODE)
        building.chmod(FOLDER_MODE)
        building.rename(done)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    _point(link, done)
    _clear(versions, done, kept, now)


def _point(link: Path, to: Path) -> None:
    """Points `link` to the folder in one step, whether or not it exists."""
    fresh = link.with_name(f".{link.name}-{to.name}")
    fresh.symlink_to(to.relative_to(link.parent), target_is_directory=True)
    fresh.replace(link)


def _clear(versions: Path, keep: Path, kept: int, now: datetime) -> None:
    """Removes all but the newest sets, and unfinished sets that are older than UNFINISHED_AFTER."""
    done = sorted(folder for folder in versions.iterdir() if not folder.name.startswith("."))
    for folder in done[:-kept]:
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in versions.glob(".building-*"):
        if now - datetime.fromtimestamp(folder.stat().st_mtime, UTC) > UNFINISHED_AFTER:
            shutil.rmtree(folder, ignore_errors=True)
