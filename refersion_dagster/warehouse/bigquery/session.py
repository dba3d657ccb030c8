"""A connection to BigQuery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from refersion_dagster.usage.meter import METER, Usage
from refersion_dagster.warehouse.bigquery.errors import convert_error, database_error
from refersion_dagster.warehouse.bigquery.google import google_client, google_errors
from refersion_dagster.warehouse.bigquery.usage import usage_of, usage_of_loads
from refersion_dagster.warehouse.dialects.bigquery import BigQueryDialect
from refersion_dagster.warehouse.errors import WarehouseError, WarehouseForbidden
from refersion_dagster.warehouse.server.session import ServerSession
from refersion_dagster.warehouse.session import Row, UndefinedTable
from refersion_dagster.warehouse.sql import Value, write_statement

# Type names of BigQuery's API and of DuckDB.
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
# A refresh needs all of these. dlt merges through the second one.
SCHEMAS = ("refersion_data", "refersion_data_staging", "refersion_summaries")
DIGITS = 38
# Digits after the decimal point: NUMERIC's own, and the most that any summary needs.
SCALES = {"NUMERIC": 9, "BIGNUMERIC": 12}


@dataclass(frozen=True)
class BigQuerySessionDialect(BigQueryDialect):
    """BigQuery's dialect with the server's clock, which the lease uses.

    Google's evaluator has executed everything else with DuckDB's results. A clock never returns the same result twice.
    """

    constructs = BigQueryDialect.constructs and BigQueryDialect.constructs | {"CurrentTimestamp"}


class BigQuerySession(ServerSession):
    """One connection to BigQuery.

    Columns, tables, descriptions and first rows come from the API, because each query is billed for at least 10 MB.
    """

    dialect = BigQuerySessionDialect()

    @property
    def _google(self) -> Any:
        return self._client.native_connection

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return convert_error(error)

    def native(self, sql: str) -> list[Row]:
        with self._errors():
            job = self._job(sql)
            rows = [tuple(row.values()) for row in job.result()]
        METER.add(usage_of(job))
        return rows

    def _job(self, sql: str) -> Any:
        return self._google.query(sql)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert Google's errors to dlt's or to warehouse errors."""
        try:
            yield
        except google_errors() as error:
            raise convert_error(error) or database_error(error) from error

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        with self._errors():
            job = self._job(write_statement(sql, parameters, self.dialect))
            found = job.result(page_size=rows)
            METER.add(usage_of(job))
            for batch in found.to_arrow_iterable():
                yield with_duckdb_types(pa.Table.from_batches([batch]))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Does nothing. Each statement is atomic, and all of them can be repeated after a run that died.

        BigQuery's transactions each need their own session and refuse statements that create tables.
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
            # One call, because BigQuery allows five changes of a table in ten seconds.
            self._google.update_table(found, ["description", "schema"])

    def first_rows(self, schema: str, table: str, rows: int) -> list[Row]:
        with self._errors():
            return [tuple(row.values()) for row in self._google.list_rows(self._name(schema, table), max_results=rows)]

    def create_schema(self, schema: str) -> None:
        # CREATE SCHEMA IF NOT EXISTS requires the right to create datasets even if the dataset exists.
        with self._errors():
            self._google.create_dataset(self._name(schema), exists_ok=True)

    def swap_in(self, schema: str, table: str, fresh: str) -> None:
        """Atomically replaces the current table with the newly built one.

        A table with the same columns is overwritten by a copy job, which is free and keeps its access rights. A table
        with other columns is recreated from its rows.
        """
        old, new = (self.columns(schema, name) for name in (table, fresh))
        if old in ([], new):
            over = google_client().CopyJobConfig(write_disposition="WRITE_TRUNCATE")
            with self._errors():
                self._google.copy_table(self._name(schema, fresh), self._name(schema, table), job_config=over).result()
        else:
            self.native(f"CREATE OR REPLACE TABLE {schema}.{table} AS SELECT * FROM {schema}.{fresh}")  # noqa: S608
        self.native(f"DROP TABLE {schema}.{fresh}")

    def usage_of_loads(self, began: datetime) -> Usage:
        """See `usage.usage_of_loads`. Raises WarehouseForbidden if the account may not list its jobs."""
        with self._errors():
            return usage_of_loads(self._google, began, SCHEMAS[:2])

    def may_write(self) -> bool:
        """Whether the account may create the datasets, or tables in the existing ones. Creates nothing."""
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
        """The API's description of a table; None if it does not exist."""
        with suppress(UndefinedTable), self._errors():
            return self._google.get_table(self._name(schema, table))
        return None

    def _name(self, *parts: str) -> str:
        return ".".join([self._google.project, *parts])


def type_name(field: Any) -> str:
    """The DuckDB name of an API column's type."""
    if field.field_type in SCALES:
        scale = SCALES[field.field_type] if field.precision is None else field.scale or 0
        return f"decimal({min(field.precision or DIGITS, DIGITS)},{scale})"
    return TYPE_NAMES.get(field.field_type) or str(field.field_type).lower()


def with_duckdb_types(table: pa.Table) -> pa.Table:
    """Convert amounts to DuckDB's maximum of 38 digits. Raises ArrowInvalid if a digit would be lost."""
    fields = [
        field.with_type(pa.decimal128(DIGITS, min(field.type.scale, SCALES["BIGNUMERIC"])))
        if pa.types.is_decimal256(field.type)
        else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))
