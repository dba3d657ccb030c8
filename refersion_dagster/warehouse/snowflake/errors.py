"""The kind of a Snowflake error, determined by the number that the server or the connector reports.

https://docs.snowflake.com/en/user-guide/client-connectivity-troubleshooting/error-messages
"""

from __future__ import annotations

from refersion_dagster.warehouse.causes import HTTP_LIBRARIES, causes
from refersion_dagster.warehouse.errors import (
    ConcurrentChange,
    WarehouseError,
    WarehouseForbidden,
    WarehouseFull,
    WarehouseNotSet,
    WarehouseUnreachable,
)

HOW_TO_GRANT = (
    "GRANT USAGE, CREATE SCHEMA ON DATABASE … TO ROLE …; or create refersion_data, refersion_data_staging and "
    "refersion_summaries and let that role own them."
)
CONNECTOR = "snowflake.connector"
SETTING = "DESTINATION__SNOWFLAKE__CREDENTIALS"
# Numbers of the server. Those of logins are about identity, network policies, roles and databases.
LOGIN = range(390_000, 400_000)
SESSION_OVER = (390_111, 390_112, 390_114)
NO_DATABASE = (390_201, 90_105)
NO_WAREHOUSE = (606,)
NOT_ALLOWED = (3_001, 3_003)
CREDITS_SPENT = (666, 90_073)
LOCKED = (625,)
# Numbers of the connector: HTTP statuses for an unknown account, and other errors of the connection.
NO_ACCOUNT = (290_403, 290_404, 540_001)
NO_ACCOUNT_SAID = ("error status: 403", "error status: 404")
CONNECTION_NUMBERS = (range(250_000, 300_000), range(540_000, 590_000))


def convert_error(error: BaseException) -> WarehouseError | None:
    """The warehouse error for an error of Snowflake or of the connection to it; None for an error in the statement."""
    for one in causes(error):
        module = type(one).__module__
        if module.partition(".")[0] in HTTP_LIBRARIES:
            return _unreachable(type(one).__name__)
        if module.startswith(CONNECTOR) and (problem := _convert_error(one)):
            return problem
    return None


def _convert_error(error: BaseException) -> WarehouseError | None:
    """The warehouse error for one error of the connector."""
    number, state, said = number_of(error), str(getattr(error, "sqlstate", "")), " ".join(str(error).split())
    if number in NO_ACCOUNT or any(words in said for words in NO_ACCOUNT_SAID):
        return WarehouseNotSet(
            f"Snowflake has no account of that name: {said}. Check {SETTING}__HOST, which is the account identifier, "
            "as in organization-account."
        )
    if number in NO_DATABASE:
        return WarehouseNotSet(
            f"The database does not exist in Snowflake, or the role may not use it: {said}. Create it, check "
            f"{SETTING}__DATABASE, or GRANT USAGE ON DATABASE … TO ROLE …."
        )
    if number in NO_WAREHOUSE:
        return WarehouseNotSet(
            f"No Snowflake warehouse is available: {said}. Check that {SETTING}__WAREHOUSE exists and resumes "
            "automatically (AUTO_RESUME), and that the role may use it (GRANT USAGE ON WAREHOUSE … TO ROLE …)."
        )
    if number in SESSION_OVER:
        return _unreachable(said)
    if number in LOGIN:
        return WarehouseForbidden(
            f"Snowflake refused the login: {said}. Check the user, its key or token, its role and the network "
            f"policies ({SETTING})."
        )
    if number in NOT_ALLOWED or state == "42501":
        return WarehouseForbidden(f"The role may not do what is needed in Snowflake: {said}. {HOW_TO_GRANT}")
    if number in CREDITS_SPENT:
        return WarehouseFull(
            f"A limit of the Snowflake account was reached: {said}. The tables are unchanged. Raise the limit of the "
            "resource monitor, or run again later."
        )
    if number in LOCKED:
        return ConcurrentChange(
            f"Another program was changing the same table in Snowflake at the same time: {said}. Its changes hold, and "
            "those of this statement do not. Run again."
        )
    is_connection = any(number in numbers for numbers in CONNECTION_NUMBERS) or state.startswith("08")
    if is_connection or any(kind.__name__ == "OperationalError" for kind in type(error).__mro__):
        return _unreachable(said)
    return None


def _unreachable(why: str) -> WarehouseUnreachable:
    return WarehouseUnreachable(
        f"Snowflake cannot be reached, or the connection broke: {why}. No table is partly written. Run again when it "
        "is available."
    )


def number_of(error: BaseException) -> int:
    """The number of an error; 0 if it has none."""
    number = getattr(error, "errno", None)
    return number if isinstance(number, int) else 0
