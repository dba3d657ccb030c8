"""The kind of an error of Spark Connect, determined by the status that the server reports or by Spark's error class.

https://spark.apache.org/docs/latest/sql-error-conditions.html
"""

from __future__ import annotations

import re
from typing import Any

from refersion_dagster.warehouse.errors import WarehouseError, WarehouseForbidden, WarehouseUnreachable

# Names of gRPC's status codes.
AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "ABORTED")
REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED")
# Error classes for a session or a statement that the server does not know, because it was started anew.
UNKNOWN_TO_SERVER = "INVALID_HANDLE"
# What a job is ended for when workers are lost faster than they come back, or when the application was stopped.
LOST = re.compile(r"ExecutorLostFailure|SparkContext was shut down|stopped SparkContext|cancelled because")


def convert_error(error: BaseException, location: str) -> WarehouseError | None:
    """The error for a cluster that cannot be reached or used; None for an error in the statement.

    Messages of the connection are left out, because they may repeat the address with its token.
    """
    status, said = status_of(error), str(error)
    if status in REFUSED:
        return WarehouseForbidden(
            f"Spark at {location} did not accept the credentials ({status}). Check the token and the user in "
            "REFERSION_SPARK_REMOTE."
        )
    found = LOST.search(said)
    why = status if status in AWAY else class_of(error) if class_of(error).startswith(UNKNOWN_TO_SERVER) else None
    if why is None and found:
        why = found[0]
    if why is None and type(error).__module__.partition(".")[0] == "grpc":
        why = status or type(error).__name__
    if why is None:
        return None
    return WarehouseUnreachable(
        f"Spark at {location} cannot be reached, or broke while it computed ({why}). The tables of the warehouse are "
        "unchanged. Run again when the cluster is available."
    )


def status_of(error: BaseException) -> str:
    """The name of gRPC's status of an error; empty if it has none."""
    for name in ("code", "getGrpcStatusCode"):
        ask: Any = getattr(error, name, None)
        if callable(ask) and (found := ask()) is not None:
            return str(getattr(found, "name", found))
    return ""


def class_of(error: BaseException) -> str:
    """Spark's class of an error; empty if it has none."""
    ask: Any = getattr(error, "getErrorClass", None) or getattr(error, "getCondition", None)
    return str(ask() or "") if callable(ask) else ""
