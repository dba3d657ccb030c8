"""The database and the token of MotherDuck, from dlt's own configuration."""

from __future__ import annotations

import os

from dlt.common.configuration.exceptions import ConfigurationException

from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.warehouse.dlt_internals.motherduck import MotherDuckCredentials, find_token_and_database
from refersion_dagster.warehouse.errors import WarehouseNotSet

HOW_TO_SET = (
    "Set DESTINATION__MOTHERDUCK__CREDENTIALS=md:database?motherduck_token=… in .env, or "
    "[destination.motherduck.credentials] with database and password (the token) in .dlt/secrets.toml. The token may "
    "also be in the environment, as motherduck_token."
)


def motherduck_credentials() -> MotherDuckCredentials:
    """What dlt finds. Raises WarehouseNotSet, in words that hold nothing of it.

    Without a token, MotherDuck would open a browser and wait for somebody to log in.
    """
    try:
        found = find_token_and_database(PIPELINE, DATASET)
    except ConfigurationException:
        raise WarehouseNotSet(f"MotherDuck's credentials cannot be read. {HOW_TO_SET}") from None
    if not (found and found.password) and not _own_tokens():
        raise WarehouseNotSet(f"REFERSION_DESTINATION is motherduck, and no token is set. {HOW_TO_SET}")
    if found is None or not found.database:
        raise WarehouseNotSet(f"MotherDuck's credentials name no database. {HOW_TO_SET}")
    return found


def without_token(text: str, credentials: MotherDuckCredentials) -> str:
    """A message of DuckDB's, which may quote the address that it was given."""
    for token in filter(None, (credentials.password, *_own_tokens())):
        text = text.replace(str(token), "…")
    return text


def _own_tokens() -> list[str]:
    """What is set where MotherDuck itself looks."""
    own = os.environ.get("motherduck_token")  # noqa: SIM112 - so it is spelt
    return [*filter(None, (own, os.environ.get("MOTHERDUCK_TOKEN")))]
