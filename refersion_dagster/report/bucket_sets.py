"""Sets of files in a bucket. Buckets have no links, so a small file names the current set.

    s3://bucket/refersion/
      current.json          {"folder": "versions/20260701T…-1a2b3c4d", "earlier": ["versions/20260630T…-5e6f7a8b"]}
      versions/20260701T000001000000Z-1a2b3c4d/

A set is uploaded to a new folder, and `current.json` is then replaced by one request. A reader that gets the folder
from it always reads a complete set. The files of a set never change.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from upath import UPath

from refersion_dagster.report.storage import StorageError, storage_errors

NAME_FORMAT = "%Y%m%dT%H%M%S%fZ"
# Age at which unfinished sets of interrupted runs are removed.
UNFINISHED_AFTER = timedelta(days=1)


def pointer_of(link: UPath) -> UPath:
    """Returns the file that names the current set."""
    return link.with_name(f"{link.name}.json")


def current_in_bucket(link: UPath) -> UPath | None:
    """Returns the folder of the current set; None if there is none. Raises StorageError."""
    found = _list_sets(link)
    return link.parent / found[0] if found else None


def upload_set(building: Path, done: UPath, link: UPath, kept: int) -> None:
    """Uploads the files of a local folder and makes them the current set.

    Args:
        done: folder of the set in the bucket, inside the folder of all sets.
        kept: number of sets to keep, including this one.

    Raises StorageError; the previous set then stays current.
    """
    files = [file for file in sorted(building.rglob("*")) if file.is_file()]
    targets = [(done / file.relative_to(building).as_posix()).path for file in files]
    before = _list_sets(link)
    try:
        with storage_errors(done):
            done.fs.put([str(file) for file in files], targets)
    except BaseException:
        _remove(done)
        raise
    names = [done.relative_to(link.parent).as_posix(), *before][:kept]
    write_file(pointer_of(link), json.dumps({"folder": names[0], "earlier": names[1:]}).encode() + b"\n")
    _clear(done.parent, keep={_last(name) for name in names}, complete={_last(name) for name in before})


def write_file(file: UPath, content: bytes) -> None:
    """Writes or replaces a file atomically. Raises StorageError."""
    with storage_errors(file.parent):
        # One request: opening the file for writing would delete it first in some storages.
        file.fs.pipe_file(file.path, content)


def _list_sets(link: UPath) -> list[str]:
    """Returns the folders of the kept sets, the current one first."""
    file = pointer_of(link)
    with storage_errors(file.parent):
        try:
            content = file.fs.cat_file(file.path)
        except FileNotFoundError:
            return []
    try:
        told = json.loads(content)
        return [told["folder"], *told["earlier"]]
    except (ValueError, KeyError, TypeError):
        raise StorageError(
            f"{file} does not say which set of files is current. It was not written by this package: name another "
            "folder, or remove that file."
        ) from None


def _clear(versions: UPath, keep: set[str], complete: set[str]) -> None:
    """Removes sets that are no longer kept, and unfinished sets that are older than UNFINISHED_AFTER."""
    try:
        with storage_errors(versions):
            found = {_last(path) for path in versions.fs.ls(versions.path, detail=False)}
    except StorageError as error:
        logging.getLogger(__name__).warning("Older sets of files stay: %s", error)
        return
    for name in sorted(found - keep):
        if name in complete or _is_old(name):
            _remove(versions / name)


def _last(path: str) -> str:
    """Returns the last part of a path."""
    return path.rstrip("/").rpartition("/")[2]


def _is_old(name: str) -> bool:
    """Whether a set is older than UNFINISHED_AFTER, according to its name."""
    try:
        begun = datetime.strptime(name.partition("-")[0], NAME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return False  # not a name of ours
    return datetime.now(UTC) - begun > UNFINISHED_AFTER


def _remove(folder: UPath) -> None:
    """Removes a set that is not current. A set that cannot be removed is harmless, and the next run tries again."""
    try:
        with storage_errors(folder):
            if folder.fs.exists(folder.path):
                folder.fs.rm(folder.path, recursive=True)
    except StorageError as error:
        logging.getLogger(__name__).warning("%s could not be removed: %s", folder, error)
