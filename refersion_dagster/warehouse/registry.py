"""The registry of databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from refersion_dagster.settings import InvalidSetting, WarehouseSettings
from refersion_dagster.warehouse.bigquery.database import BigQueryDatabase
from refersion_dagster.warehouse.database import SCHEMAS, Database, Schemas
from refersion_dagster.warehouse.databricks.database import DatabricksDatabase
from refersion_dagster.warehouse.dialects.bigquery import BigQueryDialect
from refersion_dagster.warehouse.dialects.databricks import DatabricksDialect
from refersion_dagster.warehouse.dialects.dialect import DUCKDB, Dialect
from refersion_dagster.warehouse.dialects.postgres import PostgresDialect
from refersion_dagster.warehouse.dialects.redshift import RedshiftDialect
from refersion_dagster.warehouse.dialects.snowflake import SnowflakeDialect
from refersion_dagster.warehouse.dialects.spark import SparkDialect
from refersion_dagster.warehouse.duckdb.database import DuckDBDatabase
from refersion_dagster.warehouse.ducklake.database import DuckLakeDatabase
from refersion_dagster.warehouse.engine import Engine, Exchange
from refersion_dagster.warehouse.errors import WarehouseNotSet
from refersion_dagster.warehouse.motherduck.database import MotherDuckDatabase
from refersion_dagster.warehouse.postgres.database import PostgresDatabase
from refersion_dagster.warehouse.redshift.database import RedshiftDatabase
from refersion_dagster.warehouse.snowflake.database import SnowflakeDatabase
from refersion_dagster.warehouse.spark.engine import SparkEngine


def _duckdb(settings: WarehouseSettings, _: Schemas) -> Database:
    return DuckDBDatabase(Path(settings.duckdb_path).expanduser().resolve(), settings.duckdb_memory)


# By REFERSION_DESTINATION. A database reads its other settings from dlt's own configuration.
DATABASES: Mapping[str, Callable[[WarehouseSettings, Schemas], Database]] = {
    "duckdb": _duckdb,
    "postgres": lambda _, schemas: PostgresDatabase(schemas=schemas),
    "postgresql": lambda _, schemas: PostgresDatabase(schemas=schemas),
    "ducklake": lambda *_: DuckLakeDatabase(),
    "motherduck": lambda *_: MotherDuckDatabase(),
    "bigquery": lambda *_: BigQueryDatabase(),
    "databricks": lambda *_: DatabricksDatabase(),
    "snowflake": lambda *_: SnowflakeDatabase(),
    "redshift": lambda *_: RedshiftDatabase(),
}

# Where an account may have schemas of its own, by REFERSION_DESTINATION.
WITH_OWN_SCHEMAS = ("duckdb", "postgres", "postgresql")

# The dialects of these databases, to translate SQL without a connection.
DIALECTS: Mapping[str, Dialect] = {
    **dict.fromkeys(("duckdb", "ducklake", "motherduck"), DUCKDB),
    **dict.fromkeys(("postgres", "postgresql"), PostgresDialect()),
    "bigquery": BigQueryDialect(),
    "databricks": DatabricksDialect(),
    "snowflake": SnowflakeDialect(),
    "redshift": RedshiftDialect(),
}

# By REFERSION_SUMMARIES_ENGINE, at the address that REFERSION_SPARK_REMOTE names.
ENGINES: Mapping[str, Callable[[str], Engine]] = {"spark": SparkEngine}
# The dialects in which these compute.
ENGINE_DIALECTS: Mapping[str, Dialect] = {"spark": SparkDialect()}
# Databases that write and read an engine's Parquet files themselves.
READS_FILES = ("duckdb", "ducklake")


def find_dialect(settings: WarehouseSettings) -> Dialect:
    """The dialect in which summaries and checks are computed."""
    return ENGINE_DIALECTS.get(settings.summaries_engine) or DIALECTS[settings.destination]


@contextmanager
def open_engine(
    name: str, destination: str, remote: str | None, folder: str | None
) -> Iterator[tuple[Engine, Exchange]]:
    """An engine, with a run's folder that it shares with the warehouse. Raises WarehouseNotSet."""
    engine = WarehouseSettings.variable("summaries_engine")
    try:
        WarehouseSettings.of({}, summaries_engine=name, spark_remote=remote)
    except InvalidSetting as error:
        raise WarehouseNotSet(str(error)) from None
    if destination not in READS_FILES:
        raise WarehouseNotSet(
            f"{engine} is {name}, which works with {' and '.join(READS_FILES)}, not with {destination}: these read and "
            f"write the cluster's files. Correct {engine} or REFERSION_DESTINATION."
        )
    needed = {WarehouseSettings.variable("spark_remote"): remote, WarehouseSettings.variable("spark_folder"): folder}
    if not remote or not folder:
        missing = " and ".join(variable for variable, value in needed.items() if not value)
        raise WarehouseNotSet(f"{engine} is {name}, which also needs {missing}; see docs/warehouses.md.")
    exchange = Exchange(Path(folder).expanduser().absolute())
    exchange.open()
    try:
        opened = ENGINES[name](remote)
        try:
            yield opened, exchange
        finally:
            opened.close()
    finally:
        exchange.close()


def open_database(destination: str, duckdb_path: str, duckdb_memory: str, schemas: Schemas = SCHEMAS) -> Database:
    """The database for these settings.

    Raises WarehouseNotSet for an unknown destination, and for schemas that it cannot have.
    """
    try:
        known = WarehouseSettings.of({WarehouseSettings.variable("destination"): destination})
    except InvalidSetting as error:
        raise WarehouseNotSet(str(error)) from None
    # Only a load needs the memory setting, so only a load validates it.
    settings = known.model_copy(update={"duckdb_path": duckdb_path, "duckdb_memory": duckdb_memory})
    if schemas != SCHEMAS and known.destination not in WITH_OWN_SCHEMAS:
        raise WarehouseNotSet(
            f"Schemas with other names were never tried in {known.destination}, only in {', '.join(WITH_OWN_SCHEMAS)}. "
            "Leave data_schema and summaries_schema out, and use another database for each account."
        )
    return DATABASES[known.destination](settings, schemas)
