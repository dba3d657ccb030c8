"""Redshift's address and credentials, from dlt's own configuration."""

from __future__ import annotations

from dlt.common.configuration.exceptions import ConfigurationException

from refersion_dagster.installation import install_command, is_installed
from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.warehouse.dlt_internals.redshift_settings import EndpointCredentials, find_credentials
from refersion_dagster.warehouse.errors import WarehouseNotSet

HOW_TO_SET = (
    "Set DESTINATION__REDSHIFT__CREDENTIALS=redshift://user:password@host:5439/database, or "
    "[destination.redshift.credentials] in .dlt/secrets.toml. Percent-encode special characters in the password, such "
    "as @ / : as %40 %2F %3A. The host is the endpoint of the workgroup or of the cluster."
)


def redshift_credentials() -> EndpointCredentials:
    """The credentials that dlt finds, for sessions in UTC.

    Raises WarehouseNotSet, with a message that reveals no credentials.
    """
    if not is_installed("psycopg2"):
        raise WarehouseNotSet(
            "REFERSION_DESTINATION is redshift, which needs psycopg2-binary. Install with: "
            f"{install_command('redshift')}"
        )
    try:
        return find_credentials(PIPELINE, DATASET)
    except (ConfigurationException, ValueError):
        raise WarehouseNotSet(f"Redshift's credentials are missing or incomplete. {HOW_TO_SET}") from None
