"""Merging into DuckDB straight from the load files.

By itself dlt merges by way of a table in a staging dataset: every row is written, compressed and logged twice. DuckDB
reads Parquet as it reads a table, so here each file is merged in one transaction. A refresh reads months again of which
nearly every row is as it was: such rows stay where they are and only get their new `read_at`, as writing them anew
costs far more than comparing them, and makes the file half as large again. Running it again changes nothing, so a load
that was cut short is made up for as with dlt's own merge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dlt
from dlt.common.configuration import configspec
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import FollowupJobRequest, LoadJob
from dlt.common.destination.configuration import ParquetFormatConfiguration
from dlt.common.destination.exceptions import DestinationTerminalException
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.utils import get_columns_names_with_prop, get_nested_tables
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob

from refersion_dagster.refersion.entities import READ_AT

# Keys of the file's rows that the table has already, as they are. Gone with the load's connection at the latest.
UNCHANGED = "temp.main.unchanged"


class MergeFile(DuckDbCopyJob):
    """Merges one Parquet file, whose keys are distinct, on the table's primary key."""

    def run(self) -> None:
        client = self._job_client.sql_client
        table = client.make_qualified_table_name(self.load_table_name)
        file = f"read_parquet({client.capabilities.escape_literal(self._file_path)})"
        of_table = self._schema.get_table(self.load_table_name)
        keys = [*map(client.escape_column_name, get_columns_names_with_prop(of_table, "primary_key"))]
        columns = [*map(client.escape_column_name, of_table["columns"])]
        read_at = client.escape_column_name(READ_AT.name)

        def same(one: str, other: str, names: Iterable[str] = keys, equals: str = "=") -> str:
            return " AND ".join(f"{one}.{name} {equals} {other}.{name}" for name in names)

        known = f"FROM {table} AS old WHERE EXISTS (SELECT 1 FROM {file} AS new WHERE {same('old', 'new')})"
        insert = f"INSERT INTO {table} BY NAME SELECT * FROM {file} AS new"
        with client.begin_transaction():
            if not client.execute_sql(f"SELECT 1 {known} LIMIT 1"):
                client.execute_sql(insert)
                return
            compared = [name for name in columns if name not in (*keys, read_at)]
            unchanged = f"SELECT 1 FROM {UNCHANGED} AS unchanged WHERE "
            client.execute_sql(
                f"CREATE OR REPLACE TEMP TABLE {UNCHANGED} AS SELECT {', '.join(f'new.{key}' for key in keys)} "  # noqa: S608
                f"FROM {file} AS new JOIN (SELECT * {known}) AS old ON {same('old', 'new')} "
                f"AND {same('old', 'new', compared, 'IS NOT DISTINCT FROM') or 'TRUE'}"
            )
            client.execute_sql(f"DELETE {known} AND NOT EXISTS ({unchanged}{same('old', 'unchanged')})")
            client.execute_sql(f"{insert} WHERE NOT EXISTS ({unchanged}{same('new', 'unchanged')})")
            if read_at in columns:
                client.execute_sql(
                    f"UPDATE {table} AS old SET {read_at} = new.{read_at} FROM {file} AS new "  # noqa: S608
                    f"WHERE {same('old', 'new')} AND old.{read_at} IS DISTINCT FROM new.{read_at}"
                )
            client.execute_sql(f"DROP TABLE {UNCHANGED}")


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


@configspec(init=False)
class FileConfiguration(DuckDbClientConfiguration):
    """dlt's configuration, which says where it is without SQLAlchemy: importing that takes longer than a small load."""

    def __str__(self) -> str:
        return f"duckdb:///{self.credentials.database}"


class DirectMergeDuckDb(dlt.destinations.duckdb):
    """dlt's DuckDB destination with the client above; to everybody else the same destination.

    Its load files are gone within seconds, so time spent on compressing them is lost.
    """

    spec = FileConfiguration

    @property
    def destination_type(self) -> str:
        return "dlt.destinations.duckdb"

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.parquet_format = ParquetFormatConfiguration(compression="none")
        return capabilities

    @property
    def client_class(self) -> type[DuckDbClient]:
        return DirectMergeClient
