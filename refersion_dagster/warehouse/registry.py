"""The registry of databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from refersion_dagster.settings import InvalidSetting, WarehouseSettings
from refersion_dagster.warehouse.bigquery.database import BigQueryDatabase
from refersion_dagster.warehouse.database import Database
from refersion_dagster.warehouse.databricks.database import DatabricksDatabase
from refersion_dagster.warehouse.dialects.bigquery import BigQueryDialect
from refersion_dagster.warehouse.dialects.databricks import DatabricksDialect
from refersion_dagster.warehouse.dialects.dialect import DUCKDB, Dialect
from refersion_dagster.warehouse.dialects.postgres import PostgresDialect
from refersion_dagster.warehouse.dialects.redshift import RedshiftDialect
from refersion_dagster.warehouse.dialects.snowflake import SnowflakeDialect
from refersion_dagster.warehouse.duckdb.database import DuckDBDatabase
from refersion_dagster.warehouse.ducklake.database import DuckLakeDatabase
from refersion_dagster.warehouse.errors import WarehouseNotSet
from refersion_dagster.warehouse.motherduck.database import MotherDuckDatabase
from refersion_dagster.warehouse.postgres.database import PostgresDatabase
from refersion_dagster.warehouse.redshift.database import RedshiftDatabase
from refersion_dagster.warehouse.snowflake.database import SnowflakeDatabase


def _duckdb(settings: WarehouseSettings) -> Database:
    return DuckDBDatabase(Path(settings.duckdb_path).expanduser().resolve(), settings.duckdb_memory)


# By REFERSION_DESTINATION. A database reads its other settings from dlt's own configuration.
DATABASES: Mapping[str, Callable[[WarehouseSettings], Database]] = {
    "duckdb": _duckdb,
    "postgres": lambda _: PostgresDatabase(),
    "postgresql": lambda _: PostgresDatabase(),
    "ducklake": lambda _: DuckLakeDatabase(),
    "motherduck": lambda _: MotherDuckDatabase(),
    "bigquery": lambda _: BigQueryDatabase(),
    "databricks": lambda _: DatabricksDatabase(),
    "snowflake": lambda _: SnowflakeDatabase(),
    "redshift": lambda _: RedshiftDatabase(),
}

# The dialects of these databases, to translate SQL without a connection.
DIALECTS: Mapping[str, Dialect] = {
    **dict.fromkeys(("duckdb", "ducklake", "motherduck"), DUCKDB),
    **dict.fromkeys(("postgres", "postgresql"), PostgresDialect()),
    "bigquery": BigQueryDialect(),
    "databricks": DatabricksDialect(),
    "snowflake": SnowflakeDialect(),
    "redshift": RedshiftDialect(),
}


def open_database(destination: str, duckdb_path: str, duckdb_memory: str) -> Database:
    """The database for these settings. Raises WarehouseNotSet for an unknown destination."""
    try:
        known = WarehouseSettings.of({WarehouseSettings.variable("destination"): destination})
    except InvalidSetting as error:
        raise WarehouseNotSet(str(error)) from None
    # Only a load needs the memory setting, so only a load validates it.
    settings = known.model_copy(update={"duckdb_path": duckdb_path, "duckdb_memory": duckdb_memory})
    return DATABASES[known.destination](settings)
