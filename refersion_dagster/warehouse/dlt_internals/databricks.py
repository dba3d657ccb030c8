"""dlt's configuration of Databricks, and its client. Importing this module requires no Databricks package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dlt
from dlt.destinations.impl.databricks.configuration import DatabricksClientConfiguration, DatabricksCredentials

from refersion_dagster.warehouse.dlt_internals.configuration import resolve_configuration

if TYPE_CHECKING:
    from dlt.destinations.impl.databricks.sql_client import DatabricksSqlClient


def find_credentials(pipeline: str, dataset: str) -> DatabricksCredentials:
    """dlt's configuration for the destination `databricks` of a pipeline, for sessions in UTC.

    Raises ConfigurationException if something is missing.
    """
    configuration = DatabricksClientConfiguration()
    found = resolve_configuration(dlt.destinations.databricks(), configuration, pipeline, dataset).credentials
    found.session_timezone = "UTC"
    return found


def utc_destination(credentials: DatabricksCredentials) -> Any:
    """dlt's destination with these credentials. Files that a load puts in the volume are removed after it."""
    return dlt.destinations.databricks(credentials=credentials, destination_name="databricks", keep_staged_files=False)


def workspace_client(credentials: DatabricksCredentials, dataset: str) -> DatabricksSqlClient:
    """dlt's SQL client for a workspace, created without a pipeline. It requires Databricks' connector."""
    from dlt.destinations.impl.databricks.sql_client import DatabricksSqlClient

    return DatabricksSqlClient(dataset, "", credentials, dlt.destinations.databricks().capabilities())
