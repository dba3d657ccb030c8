"""Loading raw tables through dagster-dlt: one load a group of tables, so that one table's trouble stays its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from refersion_dagster.ingest.account_guard import refuse_another_account
from refersion_dagster.ingest.control_totals.currencies import totals_currencies
from refersion_dagster.ingest.control_totals.hidden_tests import mark_known_tests, tell_tests_apart
from refersion_dagster.ingest.control_totals.settlement import has_new_payments, paid_meanwhile, settle_totals
from refersion_dagster.ingest.gaps import keep_gaps
from refersion_dagster.ingest.history.clicks import mark_vanished
from refersion_dagster.ingest.history.conversions import TABLE, update_history
from refersion_dagster.ingest.history.missing_rows import absent_conversions, mark_listed, mark_payments
from refersion_dagster.ingest.history.readings import TABLE as READINGS
from refersion_dagster.ingest.history.readings import keep_counted_months, keep_unchanged_months
from refersion_dagster.ingest.late_arrivals.counts import NOT_COUNTED, Counts
from refersion_dagster.ingest.late_arrivals.months import LateMonth, keep_first_totals, keep_totals, late_months, spans
from refersion_dagster.ingest.late_arrivals.rotation import keep_position, next_slice
from refersion_dagster.ingest.run_log import source_log_shown
from refersion_dagster.ingest.specs import RefersionTranslator, asset_key, column_schema, descriptions
from refersion_dagster.refersion import ReadReport
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import (
    MissingCredentials,
    RefersionError,
    ServerUnavailable,
    WindowNotSettled,
    underlying,
)
from refersion_dagster.refersion.extract.incremental import BEGINNING
from refersion_dagster.refersion.extract.stats import ReadSpan
from refersion_dagster.refersion.identity import remember_account
from refersion_dagster.refersion.resources import TESTS_COUNT
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.refersion.windows import Window, apart_from, months, next_month, parse_moment, whole_second
from refersion_dagster.resources import RefersionResource, Warehouse

CONVERSIONS, TOTALS, PAYMENTS = "conversions", "conversion_totals", "payments"
# Read whole each time, so that what is not among them is gone.
LISTED = ("affiliate_list", "affiliates")
# A row that was found can leave a gap elsewhere, which shows where the next one is.
MOST_SEARCHES = 3
# Dates can be edited to the future too.
AHEAD = timedelta(days=365)
CLICKS = "clicks"
# Tables that are loaded together. Control totals come last: they are compared with what was loaded before.
GROUPS = (
    ("affiliate_list", "affiliate_get"),
    ("affiliates",),
    ("offers",),
    ("payments",),
    ("conversions",),
    ("clicks",),
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
    with warehouse.exclusive(context.log.info), source_log_shown(context.log):
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
        self.turn: list[Window] = []
        self.counts = Counts(refersion, warehouse)
        # Requests of this run by table, those of further readings included.
        self.requests: Counter[str] = Counter()
        # Spans of conversions that were read in this run, and when.
        self.read: list[ReadSpan] = []

    def load(self, tables: Sequence[str]) -> Iterator[dg.MaterializeResult]:
        """Loads the tables, group by group, each one's result as soon as it is in.

        Raises dg.Failure after the last group when any failed, with every reason.
        """
        failures: dict[str, RefersionError] = {}
        refuse_another_account(self.refersion, self.warehouse)
        self._totals_first(tables, failures)
        for group in GROUPS:
            wanted = [table for table in group if table in tables and table not in failures]
            if wanted and self._tried(wanted, failures, lambda wanted=wanted: self._load_group(wanted, self.report)):
                yield from self._results([table for table in wanted if table != CONVERSIONS])
        if CONVERSIONS in tables and CONVERSIONS not in failures:
            if self._looks_back:
                with_totals = TOTALS in tables and TOTALS not in failures
                self._tried([CONVERSIONS], failures, lambda: self._load_late_months(with_totals))
            if CONVERSIONS not in failures:
                self._tried([CONVERSIONS], failures, self._settle_absent)
            if TOTALS in tables and not failures.keys() & {CONVERSIONS, TOTALS}:
                self._tried([CONVERSIONS], failures, self._tell_tests_apart)
            if CONVERSIONS not in failures:
                self._tried([CONVERSIONS], failures, lambda: self._settle(set(tables) - failures.keys()))
            if CONVERSIONS not in failures:
                keep_unchanged_months(self.warehouse)
            yield from self._results([CONVERSIONS])
        elif TOTALS in tables and TOTALS not in failures:
            settle_totals(self.warehouse, self.context.log.info)
        if TABLE in tables and not failures:
            if CONVERSIONS not in tables:
                update_history(self.warehouse, [])
            yield self._result_of_ours(TABLE)
        if READINGS in tables and not failures:
            if not {CONVERSIONS, TABLE} & set(tables):
                update_history(self.warehouse, [])
            yield self._result_of_ours(READINGS)
        self._remember_account([table for table in tables if table in ENTITIES and table not in failures])
        if failures:
            may_pass = all(isinstance(error, ServerUnavailable | WindowNotSettled) for error in failures.values())
            raise dg.Failure("\n\n".join(dict.fromkeys(map(str, failures.values()))), allow_retries=may_pass)

    def _remember_account(self, loaded: Sequence[str]) -> None:
        keys = self.refersion.account().credentials
        ways = {ENTITIES[table].is_graphql for table in loaded}
        with self.warehouse.session() as session:
            used = (keys.public_key if False in ways else None, keys.graphql_token if True in ways else None)
            remember_account(used, session.native)

    @property
    def _is_refresh(self) -> bool:
        """Whether the run looks back as far as the settings say or further: what is older is nobody else's task."""
        lookback_days = self.options.get("lookback_days")
        return self._looks_back and (lookback_days is None or lookback_days >= self.refersion.lookback_days)

    @property
    def _looks_back(self) -> bool:
        """Whether the run reads from a look-back on, its own or that of the settings, not just a configured range."""
        return all(self.options.get(name) in (None, False) for name in ("read_from", "read_to", "full_reload"))

    def _tried(self, tables: Sequence[str], failures: dict[str, RefersionError], load: Callable[[], None]) -> bool:
        try:
            load()
        except RefersionError as error:
            # The whole sentence comes once, with the failure.
            said = f"not read, as {error.brief}" if isinstance(error, MissingCredentials) else str(error)
            self.context.log.error(f"{', '.join(tables)}: {said}")
            failures.update(dict.fromkeys(tables, error))
            return False
        return True

    def _totals_first(self, tables: Sequence[str], failures: dict[str, RefersionError]) -> None:
        """Before the first load of conversions, so that changes during that load show in the totals."""
        if not self._is_refresh or not {CONVERSIONS, TOTALS} <= set(tables):
            return
        if self.warehouse.row_counts([TOTALS]).get(TOTALS):
            return
        if self._tried([TOTALS], failures, lambda: self._load_group([TOTALS], ReadReport())):
            keep_first_totals(self.warehouse)

    def _load_late_months(self, with_totals: bool) -> None:
        """Reads months from before the look-back again that must have changed, and their totals once more.

        Without it a light refresh, of a few days, would have Refersion's latest totals of a month and only the last
        days of that month to compare with them.
        """
        upto = self.report.table(CONVERSIONS).read_to
        if upto is None:
            return
        before = upto - self._lookback
        differ = self._other_counts(before) if self._is_refresh else {}
        late = late_months(self.warehouse, before, differ)
        if not late:
            return
        self.context.log.info(f"Changes outside the look-back window; reloading {', '.join(map(str, late))}")
        again = spans(late, self._earliest(), upto)
        for table in (CONVERSIONS, TOTALS) if with_totals else (CONVERSIONS,):
            self._load_spans(table, again)
        self.late = late
        if differ:
            self.counts.keep(list(differ))

    @property
    def _lookback(self) -> timedelta:
        days = self.options.get("lookback_days")
        return timedelta(days=self.refersion.lookback_days if days is None else days)

    def _load_spans(self, table: str, windows: Sequence[Window]) -> None:
        given = [(window.start.isoformat(), window.end.isoformat()) for window in windows]
        self._load_group([table], ReadReport(), read_spans=given, all_payments=False)

    def _other_counts(self, before: datetime) -> dict[Window, int]:
        """Months from before the look-back of which Refersion counts other conversions than are loaded.

        Whole months, as far as they were read, so that a month is the same one each night.
        """
        earliest, upto = self._earliest(), max(span.end for span in self.read)
        if earliest >= before:
            return {}
        if not self.counts.are_right(self.read):
            self.report.table(CONVERSIONS).warnings.append(NOT_COUNTED)
            return {}
        window = Window(earliest, min(next_month(before), upto))
        differ = self.counts.differing([window], upto)
        if self.counts.by_status:
            others = {month.start for month in differ}
            keep_counted_months(self.warehouse, [one for one in months(window) if one.start not in others], upto)
        self.context.log.info(
            f"Compared counts of conversions outside the look-back window, {self.counts.requests:,} requests"
        )
        return differ

    def _settle_absent(self) -> None:
        """Looks for conversions that were absent from where they were read, and marks those that are nowhere.

        Where counts are right they show where rows are to be found that moved to another time. Without them, all that
        was not read in this run has to be; a light refresh or one of a span leaves that to the next whole one.
        """
        absent = absent_conversions(self.warehouse, self.read)
        if not absent:
            return
        end = max(span.end for span in self.read)
        for _ in range(MOST_SEARCHES):
            elsewhere = apart_from(Window(self._earliest(), end + AHEAD), (span.window for span in self.read))
            if self.counts.are_right(self.read):
                windows = list(self.counts.differing(elsewhere, end))
            elif self._is_refresh or self.options.get("full_reload"):
                windows = elsewhere
            else:
                self.context.log.info(
                    f"{absent:,} conversions are missing where they were; the next refresh searches for them"
                )
                return
            if not windows:
                break
            self.context.log.info(f"Searching elsewhere for {absent:,} conversions that are missing where they were")
            self._load_spans(CONVERSIONS, windows)
            absent = absent_conversions(self.warehouse, self.read)
            if not absent:
                return
        gone = update_history(self.warehouse, self.read)
        self.context.log.info(f"{TABLE}: {gone:,} changes added for deleted conversions")

    def _tell_tests_apart(self) -> None:
        """Finds the tests of an account that does not say which conversions are tests."""
        report = self.report.table(CONVERSIONS)
        lacks = "is_test_conversion" in report.fields_missing and not self.report.table(TOTALS).not_offered
        if not lacks or not self.read:
            return
        account = self.refersion.account()
        try:
            upto = max(min(span.end, span.read_at) for span in self.read)
            unknown = tell_tests_apart(self.warehouse, account.rest, upto, self.context.log.info)
        finally:
            account.close()
        report.warnings = [warning for warning in report.warnings if warning != TESTS_COUNT]
        if unknown:
            report.warnings.append(f"This account does not say which conversions are tests. {unknown}")

    def _settle(self, tables: set[str]) -> None:
        """Reads again what disagrees because the shop went on, before it is called a difference."""
        upto = max((span.end for span in self.read), default=None)
        if upto is None:
            return
        earliest = self._earliest()
        read = {month.start.date().replace(day=1) for span in self.read for month in months(span.window)}

        def read_again(starts: Sequence[datetime]) -> None:
            again = spans([LateMonth(start) for start in starts], earliest, upto)
            for table in (CONVERSIONS, TOTALS):
                if again and table in tables:
                    self._load_spans(table, again)
            self._settle_absent()

        payments_read_at = self.report.table(PAYMENTS).asked_at
        if PAYMENTS in tables and payments_read_at and self._is_refresh:
            if has_new_payments(self.warehouse, payments_read_at):
                self.context.log.info("Payments were made while conversions were read: reading payments again")
                self._load_group([PAYMENTS], ReadReport())
            if months_paid := paid_meanwhile(self.warehouse, upto):
                self.context.log.info("Payments were made since conversions were read: reading conversions again")
                read_again(months_paid)
        if TOTALS in tables:
            settle_totals(self.warehouse, self.context.log.info, read_again, None if self._is_refresh else read)

    def _earliest(self) -> datetime:
        """Where the first load began, or before."""
        ((oldest,),) = self.warehouse.query(f"SELECT min(created) FROM {DATASET}.{CONVERSIONS}")  # noqa: S608
        return min(self._start, whole_second(oldest)) if oldest else self._start

    @property
    def _start(self) -> datetime:
        return parse_moment(self.refersion.start_date) if self.refersion.start_date else BEGINNING

    def _load_group(self, tables: Sequence[str], report: ReadReport, **options: Any) -> None:
        """Loads until nothing is left, one commit after the other, and records the history of conversions.

        Args:
            options: of the source, instead of the run's.
        """
        self.context.log.info(f"Reading {', '.join(tables)}")
        given = {"older_totals": self._is_refresh, "all_payments": self._is_refresh, **self.options, **options}
        if TOTALS in tables:
            given["totals_currencies"] = self._totals_currencies()
        if CONVERSIONS in tables and self._is_refresh and not options:
            self.turn = next_slice(self.warehouse, self._lookback, self._start)
            given["also_spans"] = [(window.start.isoformat(), window.end.isoformat()) for window in self.turn]
        while True:
            source = self.warehouse.prepare(self.refersion.source(report, **given))
            with self.warehouse.pipeline() as pipeline:
                load = self.dlt_resource.run(
                    self.context,
                    source.with_resources(*tables),
                    pipeline,
                    RefersionTranslator(),
                    loader_file_format=self.warehouse.file_format,
                )
                try:
                    list(load)  # dagster-dlt loads while it is iterated; _result reports what was loaded
                except (PipelineStepFailed, OSError) as error:
                    if trouble := self.warehouse.classify_error(error):
                        raise trouble from error
                    raise underlying(error) or error from None
            for table in tables:
                one = report.table(table)
                if one.not_offered:  # which is reported with the result
                    continue
                upto = f" up to {one.read_to:%Y-%m-%d %H:%M:%S} UTC" if one.read_to else ""
                requests = "1 request" if one.requests == 1 else f"{one.requests:,} requests"
                self.context.log.info(f"{table}: {one.rows:,} rows loaded{upto}, {requests}")
            keep_gaps(self.warehouse, {table: report.table(table) for table in tables})
            if not any(report.table(table).more for table in tables):
                break
        self.requests.update({table: report.table(table).requests for table in tables})
        self._keep_what_became(tables, report)

    def _keep_what_became(self, tables: Sequence[str], report: ReadReport) -> None:
        """What the rows just read say about the previous ones: changes, totals, deletions from a complete list."""
        for table in tables:
            one = report.table(table)
            if table in LISTED and one.asked_at and not one.not_offered:
                mark_listed(self.warehouse, table, one.asked_at)
        if PAYMENTS in tables and (self._is_refresh or self.options.get("full_reload")):
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

    def _totals_currencies(self) -> list[str]:
        account = self.refersion.account()
        try:
            return totals_currencies(self.warehouse, account, self.context.log.info)
        except RefersionError:
            return []  # reading the totals meets the same error and reports it
        finally:
            account.close()

    def _results(self, tables: Sequence[str]) -> Iterator[dg.MaterializeResult]:
        counts = self.warehouse.row_counts(tables)
        for table in tables:
            yield self._result(table, counts.get(table, 0))

    def _result_of_ours(self, table: str) -> dg.MaterializeResult:
        counts = self.warehouse.row_counts([table])
        return dg.MaterializeResult(
            asset_key=asset_key(table),
            metadata={"dagster/row_count": counts.get(table, 0), "warehouse": self.warehouse.location},
        )

    def _result(self, table: str, row_count: int) -> dg.MaterializeResult:
        report = self.report.table(table)
        metadata: dict[str, Any] = {
            "dagster/row_count": row_count,
            "rows_loaded": report.rows,
            "requests_made": self.requests[table] + (self.counts.requests if table == CONVERSIONS else 0),
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
        if table == CONVERSIONS and self.turn:
            metadata["read_in_turn"] = dg.MetadataValue.json(list(map(str, self.turn)))
        if table == CONVERSIONS and self.late:
            found = {f"{month.start:%Y-%m}": month.reasons for month in self.late}
            metadata["late_months"] = dg.MetadataValue.json(found)
        for warning in report.warnings:
            self.context.log.warning(f"{table}: {warning}")
        return dg.MaterializeResult(asset_key=asset_key(table), metadata=metadata)
