"""dlt's DuckDB destination, which merges load files without a staging dataset."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import dlt
from dlt.common.configuration import configspec
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import FollowupJobRequest, LoadJob
from dlt.common.destination.configuration import ParquetFormatConfiguration
from dlt.common.destination.exceptions import DestinationTerminalException
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.normalizers.naming import NamingConvention
from dlt.common.schema.utils import get_columns_names_with_prop, get_nested_tables
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration, DuckDbCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from refersion_dagster.warehouse.duckdb.merge import FileMerge


class MergeJob(DuckDbCopyJob):
    """Merges one Parquet file."""

    def run(self) -> None:
        name, schema = self.load_table_name, self._schema
        keys = get_columns_names_with_prop(schema.get_table(name), "primary_key")
        FileMerge(self._job_client.sql_client, name, keys, [*schema.get_table_columns(name)], self._file_path).run()


class DirectMergeClient(DuckDbClient):
    """dlt's client for DuckDB, with FileMerge for the tables that it supports."""

    def _merges_files(self, name: str) -> bool:
        """Whether the table is merged on a key, has no nested tables, and its rows are declared distinct."""
        table = self.schema.get_table(name)
        return bool(
            table.get("write_disposition") == "merge"
            and table.get("x-merge-strategy") == "delete-insert"
            and table.get("x-stage-data-deduplicated")
            and get_columns_names_with_prop(table, "primary_key")
            and not get_columns_names_with_prop(table, "hard_delete")
            and not get_columns_names_with_prop(table, "merge_key")
            and len(get_nested_tables(self.schema.tables, name)) == 1
        )

    def should_load_data_to_staging_dataset(self, table_name: str) -> bool:
        return super().should_load_data_to_staging_dataset(table_name) and not self._merges_files(table_name)

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        name = ParsedLoadJobFileName.parse(file_path).table_name
        if not self._merges_files(name):
            return super().create_load_job(table, file_path, load_id, restore)
        if not file_path.endswith(".parquet"):
            raise DestinationTerminalException(f"{name} has to be loaded with loader_file_format='parquet'.")
        return MergeJob(file_path)

    def _create_merge_followup_jobs(self, table_chain: Sequence[PreparedTableSchema]) -> list[FollowupJobRequest]:
        if self._merges_files(table_chain[0].get("name") or ""):
            return []
        return super()._create_merge_followup_jobs(table_chain)


@configspec(init=False)
class FileConfiguration(DuckDbClientConfiguration):
    """dlt's configuration, with the location read without SQLAlchemy: importing it takes longer than a small load."""

    def __str__(self) -> str:
        return f"duckdb:///{self.credentials.database}"


class DirectMergeDuckDb(dlt.destinations.duckdb):
    """dlt's DuckDB destination with the client above. All other code sees the regular destination."""

    spec = FileConfiguration

    @property
    def destination_type(self) -> str:
        return "dlt.destinations.duckdb"

    def capabilities(
        self, config: DuckDbClientConfiguration | None = None, naming: NamingConvention | None = None
    ) -> DestinationCapabilitiesContext:
        # dlt searches every provider for settings, ten times per load: a third of the time of a small load. DuckDB's
        # capabilities need none.
        return super().capabilities(config or self.spec(), naming)

    @property
    def client_class(self) -> type[DuckDbClient]:
        return DirectMergeClient


def direct_merge_destination(credentials: DuckDbCredentials, name: str) -> DirectMergeDuckDb:
    """The destination for a file. Its load files last only seconds, so they are not compressed."""
    uncompressed = ParquetFormatConfiguration(compression="none")
    return DirectMergeDuckDb(credentials, destination_name=name, parquet_format=uncompressed)


def file_credentials(path: str, **settings: Any) -> DuckDbCredentials:
    """dlt's credentials for a file.

    The path is set as an attribute. Passing it to the constructor makes dlt import SQLAlchemy to check whether it is a
    URL, which takes longer than a small load.
    """
    credentials = DuckDbCredentials(**settings)
    credentials.database = path
    return credentials


def file_client(path: str, dataset: str, *, read_only: bool) -> DuckDbSqlClient:
    """dlt's SQL client for a file.

    Created without a pipeline, because a pipeline looks for settings in every provider, which takes ten times as long
    as opening the file.
    """
    credentials = file_credentials(path, read_only=read_only)
    credentials.resolve()
    return DuckDbSqlClient(dataset, "", credentials, _capabilities())


@cache
def _capabilities() -> DestinationCapabilitiesContext:
    """dlt's capabilities of DuckDB."""
    return dlt.destinations.duckdb().capabilities()
