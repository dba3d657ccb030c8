"""dlt's DuckLake destination, for a lake that is attached once per process."""

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
# The in-memory DuckDB databases of this process that have a lake attached, by name.
CONNECTIONS: dict[str, Any] = {}


@configspec(init=False)
class LakeCredentials(DuckLakeCredentials):
    """The locations of the catalogue and the files.

    dlt's own class falls back to files in the working directory, and attaches the lake for each connection in a
    separate DuckDB. Each would load the extensions, which takes as long as a small load.
    """

    # The key in CONNECTIONS of the DuckDB that has the lake attached.
    attached: str = ""

    def on_partial(self) -> None:
        """Use no defaults."""


@configspec(init=False)
class LakeConfiguration(DuckLakeClientConfiguration):
    credentials: LakeCredentials = None  # type: ignore[assignment]


class AttachedSqlClient(DuckLakeSqlClient):
    """dlt's SQL client for a lake that stays attached."""

    def open_connection(self) -> Any:
        credentials: Any = self.credentials
        self._conn = CONNECTIONS[credentials.attached].cursor()
        self._conn.execute(f"USE {LAKE}")
        return self._conn

    def close_connection(self) -> None:
        # Closing the connection rolls back. The lake stays attached, because others use it too.
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
    """dlt's DuckLake destination with the client above. All other code sees the regular destination."""

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
    """dlt's configuration for the destination `ducklake` of a pipeline, complete or not; None if there is none.

    Raises ConfigurationException for invalid values.
    """
    configuration = LakeConfiguration()
    return resolve_configuration(AttachedLake(), configuration, pipeline, dataset, accept_partial=True).credentials


def in_memory(credentials: LakeCredentials, name: str) -> LakeCredentials:
    """Credentials whose connections belong to a DuckDB in CONNECTIONS."""
    copied: Any = credentials.copy()
    copied.attached = name
    copied.resolve()
    return copied


def lake_destination(credentials: LakeCredentials) -> AttachedLake:
    """The destination for an attached lake.

    Its files are loaded one after another. Each creates a snapshot of the whole lake, so parallel loads would conflict.
    """
    uncompressed = ParquetFormatConfiguration(compression="none")
    return AttachedLake(
        credentials, destination_name="ducklake", parquet_format=uncompressed, loader_parallelism_strategy="sequential"
    )


def lake_client(credentials: LakeCredentials, dataset: str) -> AttachedSqlClient:
    """dlt's SQL client for an attached lake, created without a pipeline."""
    return AttachedSqlClient(dataset, "", credentials, ducklake().capabilities())


def storage_secrets(credentials: LakeCredentials) -> Sequence[str]:
    """Statements that give DuckDB access to the lake's files. They contain the keys."""
    storage = credentials.storage
    if storage.is_local_filesystem:
        return []
    return DuckDbSqlClient._build_secret_statements(
        storage.bucket_url, storage.credentials, f"{LAKE}_files", "", persist_secrets=False
    )
