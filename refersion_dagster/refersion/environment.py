"""Names that users set and see: environment variables, the dlt pipeline, its dataset and its DuckDB file."""

from __future__ import annotations

import os
from typing import Any

from refersion_dagster.settings import whole_number

PIPELINE = "refersion_pipeline"
DATASET = "refersion_data"
DESTINATION_NAME = "refersion"
# Where the DuckDB file is unless REFERSION_DUCKDB_PATH says otherwise. (A file named like the dataset would fail.)
DUCKDB_PATH = "refersion.duckdb"
# Windowed tables are committed after whole months that hold about this many rows.
ROWS_PER_LOAD = 200_000

# Arguments of refersion_source by the environment variable that gives them.
VARIABLES = {
    "public_key": "REFERSION_PUBLIC_KEY",
    "api_key": "REFERSION_SECRET_KEY",
    "graphql_token": "REFERSION_GRAPHQL_TOKEN",
    "rest_url": "REFERSION_REST_URL",
    "graphql_url": "REFERSION_GRAPHQL_URL",
    "start_date": "REFERSION_START_DATE",
    "lookback_days": "REFERSION_LOOKBACK_DAYS",
    "pii": "REFERSION_PII",
    "pii_salt": "REFERSION_PII_SALT",
    "max_concurrency": "REFERSION_MAX_CONCURRENCY",
    "retry_seconds": "REFERSION_RETRY_SECONDS",
    "rows_per_load": "REFERSION_ROWS_PER_LOAD",
}
INTEGERS = frozenset({"lookback_days", "max_concurrency", "retry_seconds", "rows_per_load"})


def from_dlt(name: str) -> str | None:
    """A setting of [sources.refersion_source] in .dlt/secrets.toml or .dlt/config.toml, as the source finds it."""
    import dlt

    place = f"sources.refersion_source.{name}"
    kind = int if name in INTEGERS else str
    found = dlt.secrets.get(place, kind)
    if found is None:
        found = dlt.config.get(place, kind)
    return None if found is None else str(found)


def from_environment() -> dict[str, Any]:
    """Arguments of refersion_source, from the variables that are set. Raises InvalidSetting if one is not a number."""
    given: dict[str, Any] = {}
    for name, variable in VARIABLES.items():
        if value := os.environ.get(variable):
            given[name] = whole_number(variable, value) if name in INTEGERS else value
    return given
