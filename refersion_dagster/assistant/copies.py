"""The current set of published copies, read-only and locked down, as DuckDB itself enforces it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import duckdb

from refersion_dagster.errors import ReportedError
from refersion_dagster.explore.published import describe_missing
from refersion_dagster.report.checks import VERDICTS, CheckState
from refersion_dagster.report.file_sets import current_set
from refersion_dagster.report.publish import CURRENT, DATABASE, MANIFEST, download_set
from refersion_dagster.report.storage import Folder
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.knowledge import GapReason, Gaps
from refersion_dagster.summaries.macros import MACROS
from refersion_dagster.summaries.query import Summary, load_summaries
from refersion_dagster.warehouse.sql import DIALECT, Value, bind
from refersion_dagster.warehouse.sql_file import SqlFile, SqlHeader, read_folder

# DuckDB opens no other file, loads no extension, spills nothing to the disk and changes no setting.
CONFIGURATION = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "memory_limit": "512MB",
    "threads": "2",
}
LOCK = "SET GLOBAL TimeZone = 'UTC'; SET lock_configuration = true"
COLUMNS = """
SELECT table_name, column_name, data_type FROM duckdb_columns()
WHERE schema_name = $schema AND NOT internal ORDER BY table_name, column_index
"""

Row = dict[str, Any]


class CopiesNotReadable(ReportedError):
    """There are no published copies, or they cannot be opened. The message says what to do."""


@dataclass(frozen=True)
class OpenCopies:
    """A set of published copies that is open for reading.

    Args:
        name: the set's folder; a newly published set has another one.
        manifest: see report/publish.py.
        summaries: the shipped summaries and the account's own, whose headers describe the tables.
        copied: keeps the local copy of a bucket's set, if there is one.
    """

    name: str
    manifest: Mapping[str, Any]
    summaries: Sequence[Summary] = field(repr=False)
    connection: duckdb.DuckDBPyConnection = field(repr=False)
    copied: object = field(default=None, repr=False)

    @property
    def as_of(self) -> datetime | None:
        """When Refersion was last read; None if never."""
        text = self.manifest["as_of"]
        return datetime.fromisoformat(text) if text else None

    @cached_property
    def checks(self) -> list[CheckState]:
        """The results of the checks when the set was published, worst first; empty if they were not recorded."""
        found = [
            CheckState(
                one["name"],
                one["asset"],
                one["verdict"],
                one["said"],
                datetime.fromisoformat(one["at"]) if one["at"] else None,
            )
            for one in self.manifest.get("checks", ())
        ]
        return sorted(found, key=lambda one: (VERDICTS.index(one.verdict), one.name, one.asset))

    @cached_property
    def gaps(self) -> list[GapReason]:
        """What the account does not offer."""
        return [GapReason(**one) for one in self.manifest.get("not_offered", ())]

    @property
    def gap_set(self) -> Gaps:
        return frozenset((one.table, one.column) for one in self.gaps)

    @cached_property
    def tables(self) -> dict[str, dict[str, str]]:
        """The DuckDB types of the columns of each table."""
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in self.cursor().execute(COLUMNS, {"schema": SUMMARIES}).fetchall():
            found.setdefault(table, {})[column] = kind
        return found

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own, which can be interrupted without another."""
        return self.connection.cursor()

    def select(self, name: str, **values: Value) -> list[Row]:
        """The rows of a file of sql/, with values for its `$name`s."""
        return self.run(queries()[name], **values)

    def run(self, file: SqlFile[SqlHeader], **values: Value) -> list[Row]:
        """The rows of a SELECT of this package over the summaries."""
        needed = {name: values[name] for name in file.parameters}
        try:
            found = self.cursor().execute(bind(file.tree, needed).sql(DIALECT))
        except duckdb.CatalogException as error:
            raise CopiesNotReadable(
                f"The published copies lack a table that this answer needs ({str(error).splitlines()[0]}) They were "
                "published by another release, or without this summary. Run the job refersion_refresh with this one."
            ) from None
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@cache
def queries() -> dict[str, SqlFile[SqlHeader]]:
    """The queries of sql/ by name. Raises SqlFileError at the first error."""
    return {file.name: file for file in read_folder("refersion_dagster.assistant", SqlHeader, MACROS)}


class CopiesReader:
    """Opens the current set, and again whenever another was published.

    Args:
        folder: REFERSION_PUBLISH_PATH. A bucket's set is copied to a temporary folder once.
        summaries: the shipped summaries and the account's own; None for the shipped ones.
    """

    def __init__(self, folder: Folder, summaries: Sequence[Summary] | None = None) -> None:
        self._folder = folder
        self.summaries: Sequence[Summary] = load_summaries() if summaries is None else summaries
        self._open: OpenCopies | None = None
        self._lock = threading.Lock()

    def read(self) -> OpenCopies:
        """Returns the current set. Raises CopiesNotReadable, or StorageError for a bucket."""
        with self._lock:
            found = current_set(self._folder / CURRENT)
            if found is None:
                raise CopiesNotReadable(describe_missing(self._folder) or "Nothing is published.")
            if self._open is None or self._open.name != str(found):
                # A call that still uses the former set keeps its connection until it ends.
                self._open = _open(found, self.summaries)
            return self._open


def _open(found: Folder, summaries: Sequence[Summary]) -> OpenCopies:
    copied, folder = download_set(found)
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        connection = duckdb.connect(str(folder / DATABASE), read_only=True, config=dict(CONFIGURATION))
        connection.execute(LOCK)
    except (OSError, ValueError, duckdb.Error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CopiesNotReadable(
            f"The published copies in {_shown(found)} cannot be opened: {reason} Publish them again: run the job "
            "refersion_refresh, or materialise published/summaries."
        ) from None
    return OpenCopies(str(found), manifest, summaries, connection, copied)


def _shown(found: Folder) -> str:
    return str(found) if isinstance(found, Path) else found.path


def age_hours(moment: datetime) -> int:
    """Whole hours since a moment, by this computer's clock."""
    return int((datetime.now(UTC) - moment).total_seconds() // 3600)
