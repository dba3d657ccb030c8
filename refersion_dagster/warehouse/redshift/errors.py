"""The kind of a Redshift error, determined by its SQLSTATE, or by its words where Redshift reports none.

https://docs.aws.amazon.com/redshift/latest/mgmt/troubleshooting-connections.html
"""

from __future__ import annotations

from refersion_dagster.warehouse.causes import causes
from refersion_dagster.warehouse.errors import (
    ConcurrentChange,
    WarehouseError,
    WarehouseForbidden,
    WarehouseFull,
    WarehouseNotSet,
    WarehouseUnreachable,
)
from refersion_dagster.warehouse.postgres.errors import is_client_error, sqlstate_of

HOW_TO_GRANT = (
    "GRANT CREATE ON DATABASE … TO that user, or create refersion_data, refersion_data_staging and refersion_summaries "
    "and let it own them."
)
# Connection exception, terminated by an administrator, too many connections.
LOST = ("08", "57P0", "53300")
# Insufficient resources.
FULL = ("53",)
# Insufficient privilege, and read-only transaction.
FORBIDDEN = ("42501", "25006")
# Invalid authorisation.
LOGIN = "28"
NO_DATABASE = "3D000"
# Transaction rollback.
CONCURRENT = ("40",)
# Redshift reports these under XX000, its code for internal errors.
# https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html
CONCURRENT_SAID = ("serializable isolation violation", "conflict with concurrent transaction", "deadlock detected")
FULL_SAID = ("disk full", "out of memory")
# The words of a server that refuses a login. libpq reports no SQLSTATE for them.
LOGIN_SAID = ("password authentication failed", "no pg_hba.conf entry", "does not exist or", "authentication failed")


def convert_error(error: BaseException) -> WarehouseError | None:
    """The warehouse error for an error of the server or of the connection; None for an error in the statement."""
    for one in causes(error):
        state, said = sqlstate_of(one), " ".join(str(one).split())
        is_client, words = state is None and is_client_error(one), said.lower()
        if state is None and not is_client:
            continue
        state = state or ""
        if state == NO_DATABASE or (is_client and "database" in words and "does not exist" in words):
            return WarehouseNotSet(
                f"The database does not exist in Redshift: {said}. Create it, or check "
                "DESTINATION__REDSHIFT__CREDENTIALS."
            )
        if state.startswith(LOGIN) or (is_client and any(one in words for one in LOGIN_SAID)):
            return WarehouseForbidden(
                f"Redshift refused the login: {said}. Check user and password (DESTINATION__REDSHIFT__CREDENTIALS)."
            )
        if state.startswith(FORBIDDEN):
            return WarehouseForbidden(f"The user may not do what is needed in Redshift: {said}. {HOW_TO_GRANT}")
        if state.startswith(LOST) or is_client:
            return WarehouseUnreachable(
                f"Redshift cannot be reached, or the connection broke: {said}. No table is partly written. If it never "
                "worked, check host and port, the security group, and whether the endpoint is public; otherwise run "
                "again when it is available."
            )
        if state.startswith(CONCURRENT) or any(one in words for one in CONCURRENT_SAID):
            return ConcurrentChange(
                f"Another program was changing the same table in Redshift at the same time: {said}. Its changes hold, "
                "and those of this statement do not. Run again."
            )
        if state.startswith(FULL) or any(one in words for one in FULL_SAID):
            return WarehouseFull(
                f"Redshift has no disk space or memory left: {said}. The tables are unchanged. Free some and run again."
            )
    return None
