"""The source as a plain dlt pipeline, without Dagster: `python -m refersion_dagster.pipeline`.

Loads into `refersion.duckdb` in the working directory (or REFERSION_DUCKDB_PATH), or into the database of dlt's
configuration if REFERSION_DESTINATION names another; dataset `refersion_data`. Keys come from the environment
(REFERSION_PUBLIC_KEY, …) or from dlt's own configuration (`[sources.refersion_source]` in `.dlt/secrets.toml`).
Without a GraphQL token, the REST tables are loaded and the script says what is left out.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import dlt
import duckdb
import pyarrow as pa
from dlt.pipeline.pipeline import Pipeline

from refersion_dagster.errors import ReportedError
from refersion_dagster.refersion import ReadReport, refersion_source
from refersion_dagster.refersion.api.auth import Credentials
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.environment import DATASET, PIPELINE, from_dlt
from refersion_dagster.refersion.errors import MissingCredentials
from refersion_dagster.refersion.identity import check_account, remember_account
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.settings import AccountSettings, InvalidSetting, Settings, WarehouseSettings, load_settings
from refersion_dagster.warehouse.database import Database
from refersion_dagster.warehouse.duckdb.destination import open_destination
from refersion_dagster.warehouse.load import check_merges, run_load
from refersion_dagster.warehouse.registry import open_database


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Load a complete Refersion account into the warehouse, without Dagster.

    The tables are written to refersion.duckdb in this folder, or as REFERSION_DUCKDB_PATH and REFERSION_DESTINATION
    say. Settings are read from the environment and from .env; keys may also be in dlt's own configuration.
    """
    # Not an exception at an arbitrary point: threads and dlt would fill the screen with tracebacks. The database rolls
    # back uncommitted writes.
    signal.signal(signal.SIGINT, lambda *_: _stop())
    raise SystemExit(main())


def _stop() -> None:
    os.write(sys.stderr.fileno(), b"\nStopped. Committed data is kept; the next run continues from there.\n")
    os._exit(130)


def main() -> int:
    """Loads everything. Returns the exit code."""
    # Arrow's default pool keeps much of the freed memory: an eighth more at the peak of 300,000 conversions.
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        settings = load_settings()
        # Before any file or table is created.
        settings.check([*AccountSettings.variables().values(), *WarehouseSettings.variables().values()])
        if settings.account.exports_path:
            raise InvalidSetting("REFERSION_EXPORTS_PATH is set. Exports are loaded by: refersion-dagster refresh")
    except InvalidSetting as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        return 1
    try:
        with open_warehouse(settings) as load:
            load([entity.name for entity in ENTITIES.values() if not entity.is_graphql])
            try:
                load([entity.name for entity in ENTITIES.values() if entity.is_graphql])
            except MissingCredentials as error:
                click.echo(f"Skipped: {error}", err=True)
    except duckdb.IOException as error:
        click.echo(
            f"{duckdb_path(settings)} cannot be opened for writing: {error}\nNothing was loaded. Close it in the other "
            "program, or set another file in REFERSION_DUCKDB_PATH, and run this again.",
            err=True,
        )
        return 1
    except (ReportedError, ValueError) as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        return 1
    return 0


def duckdb_path(settings: Settings) -> str:
    """The configured DuckDB file.

    An absolute path, because dlt resolves a relative one from the folder in which this pipeline was first run.
    """
    return str(Path(settings.warehouse.duckdb_path).expanduser().resolve())


@contextmanager
def open_warehouse(settings: Settings) -> Iterator[Callable[[list[str]], None]]:
    """Yields a function that loads tables into the configured database, with exclusive write access.

    Raises duckdb.IOException for a DuckDB file that another program has open, and WarehouseError for other databases.
    """
    warehouse = settings.warehouse
    database = open_database(warehouse.destination, warehouse.duckdb_path, warehouse.duckdb_memory)
    if database.file is not None:
        with open_destination(str(database.file), warehouse.duckdb_memory) as file:
            pipeline = dlt.pipeline(PIPELINE, destination=file, dataset_name=DATASET)
            yield lambda tables: load(pipeline, settings.account, tables, database)
        return
    with database.write_lock(warehouse.lock_timeout_seconds, click.echo), database.open_destination() as server:
        check_merges(server)
        pipeline = dlt.pipeline(PIPELINE, destination=server, dataset_name=DATASET)
        yield lambda tables: load(pipeline, settings.account, tables, database)


def load(pipeline: Pipeline, settings: AccountSettings, tables: list[str], database: Database) -> None:
    """Loads the tables, in as many commits as their size requires, and prints dlt's summary of each.

    Raises RefersionError and WarehouseError, unwrapped from dlt's exceptions.
    """
    given = {"rows_per_load": settings.rows_per_load, **settings.list_set_values()}
    # The source does not read the status page.
    given.pop("status_url", None)
    report = ReadReport()
    account = account_of(settings)
    with database.session() as session:
        check_account(account, session.query)
    while True:
        source = database.prepare(refersion_source(**given, report=report))
        click.echo(run_load(pipeline, source.with_resources(*tables), database.classify_error))
        if not report.more:
            break
    used = account.credentials.graphql_token if ENTITIES[tables[0]].is_graphql else account.credentials.public_key
    with database.session() as session:
        remember_account([used], session.query)


def account_of(settings: AccountSettings) -> RefersionClient:
    """The account in these settings and dlt's configuration, for single requests."""
    given = settings.list_set_values()
    found = {name: given.get(name) or from_dlt(name) for name in AccountSettings.model_fields}
    return RefersionClient(
        Credentials(found["public_key"], found["api_key"], found["graphql_token"]),
        found["rest_url"] or settings.rest_url,
        found["graphql_url"] or settings.graphql_url,
    )


if __name__ == "__main__":
    command()
