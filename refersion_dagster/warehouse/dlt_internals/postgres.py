"""dlt's PostgreSQL destination, configured for loads of any number of rows. Importing this module requires psycopg2."""

from __future__ import annotations

from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.destinations.impl.postgres.factory import PostgresTypeMapper, postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresParquetCopyJob
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient

from refersion_dagster.warehouse.dlt_internals.postgres_settings import EncodedCredentials, ServerConfiguration


class RowGroupClient(PostgresClient):
    """Copies a file by row group. dlt's client reads the whole file into memory, and fails on a file without rows."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        job = super().create_load_job(table, file_path, load_id, restore)
        if isinstance(job, PostgresParquetCopyJob):
            job._ingest_per_rowgroup = True
        return job


class CodePointTypes(PostgresTypeMapper):
    """Compares texts by code point, as DuckDB does; see PostgresDialect."""

    sct_to_unbound_dbt = {**PostgresTypeMapper.sct_to_unbound_dbt, "text": 'varchar COLLATE "C"'}  # noqa: RUF012


class RowGroupPostgres(postgres):
    """dlt's PostgreSQL destination with the client above. All other code sees the regular destination."""

    spec = ServerConfiguration

    @property
    def destination_type(self) -> str:
        return "dlt.destinations.postgres"

    @property
    def client_class(self) -> type[PostgresClient]:
        return RowGroupClient


def row_group_destination(credentials: EncodedCredentials) -> RowGroupPostgres:
    """The destination for loading Parquet files, which dlt copies through ADBC."""
    return RowGroupPostgres(credentials, destination_name="postgres", type_mapper=CodePointTypes)


def server_client(credentials: EncodedCredentials, dataset: str) -> Psycopg2SqlClient:
    """dlt's SQL client for a server, created without a pipeline."""
    return Psycopg2SqlClient(dataset, "", credentials, row_group_destination(credentials).capabilities())
