"""dlt's PostgreSQL destination, set for loads of any number of rows."""

from __future__ import annotations

from typing import Any

from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.destinations.impl.postgres.factory import postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresParquetCopyJob

from refersion_dagster.warehouse.postgres_credentials import EncodedCredentials


class _Client(PostgresClient):
    """Copies a file by its row groups. Otherwise it is in memory as a whole, and one without rows is an error."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        job = super().create_load_job(table, file_path, load_id, restore)
        if isinstance(job, PostgresParquetCopyJob):
            job._ingest_per_rowgroup = True
        return job


class _Destination(postgres):
    @property
    def client_class(self) -> type[PostgresClient]:
        return _Client


def postgres_loading(credentials: EncodedCredentials) -> Any:
    """The destination for loading Parquet files, which dlt copies through ADBC."""
    return _Destination(credentials=credentials, destination_name="postgres")
