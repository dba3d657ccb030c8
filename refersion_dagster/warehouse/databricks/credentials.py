"""Databricks' workspace and credentials, from dlt's own configuration."""

from __future__ import annotations

from dlt.common.configuration.exceptions import ConfigurationException

from refersion_dagster.installation import install_command, is_installed
from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.warehouse.dlt_internals.databricks import DatabricksCredentials, find_credentials
from refersion_dagster.warehouse.errors import WarehouseNotSet

HOW_TO_SET = (
    "Set DESTINATION__DATABRICKS__CREDENTIALS__SERVER_HOSTNAME, …__HTTP_PATH (both are shown under Connection details "
    "of the SQL warehouse), …__CATALOG and …__ACCESS_TOKEN, or [destination.databricks.credentials] in "
    ".dlt/secrets.toml."
)


def databricks_credentials() -> DatabricksCredentials:
    """The credentials that dlt finds. Raises WarehouseNotSet, with a message that reveals no credentials."""
    if not is_installed("databricks.sql"):
        raise WarehouseNotSet(
            "REFERSION_DESTINATION is databricks, which needs databricks-sql-connector. Install with: "
            f"{install_command('databricks')}"
        )
    try:
        found = find_credentials(PIPELINE, DATASET)
    except (ConfigurationException, ValueError):
        raise WarehouseNotSet(f"Databricks' credentials are missing or incomplete. {HOW_TO_SET}") from None
    if found.client_id and not is_installed("databricks.sdk"):
        raise WarehouseNotSet(
            "A login of Databricks by client_id needs databricks-sdk. Install with: pip install databricks-sdk"
        )
    return found
