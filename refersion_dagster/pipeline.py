"""The source as a plain dlt pipeline, without Dagster: `python -m refersion_dagster.pipeline`.

Loads into `refersion.duckdb` of the working directory (or REFERSION_DUCKDB_PATH), dataset `refersion_data`. Keys come
from the environment (REFERSION_PUBLIC_KEY, …) or from dlt's own configuration (`[sources.refersion_source]` in
`.dlt/secrets.toml`). Without a GraphQL token the REST tables are loaded and the script says what is left out.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click
import dlt
from dlt.destinations.exceptions import DestinationConnectionError
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline

from refersion_dagster.refersion import ReadReport, refersion_source
from refersion_dagster.refersion.duckdb_file import duckdb_file, kept_open
from refersion_dagster.refersion.entities import ENTITIES
from refersion_dagster.refersion.environment import (
    DATASET,
    PIPELINE,
    ROWS_PER_LOAD,
    from_environment,
)
from refersion_dagster.refersion.errors import MissingCredentials, RefersionError, underlying


def main() -> int:
    """Loads everything; returns the exit code."""
    destination = duckdb_file(os.environ.get("REFERSION_DUCKDB_PATH"))
    pipeline = dlt.pipeline(PIPELINE, destination=destination, dataset_name=DATASET)
    try:
        with kept_open(pipeline):
            load(pipeline, [entity.name for entity in ENTITIES.values() if not entity.is_graphql])
            try:
                load(pipeline, [entity.name for entity in ENTITIES.values() if entity.is_graphql])
            except MissingCredentials as error:
                click.echo(f"Left out: {error}", err=True)
    except DestinationConnectionError as error:
        click.echo(f"The database cannot be opened for writing: {error}", err=True)
        return 1
    except RefersionError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        return 1
    return 0


def load(pipeline: Pipeline, tables: list[str]) -> None:
    """Loads the tables, in as many commits as their size takes, and prints dlt's account of each.

    Raises the source's own RefersionError, out of the errors that dlt wraps around it.
    """
    given: dict[str, Any] = {"rows_per_load": ROWS_PER_LOAD, **from_environment()}
    report = ReadReport()
    while True:
        source = refersion_source(
            **given,
            report=report,
        )
        try:
            click.echo(pipeline.run(source.with_resources(*tables), loader_file_format="parquet"))
        except PipelineStepFailed as error:
            raise underlying(error) or error from None
        if not report.more:
            return


if __name__ == "__main__":
    sys.exit(main())
