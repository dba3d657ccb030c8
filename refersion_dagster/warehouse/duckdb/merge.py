"""Merging into DuckDB straight from the load files.

dlt merges through a table in a staging dataset: every row is written, compressed and logged twice. DuckDB
reads Parquet as it reads a table, so here each file is merged in one transaction. A refresh reads months again of which
nearly every row is as it was: such rows stay where they are and only get their new `read_at`, as writing them anew
costs far more than comparing them, and makes the file half as large again. Running it again changes nothing, so a load
that was cut short is made up for as with dlt's own merge.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob

from refersion_dagster.refersion.tables.catalog import READ_AT

# Keys of the file's rows that the table has, once for each row there, and of those that it has not, or not like that.
# Gone with the load's connection at the latest.
FOUND, CHANGED = "temp.main.found", "temp.main.changed"
# A comparison is of some columns, as many as have so many values in the file, which it holds in memory; for all of a
# large file together there would be too little. So many run in parallel, each of which keeps one thread busy.
VALUES_AT_ONCE, COMPARISONS = 750_000, 2


class MergeFile(DuckDbCopyJob):
    """Merges one Parquet file, whose keys are distinct, on the table's primary key."""

    def run(self) -> None:
        client = self._job_client.sql_client
        quoted = client.escape_column_name
        of_table = self._schema.get_table(self.load_table_name)
        self._table = client.make_qualified_table_name(self.load_table_name)
        self._file = f"read_parquet({client.capabilities.escape_literal(self._file_path)})"
        self._keys = [*map(quoted, get_columns_names_with_prop(of_table, "primary_key"))]
        self._new_keys = f"SELECT {', '.join(f'new.{key}' for key in self._keys)} FROM {self._file} AS new"  # noqa: S608
        self._on_key = f"JOIN {self._table} AS old ON {self._same_key('new', 'old')}"
        columns = [*map(quoted, self._schema.get_table_columns(self.load_table_name))]
        read_at = quoted(READ_AT.name)
        with client.begin_transaction():
            client.execute_sql(f"CREATE OR REPLACE TEMP TABLE {FOUND} AS {self._new_keys} {self._on_key}")
            if not client.execute_sql(f"FROM {FOUND} LIMIT 1"):
                client.execute_sql(f"INSERT INTO {self._table} BY NAME FROM {self._file}")
                return
            self._find_changed([name for name in columns if name not in (*self._keys, read_at)])
            if client.execute_sql(f"FROM {CHANGED} LIMIT 1"):
                among = f"EXISTS (FROM {CHANGED} AS changed WHERE {self._same_key('changed', 'rows')})"
                client.execute_sql(f"DELETE FROM {self._table} AS rows WHERE {among}")  # noqa: S608 - quoted names
                client.execute_sql(f"INSERT INTO {self._table} BY NAME FROM {self._file} AS rows WHERE {among}")
            if read_at in columns:
                client.execute_sql(
                    f"UPDATE {self._table} AS old SET {read_at} = new.{read_at} FROM {self._file} AS new "  # noqa: S608
                    f"WHERE {self._same_key('old', 'new')} AND old.{read_at} IS DISTINCT FROM new.{read_at}"
                )
            client.execute_sql(f"DROP TABLE {CHANGED}; DROP TABLE {FOUND}")

    def _same_key(self, one: str, other: str) -> str:
        return " AND ".join(f"{one}.{key} = {other}.{key}" for key in self._keys)

    def _find_changed(self, compared: Sequence[str]) -> None:
        """Fills CHANGED, given the columns to compare."""
        client = self._job_client.sql_client
        # A row that somebody doubled is no longer the one that it was, so it is mended.
        client.execute_sql(
            f"CREATE OR REPLACE TEMP TABLE {CHANGED} AS "  # noqa: S608 - quoted names
            f"{self._new_keys} ANTI JOIN {FOUND} AS found ON {self._same_key('new', 'found')} "
            f"UNION ALL SELECT {', '.join(self._keys)} FROM {FOUND} GROUP BY ALL HAVING count(*) > 1"
        )
        ((rows,),) = client.execute_sql(f"SELECT count(*) FROM {self._file}") or ((0,),)  # noqa: S608 - quoted name
        width = max(1, min(-(-len(compared) // COMPARISONS), VALUES_AT_ONCE // max(1, rows)))
        differing = []
        for at in range(0, len(compared), width):
            differ = " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in compared[at : at + width])
            differing.append(f"{self._new_keys} {self._on_key} WHERE {differ}")
        for at in range(0, len(differing), COMPARISONS):
            client.execute_sql(f"INSERT INTO {CHANGED} {' UNION ALL '.join(differing[at : at + COMPARISONS])}")


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

    def capabilities(
        self, config: DuckDbClientConfiguration | None = None, naming: NamingConvention | None = None
    ) -> DestinationCapabilitiesContext:
        # dlt searches for settings in every provider, ten times per load. DuckDB's capabilities need none.
        return super().capabilities(config or self.spec(), naming)

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        capabilities = super()._raw_capabilities()
        capabilities.parquet_format = ParquetFormatConfiguration(compression="none")
        return capabilities

    @property
    def client_class(self) -> type[DuckDbClient]:
        return DirectMergeClient
