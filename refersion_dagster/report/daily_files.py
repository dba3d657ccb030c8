"""Daily files: one is kept for each day, and the newest also has a fixed name.

    refersion_reports/
      commissions-2026-06-30.html
      commissions-2026-07-01.html
      latest.html

Each file is written under a temporary name and then renamed, so that a reader always gets a complete file, new or old.
In a bucket, one request replaces the file. Files of earlier days stay; a second file of the same day replaces the
first.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from refersion_dagster.report.bucket_sets import write_file
from refersion_dagster.report.file_sets import FILE_MODE, FOLDER_MODE
from refersion_dagster.report.storage import Folder

LATEST = "latest.html"


@dataclass(frozen=True)
class DailyFile:
    """The file of the day, and the newest file, with the same content."""

    of_day: Folder
    latest: Folder


def keep(folder: Folder, name: str, day: date, html: str) -> DailyFile:
    """Writes the file of a day and makes it the newest one.

    Raises OSError, or StorageError for a bucket; existing files are never damaged.
    """
    if isinstance(folder, Path):
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    kept = DailyFile(folder / f"{name}-{day:%Y-%m-%d}.html", folder / LATEST)
    for file in (kept.of_day, kept.latest):
        if isinstance(file, Path):
            _replace(file, html.encode())
        else:
            write_file(file, html.encode())
    return kept


def _replace(file: Path, content: bytes) -> None:
    number, path = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    fresh = Path(path)
    try:
        with os.fdopen(number, "wb") as writing:
            writing.write(content)
            writing.flush()
            # Without this, a power loss could leave an empty file under the final name.
            os.fsync(writing.fileno())
        fresh.chmod(FILE_MODE)
        fresh.replace(file)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
