"""dlt's configuration of Snowflake, and its client. Importing this module requires no Snowflake package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dlt
from dlt.destinations.impl.snowflake.configuration import SnowflakeClientConfiguration, SnowflakeCredentials

from refersion_dagster.warehouse.dlt_internals.configuration import resolve_configuration

if TYPE_CHECKING:
    from dlt.destinations.impl.snowflake.sql_client import SnowflakeSqlClient

# Connector 5 and later warns if this is not set. No query of this package continues after its session.
CONNECTION = {"enable_server_session_keep_alive_auto_detection": False}


def find_credentials(pipeline: str, dataset: str, session_parameters: Mapping[str, object]) -> SnowflakeCredentials:
    """dlt's configuration for the destination `snowflake` of a pipeline, for sessions in UTC.

    Args:
        session_parameters: further parameters of each session, including those of loads.

    Raises ConfigurationException if something is missing, and ValueError for a private key that cannot be read.
    """
    configuration = SnowflakeClientConfiguration()
    found = resolve_configuration(dlt.destinations.snowflake(), configuration, pipeline, dataset).credentials
    found.session_timezone = "UTC"
    # dlt passes the query of the address on to the connector.
    found.query = {**(found.query or {}), **CONNECTION, "session_parameters": dict(session_parameters)}
    return found


def session_destination(credentials: SnowflakeCredentials) -> Any:
    """dlt's destination with these credentials. Files that a load puts in a table's stage are removed after it."""
    return dlt.destinations.snowflake(credentials=credentials, destination_name="snowflake", keep_staged_files=False)


def account_client(credentials: SnowflakeCredentials, dataset: str) -> SnowflakeSqlClient:
    """dlt's SQL client for an account, created without a pipeline. It requires Snowflake's connector."""
    from dlt.destinations.impl.snowflake.sql_client import SnowflakeSqlClient

    return SnowflakeSqlClient(dataset, "", credentials, dlt.destinations.snowflake().capabilities())
