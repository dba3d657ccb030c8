"""dlt's configuration of Snowflake, and its client. Importing it needs nothing of Snowflake's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dlt
from dlt.destinations.impl.snowflake.configuration import SnowflakeClientConfiguration, SnowflakeCredentials

from refersion_dagster.warehouse.dlt_internals.configuration import resolve_configuration

if TYPE_CHECKING:
    from dlt.destinations.impl.snowflake.sql_client import SnowflakeSqlClient


def find_credentials(pipeline: str, dataset: str, session_parameters: Mapping[str, object]) -> SnowflakeCredentials:
    """What dlt's configuration says for the destination `snowflake` of a pipeline, for sessions in UTC.

    Args:
        session_parameters: what else each session is opened with, of loads as well.

    Raises ConfigurationException where something is missing, and ValueError for a private key that cannot be read.
    """
    configuration = SnowflakeClientConfiguration()
    found = resolve_configuration(dlt.destinations.snowflake(), configuration, pipeline, dataset).credentials
    found.session_timezone = "UTC"
    # dlt hands the query of an address on to the connector.
    found.query = {**(found.query or {}), **CONNECTION, "session_parameters": dict(session_parameters)}
    return found


# Of the connector from 5 on, which warns where it is not set. Nothing of ours runs on after its session.
CONNECTION = {"enable_server_session_keep_alive_auto_detection": False}


def session_destination(credentials: SnowflakeCredentials) -> Any:
    """dlt's destination with these credentials. Files that a load leaves in a table's stage are removed after it."""
    return dlt.destinations.snowflake(credentials=credentials, destination_name="snowflake", keep_staged_files=False)


def account_client(credentials: SnowflakeCredentials, dataset: str) -> SnowflakeSqlClient:
    """dlt's SQL client for an account, made without a pipeline. It needs Snowflake's connector."""
    from dlt.destinations.impl.snowflake.sql_client import SnowflakeSqlClient

    return SnowflakeSqlClient(dataset, "", credentials, dlt.destinations.snowflake().capabilities())
