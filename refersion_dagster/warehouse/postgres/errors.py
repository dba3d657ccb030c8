"""The kind of a PostgreSQL error, determined by its SQLSTATE.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

from refersion_dagster.warehouse.causes import causes
from refersion_dagster.warehouse.errors import WarehouseError, WarehouseForbidden, WarehouseFull, WarehouseUnreachable

# Errors of these classes in psycopg2 and ADBC without an SQLSTATE come from the client: no connection.
OPERATIONAL = ("OperationalError", "InterfaceError")
# Connection exception, terminated by an administrator or for being idle, too many connections, and a transaction that
# was idle or ran too long.
LOST = ("08", "57P0", "53300", "25P03", "25P04")
# Insufficient resources.
FULL = ("53",)
# Insufficient privilege, read-only transaction, invalid authorisation, and unknown database.
FORBIDDEN = ("42501", "25006", "28", "3D000")


def state_of(error: BaseException) -> str | None:
    """The SQLSTATE of an error, or of one that it was raised from; None if no server reported one."""
    return next((state for one in causes(error) if (state := sqlstate_of(one))), None)


def convert_error(error: BaseException) -> WarehouseError | None:
    """The warehouse error for an error of the server or of the connection; None for an error in the statement."""
    for one in causes(error):
        state = sqlstate_of(one)
        said = " ".join(str(one).split())
        if (state and state.startswith(LOST)) or (not state and is_client_error(one)):
            return WarehouseUnreachable(
                f"The connection to PostgreSQL broke or could not be opened: {said}. No table is partly written. "
                "If it never worked, check host, user and password (in the URL, PGPASSWORD or a .pgpass of mode "
                "0600); otherwise run again when the server is available."
            )
        if state and state.startswith(FULL):
            return WarehouseFull(
                f"PostgreSQL has no disk space or memory left: {said}. The tables are unchanged. Free some and "
                "run again."
            )
        if state and state.startswith(FORBIDDEN):
            return WarehouseForbidden(
                f"The PostgreSQL user lacks a privilege: {said}. The user has to be allowed to create schemas in "
                "the database, or has to own refersion_data, refersion_data_staging and refersion_summaries."
            )
    return None


def sqlstate_of(error: BaseException) -> str | None:
    """psycopg2 calls it pgcode, ADBC sqlstate."""
    return getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)


def is_client_error(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in ("psycopg2", "adbc_driver_manager") and any(
        kind.__name__ in OPERATIONAL for kind in type(error).__mro__
    )
