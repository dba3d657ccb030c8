"""Which exports were loaded: `refersion_data._exports`, one row per file and raw table, kept forever."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import UnusableExport
from refersion_dagster.refersion.exports.folder import CONVERSIONS, PERFORMANCE, ExportFile
from refersion_dagster.refersion.exports.mapping import FILE, ExportSettings
from refersion_dagster.refersion.extract.stats import ReadSpan
from refersion_dagster.warehouse.session import Session

TABLE = "_exports"
CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  table_name text NOT NULL, file_name text NOT NULL, digest text NOT NULL, settings_digest text NOT NULL,
  made_at timestamp with time zone NOT NULL, covers_from timestamp with time zone NOT NULL,
  covers_to timestamp with time zone NOT NULL, row_count bigint NOT NULL, loaded_at timestamp with time zone NOT NULL
)
"""
COLUMNS = ("table_name", "file_name", "digest", "settings_digest", "made_at", "covers_from", "covers_to")
KNOWN = f"SELECT {', '.join(COLUMNS)} FROM {DATASET}.{TABLE}"  # noqa: S608 - names of ours
ADD = f"""
INSERT INTO {DATASET}.{TABLE} VALUES (
  $table, $file, $digest, $settings, $made_at, $start, $end, $rows, $loaded_at
)
"""  # noqa: S608 - names of ours
NEW_WAREHOUSE = (
    "To load all files of the folder again, load into a new warehouse (REFERSION_DUCKDB_PATH): the files hold "
    "everything that this one has."
)


@dataclass(frozen=True)
class LoadedExport:
    """A file as it was loaded into one raw table; see ExportFile."""

    table: str
    name: str
    digest: str
    settings_digest: str
    made_at: datetime
    start: datetime
    end: datetime

    @property
    def span(self) -> ReadSpan:
        return ReadSpan(self.start, self.end, self.made_at)


def digest_settings(settings: ExportSettings) -> str:
    """Identifies what exports.yaml says about the values of loaded files. Performance reports are only compared."""
    loaded = settings.model_copy(
        update={
            name: {kind: fields for kind, fields in getattr(settings, name).items() if kind != PERFORMANCE}
            for name in ("columns", "values")
        }
    )
    return hashlib.sha256(loaded.model_dump_json().encode()).hexdigest()


def list_loaded(session: Session) -> list[LoadedExport]:
    """Returns what was loaded, and creates the table if it does not exist."""
    session.query(CREATE)
    return [LoadedExport(*row) for row in session.query(KNOWN)]


def keep_loaded(session: Session, file: ExportFile, tables: Sequence[str], rows: int, settings: ExportSettings) -> None:
    """Records that a file was loaded into these tables."""
    now = datetime.now(UTC).replace(microsecond=0)
    for table in tables:
        session.query(
            ADD,
            table=table,
            file=file.name,
            digest=file.digest,
            settings=digest_settings(settings),
            made_at=file.made_at,
            start=file.start,
            end=file.end,
            rows=rows,
            loaded_at=now,
        )


def select_new(
    files: Sequence[ExportFile], loaded: Sequence[LoadedExport], tables: Sequence[str], settings: ExportSettings
) -> list[ExportFile]:
    """Returns the files of one kind that are not loaded into all of these tables, in order.

    Raises UnusableExport for files that were changed, for other settings than those of loaded files, and for an export
    that is older than a loaded one that covers the same.
    """
    held = [one for one in loaded if one.table in tables]
    other = next((one for one in held if one.settings_digest != digest_settings(settings)), None)
    if other:
        raise UnusableExport(
            f"{FILE} has changed since {other.name} was loaded, so its rows may mean something else now.",
            advice=f"Restore {FILE}. {NEW_WAREHOUSE}",
        )
    found: list[ExportFile] = []
    for file in files:
        alike = {one.table for one in held if one.digest == file.digest and one.span == file.span}
        if alike >= set(tables):
            continue
        changed = next((one for one in held if one.name == file.name and one.digest != file.digest), None)
        if changed:
            raise UnusableExport(
                f"{file.name} was changed after it was loaded.",
                advice="Name a new export by its own date and time, and restore the earlier file.",
            )
        later = next((one for one in held if one.made_at > file.made_at and _overlap(file, one)), None)
        if later and file.kind == CONVERSIONS:
            raise UnusableExport(
                f"{file.name} is older than {later.name}, which covers the same time and is already loaded: what "
                "changed in between cannot be told any more.",
                advice=f"Remove it from the folder. {NEW_WAREHOUSE}",
            )
        if not later:  # an older list of affiliates adds nothing
            found.append(file)
    return found


def _overlap(file: ExportFile, other: LoadedExport) -> bool:
    return file.start < other.end and other.start < file.end
