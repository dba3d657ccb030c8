"""Loading raw tables through dagster-dlt: one load a group of tables, so that one table's trouble stays its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from refersion_dagster.ingest.history import TABLE, update_history
from refersion_dagster.ingest.run_log import source_log_shown
from refersion_dagster.ingest.specs import RefersionTranslator, asset_key, column_schema
from refersion_dagster.refersion import ReadReport
from refersion_dagster.refersion.entities import ENTITIES
from refersion_dagster.refersion.errors import RefersionError, ServerUnavailable, WindowNotSettled, underlying
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


def load_tables(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    refersion: RefersionResource,
    warehouse: Warehouse,
    dlt_resource: DagsterDltResource,
    options: Mapping[str, Any],
    tables: Sequence[str],
) -> Iterator[dg.MaterializeResult]:
    """Loads the tables within one run, while nobody else writes; see Loader."""
    with warehouse.writing(context.log.info), source_log_shown(context.log):
        yield from Loader(context, refersion, warehouse, dlt_resource, options).load(tables)


class Loader:
    """Loads tables of one account into one warehouse, within one run.

    Args:
        options: further arguments of `refersion_source`, such as look-back or span.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        refersion: RefersionResource,
        warehouse: Warehouse,
        dlt_resource: DagsterDltResource,
        options: Mapping[str, Any],
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
                if "conversions" in wanted:
                    added = update_history(self.warehouse, self.report.table("conversions").spans)
                    self.context.log.info(f"{TABLE}: {added:,} changes added")
                counts = self.warehouse.row_counts(wanted)
                for table in wanted:
                    yield self._result(table, counts.get(table, 0))
        if TABLE in tables and not failures:
            if "conversions" not in tables:
                update_history(self.warehouse, [])
            yield self._history_result()
        if failures:
            may_pass = all(isinstance(error, ServerUnavailable | WindowNotSettled) for error in failures)
            raise dg.Failure("\n\n".join(dict.fromkeys(map(str, failures))), allow_retries=may_pass)

    def _load_group(self, tables: Sequence[str]) -> None:
        """Loads until nothing is left, one commit after the other."""
        self.context.log.info(f"Reading {', '.join(tables)}")
        while True:
            source = self.warehouse.adapted(self.refersion.source(self.report, **self.options))
            with self.warehouse.pipeline() as pipeline:
                load = self.dlt_resource.run(
                    self.context,
                    source.with_resources(*tables),
                    pipeline,
                    RefersionTranslator(),
                    loader_file_format=self.warehouse.file_format,
                )
                try:
                    list(load)  # dagster-dlt loads as it is iterated; what was loaded is told by _result
                except (PipelineStepFailed, OSError) as error:
                    if trouble := self.warehouse.trouble(error):
                        raise trouble from error
                    raise underlying(error) or error from None
            reports = [(table, self.report.table(table)) for table in tables]
            for table, report in reports:
                upto = f" up to {report.read_to:%Y-%m-%d %H:%M:%S} UTC" if report.read_to else ""
                self.context.log.info(f"{table}: {report.rows:,} rows loaded{upto}, {report.requests:,} requests")
            if not any(report.more for _, report in reports):
                return

    def _history_result(self) -> dg.MaterializeResult:
        counts = self.warehouse.row_counts([TABLE])
        return dg.MaterializeResult(
            asset_key=asset_key(TABLE),
            metadata={"dagster/row_count": counts.get(TABLE, 0), "warehouse": self.warehouse.location},
        )

    def _result(self, table: str, row_count: int) -> dg.MaterializeResult:
        report = self.report.table(table)
        metadata: dict[str, Any] = {
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
