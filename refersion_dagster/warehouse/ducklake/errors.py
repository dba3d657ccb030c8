"""The kind of a DuckLake error, determined by DuckDB's message: errors of catalogues and files have no codes."""

from __future__ import annotations

import re

import duckdb

from refersion_dagster.installation import install_command
from refersion_dagster.warehouse.causes import causes
from refersion_dagster.warehouse.disk import disk_is_full
from refersion_dagster.warehouse.errors import (
    ConcurrentChange,
    KeysNotEnforced,
    WarehouseBusy,
    WarehouseError,
    WarehouseForbidden,
    WarehouseFull,
    WarehouseNotSet,
    WarehouseUnreachable,
)

CONFLICT = re.compile(r"transaction conflict|failed to commit ducklake transaction|database is locked", re.IGNORECASE)
NO_EXTENSION = re.compile(
    r'failed to download extension "(\w+)"|extension "?[^"]*?(\w+)(?:\.duckdb_extension)?"? not found'
)
# A catalogue in a DuckDB file can be open in only one process at a time.
OPEN_ELSEWHERE = re.compile(r"Conflicting lock is held in (.+?\(PID \d+\))|Unique file handle conflict")
FORBIDDEN = re.compile(
    r"permission denied|password authentication failed|no password supplied|HTTP.*403|AccessDenied|InvalidAccessKeyId|"
    r"SignatureDoesNotMatch|authentication failure",
    re.IGNORECASE,
)
UNREACHABLE = re.compile(
    r"unable to connect to postgres|connection to server|server closed the connection|could not establish connection|"
    r"could not connect|connection error|terminating connection|timed? ?out|HTTP.*50[0234]|NoSuchBucket|HTTP.*404",
    re.IGNORECASE,
)
NO_KEYS = "PRIMARY KEY/UNIQUE constraints are not supported"
OTHER_FILES = "does not match existing data path"


def convert_lake_error(error: BaseException, location: str) -> WarehouseError | None:
    """The warehouse error for an error of the catalogue, the files or the connection; None for the statement's own."""
    text = _text(error)
    said = " ".join(text.split())[:500]
    if disk_is_full(error):
        return WarehouseFull(
            f"There is no space left for {location} or for temporary files: {said}. The tables are unchanged. Free "
            "disk space and run again."
        )
    if CONFLICT.search(text):
        return ConcurrentChange(
            f"Another program changed the same tables of {location} meanwhile: {said}. Nothing of this step was "
            "written. Run it again."
        )
    if "Out of Memory" in text:
        return WarehouseFull(f"DuckDB has no memory left: {said}. The tables are unchanged.")
    if NO_EXTENSION.search(text):
        return WarehouseNotSet(
            f"DuckDB {duckdb.__version__} has not the extensions that {location} needs, and could not download them: "
            f"{said}. Without access to extensions.duckdb.org, install them with: {install_command('ducklake')}"
        )
    if found := OPEN_ELSEWHERE.search(text):
        return WarehouseBusy(
            f"The catalogue of {location} is open in {found[1] or 'another program'}, and a catalogue in a DuckDB file "
            "is open in one at a time. Close it there, then start this run again. Nothing was written."
        )
    if NO_KEYS in text:
        return KeysNotEnforced(
            f"Nothing was sent: {location} does not enforce primary keys, so two runs at once could send the same "
            "item. Write to Refersion from a DuckDB or PostgreSQL warehouse of the same account."
        )
    if OTHER_FILES in text:
        return WarehouseNotSet(
            f"{location}: the catalogue's files are elsewhere. Set the STORAGE__BUCKET_URL with which the lake was "
            f"made: {said}."
        )
    if _find_duckdb_errors(error):
        if FORBIDDEN.search(text):
            return WarehouseForbidden(
                f"A right or the right key for {location} is missing: {said}. The user of the catalogue has to be "
                "allowed to create its schema and tables, and the keys have to allow reading, writing and deleting "
                "files."
            )
        if UNREACHABLE.search(text):
            return WarehouseUnreachable(
                f"The catalogue or the files of {location} cannot be reached: {said}. No table is partly written. If "
                "it never worked, check the addresses and keys; otherwise run again when both are available."
            )
    return None


def _text(error: BaseException) -> str:
    """DuckDB's message, or that of another error."""
    return " ".join(map(str, _find_duckdb_errors(error))) or str(error)


def _find_duckdb_errors(error: BaseException) -> list[BaseException]:
    return [one for one in causes(error) if isinstance(one, duckdb.Error)]
