"""Snowflake's account and credentials, from dlt's own configuration."""

from __future__ import annotations

from dlt.common.configuration.exceptions import ConfigurationException

from refersion_dagster.installation import install_command, is_installed
from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.warehouse.dlt_internals.snowflake import SnowflakeCredentials, find_credentials
from refersion_dagster.warehouse.errors import WarehouseNotSet

HOW_TO_SET = (
    "Set DESTINATION__SNOWFLAKE__CREDENTIALS__HOST (the account identifier), …__DATABASE, …__WAREHOUSE, …__USERNAME "
    "and …__PRIVATE_KEY_PATH (a key in PEM), or [destination.snowflake.credentials] in .dlt/secrets.toml."
)
# Make results match the tested ones regardless of the defaults of account and user. The tag finds the queries of this
# package, and their cost, in the query history.
SESSION_PARAMETERS = {
    "WEEK_START": 1,
    "DATE_INPUT_FORMAT": "AUTO",
    "TIMESTAMP_INPUT_FORMAT": "AUTO",
    "ROWS_PER_RESULTSET": 0,
    "QUERY_TAG": "refersion_dagster",
}


def snowflake_credentials() -> SnowflakeCredentials:
    """The credentials that dlt finds. Raises WarehouseNotSet, with a message that reveals no credentials."""
    if not is_installed("snowflake.connector"):
        raise WarehouseNotSet(
            "REFERSION_DESTINATION is snowflake, which needs snowflake-connector-python. Install with: "
            f"{install_command('snowflake')}"
        )
    try:
        return find_credentials(PIPELINE, DATASET, SESSION_PARAMETERS)
    except (ConfigurationException, ValueError):
        raise WarehouseNotSet(f"Snowflake's credentials are missing or incomplete. {HOW_TO_SET}") from None
