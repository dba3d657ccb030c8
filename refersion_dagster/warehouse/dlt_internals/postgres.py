"""dlt's PostgreSQL destination, set for loads of any number of rows. Importing it needs psycopg2."""

from __future__ import annotations

from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.destinations.impl.postgres.factory import PostgresTypeMapper, postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresParquetCopyJob
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient

from refersion_dagster.warehouse.dlt_internals.postgres_settings import EncodedCredentials, ServerConfiguration


class RowGroupClient(PostgresClient):
    """Copies a file by its row groups. Otherwise it is in memory as a whole, and one without rows is an error."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        job = super().create_load_job(table, file_path, load_id, restore)
        if isinstance(job, PostgresParquetCopyJob):
            job._ingest_per_rowgroup = True
        return job


class CodePointTypes(PostgresTypeMapper):
    """Texts are compared by code point, as in DuckDB; see PostgresDialect."""

    sct_to_unbound_dbt = {**PostgresTypeMapper.sct_to_unbound_dbt, "text": 'varchar COLLATE "C"'}  # noqa: RUF012


class RowGroupPostgres(postgres):
    """dlt's PostgreSQL destination with the client above; to everybody else the same destination."""

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
    """dlt's SQL client for a server, made without a pipeline."""
    return Psycopg2SqlClient(dataset, "", credentials, row_group_destination(credentials).capabilities())
