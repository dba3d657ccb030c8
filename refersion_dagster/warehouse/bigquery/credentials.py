"""BigQuery's project and credentials, from dlt's own configuration."""

from __future__ import annotations

from dlt.common.configuration.exceptions import ConfigurationException

from refersion_dagster.installation import install_command, is_installed
from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.warehouse.dlt_internals.bigquery import BigQueryClientConfiguration, find_configuration
from refersion_dagster.warehouse.errors import WarehouseNotSet

# Packages of the extra `bigquery`, keyed by the module that shows whether the package is installed.
CLIENTS = {"google.cloud.bigquery": "google-cloud-bigquery", "db_dtypes": "db-dtypes"}
HOW_TO_SET = (
    "Set DESTINATION__BIGQUERY__CREDENTIALS to the JSON key of a service account, or log in with `gcloud auth "
    "application-default login`, or set [destination.bigquery.credentials] in .dlt/secrets.toml. The project comes "
    "from the key, DESTINATION__BIGQUERY__PROJECT_ID or GOOGLE_CLOUD_PROJECT, the location from "
    "DESTINATION__BIGQUERY__LOCATION (US if it is not set)."
)


def bigquery_configuration() -> BigQueryClientConfiguration:
    """The configuration that dlt finds. Raises WarehouseNotSet, with a message that reveals no credentials."""
    missing = [package for module, package in CLIENTS.items() if not is_installed(module)]
    if missing:
        raise WarehouseNotSet(
            f"REFERSION_DESTINATION is bigquery, which needs {' and '.join(missing)}. Install with: "
            f"{install_command('bigquery')}"
        )
    try:
        found = find_configuration(PIPELINE, DATASET)
    except (ConfigurationException, ValueError):
        raise WarehouseNotSet(f"BigQuery's credentials are missing or cannot be read. {HOW_TO_SET}") from None
    if not (found.project_id or found.credentials.project_id):
        raise WarehouseNotSet(f"No project of BigQuery is set. {HOW_TO_SET}")
    return found
