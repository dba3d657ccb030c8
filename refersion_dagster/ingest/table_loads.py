"""Loads raw tables through dagster-dlt within one run, and records what changed since the previous loads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource
from dlt.extract.source import DltSource

from refersion_dagster.ingest.control_totals.currencies import totals_currencies
from refersion_dagster.ingest.control_totals.hidden_tests import mark_known_tests
from refersion_dagster.ingest.gaps import keep_gaps
from refersion_dagster.ingest.history.clicks import mark_vanished
from refersion_dagster.ingest.history.conversions import TABLE, update_history
from refersion_dagster.ingest.history.missing_rows import mark_listed, mark_payments
from refersion_dagster.ingest.late_arrivals.months import keep_totals
from refersion_dagster.ingest.late_arrivals.rotation import keep_position, next_slice
from refersion_dagster.ingest.specs import RefersionTranslator, asset_key
from refersion_dagster.namespace import Namespace
from refersion_dagster.refersion import LoadRequest, ReadReport
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import RefersionError
from refersion_dagster.refersion.extract.stats import ReadSpan
from refersion_dagster.refersion.windows import Window, whole_second
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.warehouse.load import file_format, load_errors

CONVERSIONS, TOTALS, PAYMENTS, CLICKS = "conversions", "conversion_totals", "payments", "clicks"
# Read completely each time, so that missing rows are known to be deleted.
LISTED = ("affiliate_list", "affiliates")


class TableLoads:
    """The loads of one run.

    Args:
        request: what the run should read.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        names: Namespace,
        refersion: RefersionResource,
        warehouse: Warehouse,
        dlt_resource: DagsterDltResource,
        request: LoadRequest,
    ) -> None:
        self.context = context
        self.names = names
        self.refersion = refersion
        self.warehouse = warehouse
        self.dlt_resource = dlt_resource
        self.request = request
        self.report = ReadReport()
        self.turn: list[Window] = []
        # Requests of this run by table, including repeated reads.
        self.requests: Counter[str] = Counter()
        # Spans of conversions that this run read, and when.
        self.read: list[ReadSpan] = []
        # The metadata from dagster-dlt for the last load of each table.
        self.metadata: dict[str, Mapping[str, Any]] = {}

    @property
    def is_refresh(self) -> bool:
        """Whether the run looks back at least as far as the settings say. Only such a run handles older changes."""
        return self.request.looks_back and self.lookback >= timedelta(days=self.refersion.lookback_days)

    @property
    def lookback(self) -> timedelta:
        return self.request.lookback(self.refersion.lookback_days)

    @property
    def _start(self) -> datetime:
        return self.refersion.first_moment()

    def earliest(self) -> datetime:
        """The start of the first load, or the oldest loaded conversion if that is earlier."""
        ((oldest,),) = self.warehouse.query(f"SELECT min(created) FROM {DATASET}.{CONVERSIONS}")  # noqa: S608
        return min(self._start, whole_second(oldest)) if oldest else self._start

    def load(self, tables: Sequence[str], report: ReadReport, windows: Sequence[Window] = ()) -> None:
        """Loads in several commits until nothing is left, and records the history of conversions.

        Args:
            windows: read exactly these, instead of what the run requests.
        """
        self.context.log.info(f"Reading {', '.join(tables)}")
        request = replace(self.request, older_totals=self.is_refresh, all_payments=self.is_refresh)
        if TOTALS in tables:
            request = replace(request, totals_currencies=self._totals_currencies())
        if windows:
            request = request.with_windows(windows)
        elif CONVERSIONS in tables and self.is_refresh:
            self.turn = next_slice(self.warehouse, self.lookback, self._start)
            request = replace(request, earlier_windows=tuple(self.turn))
        while True:
            self.run(self.refersion.source(report, request).with_resources(*tables), tables)
            for table in tables:
                one = report.table(table)
                if one.not_offered:  # reported with the result
                    continue
                upto = f" up to {one.read_to:%Y-%m-%d %H:%M:%S} UTC" if one.read_to else ""
                requests = "1 request" if one.requests == 1 else f"{one.requests:,} requests"
                self.context.log.info(f"{table}: {one.rows:,} rows loaded{upto}, {requests}")
            keep_gaps(self.warehouse, {table: report.table(table) for table in tables})
            if not any(report.table(table).more for table in tables):
                break
        self.requests.update({table: report.table(table).requests for table in tables})
        self._record_changes(tables, report)

    def run(self, source: DltSource, tables: Sequence[str]) -> None:
        """Loads these tables of a source in one commit. Keeps the metadata of the load."""
        of = {asset_key(table, self.names): table for table in tables}
        with self.warehouse.pipeline() as pipeline, load_errors(self.warehouse.classify_error):
            load = self.dlt_resource.run(
                self.context,
                self.warehouse.prepare(source),
                pipeline,
                RefersionTranslator(self.names),
                loader_file_format=file_format(pipeline.destination),
            )
            self.metadata |= {of[one.asset_key]: one.metadata or {} for one in load if one.asset_key}

    def _record_changes(self, tables: Sequence[str], report: ReadReport) -> None:
        """Records what the new rows show about the previous ones: changes, totals, rows deleted from complete lists."""
        for table in tables:
            one = report.table(table)
            if table in LISTED and one.asked_at and not one.not_offered:
                mark_listed(self.warehouse, table, one.asked_at)
        if PAYMENTS in tables and (self.is_refresh or self.request.full_reload):
            mark_payments(self.warehouse, report.table(PAYMENTS).spans)
        if CLICKS in tables:
            mark_vanished(self.warehouse, report.table(CLICKS).spans)
        if CONVERSIONS in tables:
            read = report.table(CONVERSIONS).spans
            self.read += read
            if "is_test_conversion" in report.table(CONVERSIONS).fields_missing:
                mark_known_tests(self.warehouse)
            added = update_history(self.warehouse, [])
            keep_totals(self.warehouse, read)
            if report is self.report:
                keep_position(self.warehouse, self.turn, read)
            self.context.log.info(f"{TABLE}: {added:,} changes added")

    def _totals_currencies(self) -> tuple[str, ...]:
        account = self.refersion.account()
        try:
            return tuple(totals_currencies(self.warehouse, account, self.context.log.info))
        except RefersionError:
            return ()  # reading the totals will raise and report the same error
        finally:
            account.close()
