"""Merging into DuckDB straight from the load files.

By itself dlt merges by way of a table in a staging dataset: every row is written, compressed and logged twice. DuckDB
reads Parquet as it reads a table, so here each file replaces the rows of its keys and adds its own in one transaction.
Running it again changes nothing, so a load that was cut short is made up for as with dlt's own merge.
"""

from __future__ import annotations

from collections.abc import Sequence

import dlt
from dlt.common.destination.client import FollowupJobRequest, LoadJob
from dlt.common.destination.exceptions import DestinationTerminalException
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.utils import get_columns_names_with_prop, get_nested_tables
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob


class MergeFile(DuckDbCopyJob):
    """Merges one Parquet file, whose keys are distinct, on the table's primary key."""

    def run(self) -> None:
        client = self._job_client.sql_client
        named = get_columns_names_with_prop(self._schema.get_table(self.load_table_name), "primary_key")
        keys = map(client.escape_column_name, named)
        same = " AND ".join(f"old.{key} = new.{key}" for key in keys)
        table = client.make_qualified_table_name(self.load_table_name)
        file = client.capabilities.escape_literal(self._file_path)
        with client.begin_transaction():
            client.execute_sql(
                f"DELETE FROM {table} AS old WHERE EXISTS (SELECT 1 FROM read_parquet({file}) AS new WHERE {same})"  # noqa: S608
            )
            super().run()


class DirectMergeClient(DuckDbClient):
    """dlt's client for DuckDB, but for tables that MergeFile can do."""

    def _merges_files(self, name: str) -> bool:
        """Whether the table is merged on a key, in rows said to be distinct, and has no nested tables."""
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
        return MergeFile(file_path)

    def _create_merge_followup_jobs(self, table_chain: Sequence[PreparedTableSchema]) -> list[FollowupJobRequest]:
        if self._merges_files(table_chain[0].get("name") or ""):
            return []
        return super()._create_merge_followup_jobs(table_chain)


class DirectMergeDuckDb(dlt.destinations.duckdb):
    """dlt's DuckDB destination with the client above; to everybody else the same destination."""

    @property
    def destination_type(self) -> str:
        return "dlt.destinations.duckdb"

    @property
    def client_class(self) -> type[DuckDbClient]:
        return DirectMergeClient
