"""The kind of a MotherDuck error, determined by its message: MotherDuck has no error codes."""

from __future__ import annotations

import re

import duckdb

from refersion_dagster.warehouse.causes import causes
from refersion_dagster.warehouse.errors import (
    ConcurrentChange,
    WarehouseError,
    WarehouseForbidden,
    WarehouseNotSet,
    WarehouseUnreachable,
)
from refersion_dagster.warehouse.motherduck.credentials import HOW_TO_SET

NOT_ACCEPTED = re.compile(r"not authenticated|unauthenticated|\bjwt\b|(invalid|expired)\b.*\btoken", re.IGNORECASE)
NO_DATABASE = re.compile(r"no database/share named", re.IGNORECASE)
READ_ONLY = re.compile(r"permission.?denied|read[- _]only|not authorized", re.IGNORECASE)
CONFLICT = re.compile(r"transaction conflict|conflict on (tuple|update)|write-write conflict", re.IGNORECASE)
NO_EXTENSION = re.compile(r'failed to download extension "?motherduck|is not supported by Motherduck', re.IGNORECASE)
UNREACHABLE = re.compile(
    r"failed to download|could not establish connection|could not connect|connection (error|reset|refused)|"
    r"timed? ?out|unavailable|deadline exceeded|network",
    re.IGNORECASE,
)
HOW_TO_GRANT = "Use a read/write token of a user that owns the database: read-scaling tokens and shares only read."


def convert_motherduck_error(error: BaseException, location: str) -> WarehouseError | None:
    """The warehouse error for an error of MotherDuck or of the connection; None for an error in the statement."""
    found = [one for one in causes(error) if isinstance(one, duckdb.Error)]
    text = " ".join(map(str, found or [error]))
    # A statement's own errors quote the statement, which may contain any word.
    if not found or isinstance(found[-1], duckdb.ParserException | duckdb.ConversionException):
        return None
    said = " ".join(text.split())[:500]
    if NO_EXTENSION.search(text):
        return WarehouseUnreachable(
            f"DuckDB {duckdb.__version__} could not download its extension for MotherDuck: {said}. Allow access to "
            "extensions.duckdb.org and api.motherduck.com, and check that MotherDuck supports this release of DuckDB. "
            "Nothing was written."
        )
    if CONFLICT.search(text):
        return ConcurrentChange(
            f"Another program changed the same tables of {location} meanwhile: {said}. Nothing of this step was "
            "written. Run it again."
        )
    if NOT_ACCEPTED.search(text):
        return WarehouseForbidden(f"MotherDuck did not accept the token for {location}: {said}. {HOW_TO_SET}")
    if NO_DATABASE.search(text):
        return WarehouseNotSet(f"{location} does not exist: {said}. Create it in MotherDuck. {HOW_TO_SET}")
    if READ_ONLY.search(text):
        return WarehouseForbidden(f"The token may not do what is needed in {location}: {said}. {HOW_TO_GRANT}")
    if UNREACHABLE.search(text):
        return WarehouseUnreachable(
            f"MotherDuck cannot be reached, or the connection broke: {said}. No table is partly written. Run again "
            "when it is available."
        )
    return None
