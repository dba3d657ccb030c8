"""dlt's PostgreSQL destination, set for loads of any number of rows."""

from __future__ import annotations

from typing import Any

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import LoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.destinations.impl.postgres.factory import PostgresTypeMapper, postgres
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresParquetCopyJob

from refersion_dagster.warehouse.postgres.credentials import Configuration, EncodedCredentials


class _Client(PostgresClient):
    """Copies a file by its row groups. Otherwise it is in memory as a whole, and one without rows is an error."""

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        job = super().create_load_job(table, file_path, load_id, restore)
        if isinstance(job, PostgresParquetCopyJob):
            job._ingest_per_rowgroup = True
        return job


class _Types(PostgresTypeMapper):
    """Texts are compared by code point, as in DuckDB; see sql.py."""

    sct_to_unbound_dbt = {**PostgresTypeMapper.sct_to_unbound_dbt, "text": 'varchar COLLATE "C"'}  # noqa: RUF012


class _Destination(postgres):
    """dlt's PostgreSQL destination with what is above; to everybody else the same destination."""

    spec = Configuration

    @property
    def destination_type(self) -> str:
        return "dlt.destinations.postgres"

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.type_mapper = _Types
        return capabilities

    @property
    def client_class(self) -> type[PostgresClient]:
        return _Client


def postgres_loading(credentials: EncodedCredentials) -> Any:
    """The destination for loading Parquet files, which dlt copies through ADBC."""
    return _Destination(credentials=credentials, destination_name="postgres")
