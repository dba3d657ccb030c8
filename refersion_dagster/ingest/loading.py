"""Loading raw tables through dagster-dlt: one load a group of tables, so that one table's trouble stays its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg
import dlt
from dagster_dlt import DagsterDltResource

from refersion_dagster.ingest.specs import RefersionTranslator, asset_key, column_schema
from refersion_dagster.refersion import ReadReport
from refersion_dagster.refersion.entities import ENTITIES
from refersion_dagster.refersion.errors import RefersionError, ServerUnavailable, WindowNotSettled
from refersion_dagster.resources import RefersionResource, Warehouse

# Tables that are loaded together. Control totals come last: they are held against what was loaded before.
GROUPS = (
    ("affiliate_list", "affiliate_get"),
    ("affiliates",),
    ("offers",),
    ("payments",),
    ("conversions",),
    ("conversion_totals",),
)
# Windowed tables are committed after whole months that hold about this many rows.
ROWS_PER_LOAD = 200_000
PROGRESS_SECONDS = 5


class Loader:
    """Loads tables of one account into one warehouse, within one run.

    Args:
        options: further arguments of `refersion_source`, such as look-back or span.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        refersion: RefersionResource,
        warehouse: Warehouse,
        dlt_resource: DagsterDltResource,
        options: dict[str, object],
    ) -> None:
        self.context = context
        self.refersion = refersion
        self.warehouse = warehouse
        self.dlt_resource = dlt_resource
        self.options = options
        self.report = ReadReport()

    def load(self, tables: Sequence[str]) -> Iterator[dg.MaterializeResult]:
        """Loads the tables, group by group, each one's result as soon as its group is in.

        Raises dg.Failure after the last group when any failed, with every reason.
        """
        failures: list[RefersionError] = []
        for group in GROUPS:
            wanted = [table for table in group if table in tables]
            if not wanted:
                continue
            try:
                self._load_group(wanted)
            except RefersionError as error:
                self.context.log.error(f"{', '.join(wanted)}: {error}")
                failures.append(error)
            else:
                counts = self.warehouse.row_counts(wanted)
                for table in wanted:
                    yield self._result(table, counts.get(table, 0))
        if failures:
            reasons = list(dict.fromkeys(map(str, failures)))
            may_pass = all(isinstance(error, ServerUnavailable | WindowNotSettled) for error in failures)
            raise dg.Failure("\n\n".join(reasons), allow_retries=may_pass)

    def _load_group(self, tables: Sequence[str]) -> None:
        self.context.log.info(
            f"Reading {', '.join(tables)} from {self.refersion.graphql_url if ENTITIES[tables[0]].is_graphql else self.refersion.rest_url}"
        )
        progress = dlt.progress.log(PROGRESS_SECONDS, self.context.log, logging.INFO, dump_system_stats=False)
        while True:
            source = self.refersion.source(self.report, rows_per_load=ROWS_PER_LOAD, **self.options)
            with self.warehouse.pipeline(progress) as pipeline, _reasons_first():
                for _ in self.dlt_resource.run(
                    self.context,
                    source.with_resources(*tables),
                    pipeline,
                    RefersionTranslator(),
                    loader_file_format=self.warehouse.file_format,
                ):
                    pass
            states = [self.report.table(table) for table in tables]
            for table, state in zip(tables, states, strict=True):
                span = (
                    f", {state.read_from:%Y-%m-%d} to {state.read_to:%Y-%m-%d}"
                    if state.read_from and state.read_to
                    else ""
                )
                self.context.log.info(f"{table}: {state.rows} rows{span}, {state.requests} requests")
            if not any(state.more for state in states):
                return

    def _result(self, table: str, row_count: int) -> dg.MaterializeResult:
        report = self.report.table(table)
        metadata: dict[str, object] = {
            "dagster/row_count": row_count,
            "rows_loaded": report.rows,
            "requests_made": report.requests,
            "dagster/column_schema": column_schema(ENTITIES[table], report.fields_extra),
            "warehouse": self.warehouse.location,
        }
        if report.read_from and report.read_to:
            metadata["window_from"] = dg.MetadataValue.timestamp(report.read_from)
            metadata["window_to"] = dg.MetadataValue.timestamp(report.read_to)
        for name in ("fields_missing", "fields_extra", "fields_filled", "warnings"):
            if found := getattr(report, name):
                metadata[name] = dg.MetadataValue.json(found)
        for warning in report.warnings:
            self.context.log.warning(f"{table}: {warning}")
        return dg.MaterializeResult(asset_key=asset_key(table), metadata=metadata)


@contextmanager
def _reasons_first() -> Iterator[None]:
    """Lets the source's own error through, out of the errors that dlt wraps around it."""
    try:
        yield
    except Exception as error:
        reason: BaseException | None = error
        while reason is not None:
            if isinstance(reason, RefersionError):
                raise reason from None
            reason = reason.__cause__ or reason.__context__
        raise
