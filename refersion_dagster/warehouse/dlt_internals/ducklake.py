"""dlt's DuckLake destination, on a lake that is attached once in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlt.common.configuration import configspec
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.configuration import ParquetFormatConfiguration
from dlt.common.schema import Schema
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.impl.ducklake.configuration import DuckLakeClientConfiguration, DuckLakeCredentials
from dlt.destinations.impl.ducklake.ducklake import DuckLakeClient
from dlt.destinations.impl.ducklake.factory import ducklake
from dlt.destinations.impl.ducklake.sql_client import DuckLakeSqlClient

from refersion_dagster.warehouse.dlt_internals.configuration import resolve_configuration

# The name under which a lake is attached.
LAKE = "refersion_lake"
# Of this process: each DuckDB in memory that has a lake attached, by a name.
CONNECTIONS: dict[str, Any] = {}


@configspec(init=False)
class LakeCredentials(DuckLakeCredentials):
    """Where the catalogue and the files are.

    dlt's own falls back to files in the working directory, and attaches the lake anew for each connection, in a DuckDB
    of its own: each would load the extensions, which takes as long as a small load.
    """

    # The name of the DuckDB in CONNECTIONS that has the lake attached.
    attached: str = ""

    def on_partial(self) -> None:
        """Nothing is assumed."""


@configspec(init=False)
class LakeConfiguration(DuckLakeClientConfiguration):
    credentials: LakeCredentials = None  # type: ignore[assignment]


class AttachedSqlClient(DuckLakeSqlClient):
    """dlt's SQL client, on a lake that stays attached."""

    def open_connection(self) -> Any:
        credentials: Any = self.credentials
        self._conn = CONNECTIONS[credentials.attached].cursor()
        self._conn.execute(f"USE {LAKE}")
        return self._conn

    def close_connection(self) -> None:
        # A connection that is closed rolls back. The lake stays attached, as it belongs to others as well.
        if self._conn:
            self._conn.close()
            self._conn = None  # type: ignore[assignment]


class AttachedLakeClient(DuckLakeClient):
    """dlt's client, with the SQL client above."""

    def __init__(
        self, schema: Schema, config: DuckLakeClientConfiguration, capabilities: DestinationCapabilitiesContext
    ) -> None:
        super().__init__(schema, config, capabilities)
        ours = self.sql_client
        self.sql_client = AttachedSqlClient(
            ours.dataset_name, ours.staging_dataset_name, config.credentials, capabilities
        )


class AttachedLake(ducklake):
    """dlt's DuckLake destination with the client above; to everybody else the same destination."""

    @property
    def spec(self) -> type:
        return LakeConfiguration

    @property
    def destination_type(self) -> str:
        return "dlt.destinations.ducklake"

    @property
    def client_class(self) -> type[DuckLakeClient]:
        return AttachedLakeClient


def find_lake(pipeline: str, dataset: str) -> LakeCredentials | None:
    """What dlt's configuration says for the destination `ducklake` of a pipeline, complete or not; None for nothing.

    Raises ConfigurationException for what cannot be read.
    """
    configuration = LakeConfiguration()
    return resolve_configuration(AttachedLake(), configuration, pipeline, dataset, accept_partial=True).credentials


def in_memory(credentials: LakeCredentials, name: str) -> LakeCredentials:
    """Credentials whose connections are those of a DuckDB in CONNECTIONS."""
    copied: Any = credentials.copy()
    copied.attached = name
    copied.resolve()
    return copied


def lake_destination(credentials: LakeCredentials) -> AttachedLake:
    """The destination for a lake that is attached.

    Its files are loaded one after the other: each is a snapshot of the whole lake, for which several would contend.
    """
    uncompressed = ParquetFormatConfiguration(compression="none")
    return AttachedLake(
        credentials, destination_name="ducklake", parquet_format=uncompressed, loader_parallelism_strategy="sequential"
    )


def lake_client(credentials: LakeCredentials, dataset: str) -> AttachedSqlClient:
    """dlt's SQL client for a lake that is attached, made without a pipeline."""
    return AttachedSqlClient(dataset, "", credentials, ducklake().capabilities())


def storage_secrets(credentials: LakeCredentials) -> Sequence[str]:
    """Statements that let DuckDB read and write the files of a lake. They hold the keys."""
    storage = credentials.storage
    if storage.is_local_filesystem:
        return []
    return DuckDbSqlClient._build_secret_statements(
        storage.bucket_url, storage.credentials, f"{LAKE}_files", "", persist_secrets=False
    )
