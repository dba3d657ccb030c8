"""Merging into DuckDB directly from the load files.

dlt merges through a table in a staging dataset, so every row is written, compressed and logged twice. DuckDB can query
Parquet like a table, so each file is merged in one transaction here. A refresh reads months again whose rows are nearly
all unchanged. Those rows stay in place and only get a new `read_at`, because rewriting them costs far more than
comparing them and makes the file half as large again. The merge is idempotent, so the next load completes an
interrupted one, as with dlt's own merge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlt.destinations.sql_client import SqlClientBase

from refersion_dagster.refersion.tables.catalog import READ_AT

# Keys of the file that the table already has (once for each of its rows), and keys that are new or whose row has
# changed. Both tables are dropped with the load's connection at the latest.
FOUND, CHANGED = "temp.main.found", "temp.main.changed"
# Columns are compared in groups, each limited to this many values of the file, which are held in memory. Comparing all
# columns of a large file together would need too much.
VALUES_AT_ONCE = 750_000


class FileMerge:
    """Merges one Parquet file, whose keys are distinct, into a table.

    Args:
        client: a client connected to the database file.
        table: the table's name.
        keys: the columns of its primary key.
        columns: all of its columns.
        file: the path of the Parquet file.
    """

    def __init__(
        self, client: SqlClientBase[Any], table: str, keys: Sequence[str], columns: Sequence[str], file: str
    ) -> None:
        quoted = client.escape_column_name
        self._client = client
        self._table = client.make_qualified_table_name(table)
        self._file = f"read_parquet({client.capabilities.escape_literal(file)})"
        self._keys = [*map(quoted, keys)]
        self._columns = [*map(quoted, columns)]
        self._read_at = quoted(READ_AT.name)
        self._new_keys = f"SELECT {', '.join(f'new.{key}' for key in self._keys)} FROM {self._file} AS new"  # noqa: S608
        self._on_key = f"JOIN {self._table} AS old ON {self._same_key('new', 'old')}"

    def run(self) -> None:
        client, columns, read_at = self._client, self._columns, self._read_at
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
        """Fill CHANGED with the keys whose rows differ in the columns to compare."""
        client = self._client
        # A row with duplicates in the table counts as changed, which removes the duplicates.
        client.execute_sql(
            f"CREATE OR REPLACE TEMP TABLE {CHANGED} AS "  # noqa: S608 - quoted names
            f"{self._new_keys} ANTI JOIN {FOUND} AS found ON {self._same_key('new', 'found')} "
            f"UNION ALL SELECT {', '.join(self._keys)} FROM {FOUND} GROUP BY ALL HAVING count(*) > 1"
        )
        ((rows,),) = client.execute_sql(f"SELECT count(*) FROM {self._file}") or ((0,),)  # noqa: S608 - quoted name
        width = max(1, VALUES_AT_ONCE // max(1, rows))
        for at in range(0, len(compared), width):
            differ = " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in compared[at : at + width])
            client.execute_sql(f"INSERT INTO {CHANGED} {self._new_keys} {self._on_key} WHERE {differ}")
