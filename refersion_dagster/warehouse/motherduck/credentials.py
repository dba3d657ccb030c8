"""MotherDuck's database and token, from dlt's own configuration."""

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
    """The credentials that dlt finds. Raises WarehouseNotSet, with a message that reveals no credentials.

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
    """DuckDB's message without the token. The message may quote the address that DuckDB was given."""
    for token in filter(None, (credentials.password, *_own_tokens())):
        text = text.replace(str(token), "…")
    return text


def _own_tokens() -> list[str]:
    """The tokens set where MotherDuck itself looks for them."""
    own = os.environ.get("motherduck_token")  # noqa: SIM112 - MotherDuck's spelling
    return [*filter(None, (own, os.environ.get("MOTHERDUCK_TOKEN")))]
