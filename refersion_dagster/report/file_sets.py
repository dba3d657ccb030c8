"""Sets of files that are swapped in as a whole, so that a reader never meets half a set.

    refersion_published/
      current -> versions/20260701T000001000000Z-1a2b3c4d
      versions/20260701T000001000000Z-1a2b3c4d/

A set is written under another name, and a link then points to it, in one step. Whoever has files of an older set open
goes on reading them; the last few sets are kept.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

# Affiliates' earnings are confidential: the owner writes, the group reads.
FILE_MODE, FOLDER_MODE = 0o640, 0o750


@dataclass(frozen=True)
class FileSet:
    """A set while it is written.

    Args:
        building: the folder to write its files to.
        done: the folder they are in once the set is complete.
    """

    building: Path
    done: Path


@contextmanager
def swapped_in(link: Path, versions: Path, run_id: str, kept: int) -> Iterator[FileSet]:
    """A set to be written inside the `with`; `link` points to it afterwards, in one step.

    Args:
        link: what readers open.
        versions: folder of the sets, on the same disk and below the link's folder.
        kept: number of sets that are kept, the new one among them.

    Raises OSError; after any error the link is unchanged and nothing of the new set is left.
    """
    now = datetime.now(UTC)
    for folder in (versions.parent, versions):
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=versions))
    done = versions / f"{now:%Y%m%dT%H%M%S%fZ}-{run_id[:8]}"
    try:
        yield FileSet(building, done)
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
    """Makes `link` point to the folder, in one step whether or not it is there."""
    fresh = link.with_name(f".{link.name}-{to.name}")
    fresh.symlink_to(to.relative_to(link.parent), target_is_directory=True)
    fresh.replace(link)


def _clear(versions: Path, keep: Path, kept: int, now: datetime) -> None:
    """Removes all but the newest sets, and what runs that were stopped left unfinished a day ago or longer."""
    done = sorted(folder for folder in versions.iterdir() if not folder.name.startswith("."))
    for folder in done[:-kept]:
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in versions.glob(".building-*"):
        if now - datetime.fromtimestamp(folder.stat().st_mtime, UTC) > timedelta(days=1):
            shutil.rmtree(folder, ignore_errors=True)
