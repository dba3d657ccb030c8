"""A connection to BigQuery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from refersion_dagster.warehouse.bigquery.errors import database_error, trouble_of
from refersion_dagster.warehouse.bigquery.google import google_client, google_errors
from refersion_dagster.warehouse.dialects.bigquery import BigQueryDialect
from refersion_dagster.warehouse.errors import WarehouseError, WarehouseForbidden
from refersion_dagster.warehouse.server.session import ServerSession
from refersion_dagster.warehouse.session import Row, UndefinedTable
from refersion_dagster.warehouse.sql import Value, written

# Names of types as BigQuery's API shows them, and as DuckDB does.
TYPE_NAMES = {
    "STRING": "varchar",
    "INTEGER": "bigint",
    "INT64": "bigint",
    "FLOAT": "double",
    "FLOAT64": "double",
    "BOOLEAN": "boolean",
    "BOOL": "boolean",
    "DATE": "date",
    "DATETIME": "timestamp",
    "TIMESTAMP": "timestamp with time zone",
}
# Of which a refresh needs each; dlt merges through the second one.
SCHEMAS = ("refersion_data", "refersion_data_staging", "refersion_summaries")
DIGITS = 38
# After the point: NUMERIC's own, and the most that any summary has.
SCALES = {"NUMERIC": 9, "BIGNUMERIC": 12}


@dataclass(frozen=True)
class BigQuerySessionDialect(BigQueryDialect):
    """BigQuery's dialect with the server's clock, which the lease goes by.

    Google's evaluator has executed all else with DuckDB's results, and no clock gives the same result twice.
    """

    constructs = BigQueryDialect.constructs and BigQueryDialect.constructs | {"CurrentTimestamp"}


class BigQuerySession(ServerSession):
    """One connection to BigQuery.

    What the API tells is asked there and not by a query, of which each costs at least 10 MB: columns, tables,
    descriptions, first rows.
    """

    dialect = BigQuerySessionDialect()

    @property
    def _google(self) -> Any:
        return self._client.native_connection

    def trouble_of(self, error: BaseException) -> WarehouseError | None:
        return trouble_of(error)

    def native(self, sql: str) -> list[Row]:
        with self._errors():
            return [tuple(row.values()) for row in self._job(sql).result()]

    def _job(self, sql: str) -> Any:
        return self._google.query(sql)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Google's errors as dlt's, or as those of the warehouse."""
        try:
            yield
        except google_errors() as error:
            raise trouble_of(error) or database_error(error) from error

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        with self._errors():
            found = self._job(written(sql, parameters, self.dialect)).result(page_size=rows)
            for batch in found.to_arrow_iterable():
                yield with_duckdb_types(pa.Table.from_batches([batch]))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Nothing: each statement is all or nothing by itself, and all of them can be repeated after a run that died.

        Transactions of BigQuery need a session of its own for each, and refuse statements that make tables.
        """
        yield

    def tables(self, schema: str) -> list[str]:
        with suppress(UndefinedTable), self._errors():
            return sorted(table.table_id for table in self._google.list_tables(self._name(schema)))
        return []

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        found = self._table(schema, table)
        return [] if found is None else [(field.name, type_name(field)) for field in found.schema]

    def comments(self, schema: str, table: str) -> dict[str, str | None]:
        found = self._table(schema, table)
        if found is None:
            return {}
        return {"": found.description, **{field.name: field.description for field in found.schema}}

    def store_comments(self, schema: str, table: str, description: str, columns: Mapping[str, str]) -> None:
        found = self._table(schema, table)
        if found is None:
            return
        found.description = description
        found.schema = [
            google_client().SchemaField.from_api_repr({**field.to_api_repr(), "description": columns.get(field.name)})
            for field in found.schema
        ]
        with self._errors():
            # One call, as BigQuery allows five changes of a table in ten seconds.
            self._google.update_table(found, ["description", "schema"])

    def first_rows(self, schema: str, table: str, rows: int) -> list[Row]:
        with self._errors():
            return [tuple(row.values()) for row in self._google.list_rows(self._name(schema, table), max_results=rows)]

    def create_schema(self, schema: str) -> None:
        # As a statement it requires the right to create datasets in any case.
        with self._errors():
            self._google.create_dataset(self._name(schema), exists_ok=True)

    def swap_in(self, schema: str, table: str, fresh: str) -> None:
        """Puts a table that was built beside in the place of the one there is, all at once.

        A table of the same columns is copied over by a job that costs nothing and keeps its rights. One of other
        columns is made anew from its rows.
        """
        old, new = (self.columns(schema, name) for name in (table, fresh))
        if old in ([], new):
            over = google_client().CopyJobConfig(write_disposition="WRITE_TRUNCATE")
            with self._errors():
                self._google.copy_table(self._name(schema, fresh), self._name(schema, table), job_config=over).result()
        else:
            self.native(f"CREATE OR REPLACE TABLE {schema}.{table} AS SELECT * FROM {schema}.{fresh}")  # noqa: S608
        self.native(f"DROP TABLE {schema}.{fresh}")

    def may_write(self) -> bool:
        """Whether the account may make the datasets, or tables in those there are. Nothing is made."""
        dry_run = google_client().QueryJobConfig(dry_run=True)
        try:
            with self._errors():
                there = {dataset.dataset_id for dataset in self._google.list_datasets()}
            for schema in SCHEMAS:
                statement = (
                    f"CREATE TABLE {schema}.writable (number INT64)" if schema in there else f"CREATE SCHEMA {schema}"
                )
                with self._errors():
                    self._google.query(statement, job_config=dry_run).result()
        except WarehouseForbidden:
            return False
        return True

    def _table(self, schema: str, table: str) -> Any:
        """What the API tells of a table; None where there is none."""
        with suppress(UndefinedTable), self._errors():
            return self._google.get_table(self._name(schema, table))
        return None

    def _name(self, *parts: str) -> str:
        return ".".join([self._google.project, *parts])


def type_name(field: Any) -> str:
    """The type of a column of the API's, in DuckDB's words."""
    if field.field_type in SCALES:
        scale = SCALES[field.field_type] if field.precision is None else field.scale or 0
        return f"decimal({min(field.precision or DIGITS, DIGITS)},{scale})"
    return TYPE_NAMES.get(field.field_type) or str(field.field_type).lower()


def with_duckdb_types(table: pa.Table) -> pa.Table:
    """Amounts of up to 38 digits, which is what DuckDB has. Raises ArrowInvalid rather than to lose one."""
    fields = [
        field.with_type(pa.decimal128(DIGITS, min(field.type.scale, SCALES["BIGNUMERIC"])))
        if pa.types.is_decimal256(field.type)
        else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))
