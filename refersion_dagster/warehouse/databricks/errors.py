"""The kind of a Databricks error, determined by the error class or the HTTP status that the server reports.

https://docs.databricks.com/en/error-messages/error-classes.html
"""

from __future__ import annotations

import re
from typing import Any

from refersion_dagster.warehouse.causes import HTTP_LIBRARIES, causes
from refersion_dagster.warehouse.errors import (
    ConcurrentChange,
    WarehouseError,
    WarehouseForbidden,
    WarehouseNotSet,
    WarehouseUnreachable,
)

HOW_TO_GRANT = (
    "GRANT USE CATALOG, CREATE SCHEMA ON CATALOG … TO that principal; or create refersion_data, refersion_data_staging "
    "and refersion_summaries and let it own them."
)
CONNECTOR = "databricks.sql"
# The connector's errors for no response, an invalid response, or a broken connection.
CONNECTION_ERRORS = ("RequestError", "MaxRetryDurationError", "NonRecoverableNetworkError", "UnsafeToRetryError")
FORBIDDEN = ("INSUFFICIENT_PERMISSIONS", "INSUFFICIENT_PRIVILEGES", "PERMISSION_DENIED", "UNAUTHORIZED_ACCESS")
CONCURRENT = ("DELTA_CONCURRENT", "ConcurrentAppendException", "ConcurrentDelete", "ConcurrentTransactionException")
# The error class at the start of the server's message, as in `[TABLE_OR_VIEW_NOT_FOUND] The table …`.
ERROR_CLASS = re.compile(r"\[([A-Z][A-Z_.]+)\]")


def convert_error(error: BaseException) -> WarehouseError | None:
    """The warehouse error for an error of Databricks or of the connection to it; None for an error in the statement.

    The connector's messages about requests are left out, because they repeat the requests' headers.
    """
    for one in causes(error):
        module = type(one).__module__
        if module.partition(".")[0] in HTTP_LIBRARIES:
            return _unreachable(type(one).__name__)
        if not module.startswith(CONNECTOR):
            continue
        status, said = status_of(one), str(one)
        if status in (401, 403):
            return WarehouseForbidden(
                f"Databricks did not accept the credentials (HTTP {status}). Check that the access token is valid, and "
                f"that its principal has CAN USE on the SQL warehouse. {HOW_TO_GRANT}"
            )
        if status == 404:
            return WarehouseNotSet(
                "Databricks has no SQL warehouse under that HTTP path (HTTP 404). Check "
                "DESTINATION__DATABRICKS__CREDENTIALS__HTTP_PATH."
            )
        if any(word in said for word in FORBIDDEN):
            return WarehouseForbidden(
                f"The principal may not do what is needed in Databricks ({class_of(said)}). {HOW_TO_GRANT}"
            )
        if any(word in said for word in CONCURRENT):
            return ConcurrentChange(
                f"Another program changed the same table in Databricks at the same time ({class_of(said)}). Its "
                "changes hold, and those of this statement do not. Run again."
            )
        if status is not None or type(one).__name__ in CONNECTION_ERRORS:
            return _unreachable(type(one).__name__ + (f", HTTP {status}" if status else ""))
    return None


def _unreachable(why: str) -> WarehouseUnreachable:
    return WarehouseUnreachable(
        f"Databricks cannot be reached, or the connection broke ({why}). No table is partly written. Run again when it "
        "is available."
    )


def status_of(error: BaseException) -> int | None:
    """The HTTP status of a response that the connector could not use; None if the error has another cause."""
    context: Any = getattr(error, "context", None)
    status = context.get("http-code") if isinstance(context, dict) else None
    return int(status) if status else None


def class_of(said: str) -> str:
    found = ERROR_CLASS.search(said)
    return found[1] if found else "no error class"
