"""Files of which one is kept for each day; the newest also has a fixed name.

    refersion_reports/
      commissions-2026-06-30.html
      commissions-2026-07-01.html
      latest.html

Each is written under another name and then renamed, so that a reader meets a whole file or the one before, and never
half of one. In a bucket each is replaced by one request. Files of earlier days stay; another one of the same day takes
the place of the first.
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
    """The file of the day, and the newest, which says the same."""

    of_day: Folder
    latest: Folder


def keep(folder: Folder, name: str, day: date, html: str) -> DailyFile:
    """Writes the file of a day and makes it the newest one.

    Raises OSError, and StorageError for a bucket; a file that was there is never damaged.
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
            # Otherwise a machine that loses power may have renamed a file that is still empty.
            os.fsync(writing.fileno())
        fresh.chmod(FILE_MODE)
        fresh.replace(file)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
