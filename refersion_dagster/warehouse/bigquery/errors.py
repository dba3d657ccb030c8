"""The kind of a BigQuery error, determined by the reason that Google reports.

https://cloud.google.com/bigquery/docs/error-messages
"""

from __future__ import annotations

from typing import Any

from dlt.destinations.exceptions import DatabaseException, DatabaseTerminalException, DatabaseUndefinedRelation

from refersion_dagster.warehouse.causes import HTTP_LIBRARIES, causes
from refersion_dagster.warehouse.errors import WarehouseError, WarehouseForbidden, WarehouseFull, WarehouseUnreachable

HOW_TO_GRANT = (
    "Grant the account BigQuery Job User (roles/bigquery.jobUser) on the project, and BigQuery User "
    "(roles/bigquery.user), or BigQuery Data Editor (roles/bigquery.dataEditor) on refersion_data, "
    "refersion_data_staging and refersion_summaries."
)
FORBIDDEN = ("accessDenied", "access_denied", "required", "authError", "billingNotEnabled")
FULL = ("quotaExceeded", "rateLimitExceeded", "resourcesExceeded", "billingTierLimitExceeded")
UNREACHABLE = ("backendError", "internalError", "badGateway", "stopped", "timeout")
# Modules whose errors concern the connection to Google: no network, or no token.


def convert_error(error: BaseException) -> WarehouseError | None:
    """The warehouse error for an error of BigQuery or of the connection to it; None for an error in the statement."""
    for one in causes(error):
        reason, said = reason_of(one), " ".join(str(getattr(one, "message", one)).split())
        module = type(one).__module__
        if module.startswith("google.auth"):
            return WarehouseForbidden(
                f"Google did not accept BigQuery's credentials: {type(one).__name__}. Check "
                "DESTINATION__BIGQUERY__CREDENTIALS, or log in again with `gcloud auth application-default login`."
            )
        if reason in FORBIDDEN:
            return WarehouseForbidden(f"The account may not do what is needed in BigQuery: {said}. {HOW_TO_GRANT}")
        if reason in FULL:
            return WarehouseFull(
                f"A limit of BigQuery was reached: {said}. The tables are unchanged. Raise the quota, or run again "
                "later."
            )
        if reason in UNREACHABLE or module.partition(".")[0] in HTTP_LIBRARIES:
            return WarehouseUnreachable(
                f"BigQuery cannot be reached, or the connection broke: {type(one).__name__}: {said}. No table is "
                "partly written. Run again when it is available."
            )
    return None


def database_error(error: Exception) -> DatabaseException:
    """An error in a statement, as dlt's type for it."""
    if reason_of(error) == "notFound":
        return DatabaseUndefinedRelation(error)
    return DatabaseTerminalException(error)


def reason_of(error: BaseException) -> str | None:
    """The first reason that Google reports; None for errors that are not Google's."""
    errors: Any = getattr(error, "errors", None)
    if isinstance(errors, list | tuple) and errors and isinstance(errors[0], dict):
        return errors[0].get("reason")
    return None
