"""Loading raw tables through dagster-dlt: one load a group of tables, so that one table's trouble stays its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from refersion_dagster.ingest.gaps import keep_gaps
from refersion_dagster.ingest.history import TABLE, update_history
from refersion_dagster.ingest.late import LateMonth, keep_first_totals, keep_totals, late_months, spans
from refersion_dagster.ingest.run_log import source_log_shown
from refersion_dagster.ingest.specs import RefersionTranslator, asset_key, column_schema, descriptions
from refersion_dagster.ingest.totals_currencies import totals_currencies
from refersion_dagster.refersion import ReadReport
from refersion_dagster.refersion.entities import ENTITIES
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import RefersionError, ServerUnavailable, WindowNotSettled, underlying
from refersion_dagster.refersion.span import BEGINNING
from refersion_dagster.refersion.windows import parse_moment, whole_second
from refersion_dagster.resources import RefersionResource, Warehouse

CONVERSIONS, TOTALS = "conversions", "conversion_totals"
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
        with warehouse.session() as session:
            for table in tables:
                session.comment(DATASET, table, *descriptions(table))


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
        self.late: list[LateMonth] = []

    def load(self, tables: Sequence[str]) -> Iterator[dg.MaterializeResult]:
        """Loads the tables, group by group, each one's result as soon as it is in.

        Raises dg.Failure after the last group when any failed, with every reason.
        """
        failures: dict[str, RefersionError] = {}
        self._totals_first(tables, failures)
        for group in GROUPS:
            wanted = [table for table in group if table in tables and table not in failures]
            if wanted and self._tried(wanted, failures, lambda wanted=wanted: self._load_group(wanted, self.report)):
                yield from self._results([table for table in wanted if table != CONVERSIONS])
        if CONVERSIONS in tables and CONVERSIONS not in failures:
            if self._looks_back:
                with_totals = TOTALS in tables and TOTALS not in failures
                self._tried([CONVERSIONS], failures, lambda: self._load_late_months(with_totals))
            yield from self._results([CONVERSIONS])
        if TABLE in tables and not failures:
            if CONVERSIONS not in tables:
                update_history(self.warehouse, [])
            yield self._history_result()
        if failures:
            may_pass = all(isinstance(error, ServerUnavailable | WindowNotSettled) for error in failures.values())
            raise dg.Failure("\n\n".join(dict.fromkeys(map(str, failures.values()))), allow_retries=may_pass)

    @property
    def _is_refresh(self) -> bool:
        """Whether the run looks back as far as the settings say, so that what is older is nobody else's task."""
        asked = ("lookback_days", "read_from", "read_to", "full_reload")
        return all(self.options.get(name) in (None, False) for name in asked)

    @property
    def _looks_back(self) -> bool:
        """Whether the run reads from a look-back on, its own or that of the settings, and not just what it was told."""
        return all(self.options.get(name) in (None, False) for name in ("read_from", "read_to", "full_reload"))

    def _tried(self, tables: Sequence[str], failures: dict[str, RefersionError], load: Callable[[], None]) -> bool:
        try:
            load()
        except RefersionError as error:
            self.context.log.error(f"{', '.join(tables)}: {error}")
            failures.update(dict.fromkeys(tables, error))
            return False
        return True

    def _totals_first(self, tables: Sequence[str], failures: dict[str, RefersionError]) -> None:
        """Before the first load of conversions, so that what changes while that goes on shows in the totals."""
        if not self._is_refresh or not {CONVERSIONS, TOTALS} <= set(tables):
            return
        if self.warehouse.row_counts([TOTALS]).get(TOTALS):
            return
        if self._tried([TOTALS], failures, lambda: self._load_group([TOTALS], ReadReport())):
            keep_first_totals(self.warehouse)

    def _load_late_months(self, with_totals: bool) -> None:
        """Reads months from before the look-back again that must have changed, and their totals once more.

        Without it a light refresh, of a few days, would have Refersion's latest totals of a month and only the last
        days of that month to hold against them.
        """
        upto = self.report.table(CONVERSIONS).read_to
        if upto is None:
            return
        lookback_days = self.options.get("lookback_days")
        days = self.refersion.lookback_days if lookback_days is None else lookback_days
        late = late_months(self.warehouse, upto - timedelta(days=days))
        if not late:
            return
        self.context.log.info(f"Changed before the look-back, reading again: {', '.join(map(str, late))}")
        again = spans(late, self._earliest(), upto)
        report = ReadReport()
        for table in (CONVERSIONS, TOTALS) if with_totals else (CONVERSIONS,):
            options = {"read_spans": [(span.start.isoformat(), span.end.isoformat()) for span in again]}
            self._load_group([table], report, **options)
        self.late = late

    def _earliest(self) -> datetime:
        """Where the first load began, or before."""
        ((oldest,),) = self.warehouse.query(f"SELECT min(created) FROM {DATASET}.{CONVERSIONS}")  # noqa: S608
        start = parse_moment(self.refersion.start_date) if self.refersion.start_date else BEGINNING
        return min(start, whole_second(oldest)) if oldest else start

    def _load_group(self, tables: Sequence[str], report: ReadReport, **options: Any) -> None:
        """Loads until nothing is left, one commit after the other, and keeps what became of conversions.

        Args:
            options: of the source, instead of the run's.
        """
        self.context.log.info(f"Reading {', '.join(tables)}")
        given = {"older_totals": self._is_refresh, **self.options, **options}
        if TOTALS in tables:
            given["totals_currencies"] = self._totals_currencies()
        while True:
            source = self.warehouse.adapted(self.refersion.source(report, **given))
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
            for table in tables:
                one = report.table(table)
                upto = f" up to {one.read_to:%Y-%m-%d %H:%M:%S} UTC" if one.read_to else ""
                self.context.log.info(f"{table}: {one.rows:,} rows loaded{upto}, {one.requests:,} requests")
            keep_gaps(self.warehouse, {table: report.table(table) for table in tables})
            if not any(report.table(table).more for table in tables):
                break
        if CONVERSIONS in tables:
            read = report.table(CONVERSIONS).spans
            added = update_history(self.warehouse, read)
            keep_totals(self.warehouse, read)
            self.context.log.info(f"{TABLE}: {added:,} changes added")

    def _totals_currencies(self) -> list[str]:
        account = self.refersion.account()
        try:
            return totals_currencies(self.warehouse, account, self.context.log.info)
        except RefersionError:
            return []  # whatever it is, reading the totals meets it too, and tells it
        finally:
            account.close()

    def _results(self, tables: Sequence[str]) -> Iterator[dg.MaterializeResult]:
        counts = self.warehouse.row_counts(tables)
        for table in tables:
            yield self._result(table, counts.get(table, 0))

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
        if report.not_offered:
            metadata["not_offered"] = report.not_offered
        for name in ("fields_missing", "fields_extra", "fields_filled", "not_loaded", "warnings"):
            if found := getattr(report, name):
                metadata[name] = dg.MetadataValue.json(found)
        if table == CONVERSIONS and self.late:
            found = {f"{month.start:%Y-%m}": month.reasons for month in self.late}
            metadata["late_months"] = dg.MetadataValue.json(found)
        for warning in report.warnings:
            self.context.log.warning(f"{table}: {warning}")
        return dg.MaterializeResult(asset_key=asset_key(table), metadata=metadata)
