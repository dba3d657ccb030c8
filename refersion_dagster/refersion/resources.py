"""Reads the tables of an account: generators of Arrow tables for dlt resources."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract.resource import DltResource

from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.api.graphql import GraphQLClient
from refersion_dagster.refersion.api.query import list_not_loaded
from refersion_dagster.refersion.destination import check_merge
from refersion_dagster.refersion.errors import NOT_OFFERED, MissingCredentials, RefersionError
from refersion_dagster.refersion.extract.batches import YIELD_ROWS, record_progress
from refersion_dagster.refersion.extract.clicks import ANSWERED, CLICKS_LOOKBACK, ClickReader
from refersion_dagster.refersion.extract.control_totals import (
    find_changed_years,
    list_by_status,
    years_with_conversions,
)
from refersion_dagster.refersion.extract.entity_reader import EntityReader
from refersion_dagster.refersion.extract.incremental import BEGINNING, IncrementalWindow, SpanRequest, plan_window
from refersion_dagster.refersion.extract.stats import ReadReport, TableReport
from refersion_dagster.refersion.personal_data import privacy_of
from refersion_dagster.refersion.request import LoadRequest
from refersion_dagster.refersion.tables.arrow import ArrowTableBuilder, Row, dlt_columns
from refersion_dagster.refersion.tables.catalog import (
    AFFILIATE_GET,
    AFFILIATE_LIST,
    CLICKS,
    CONVERSION_TOTALS,
    CONVERSIONS,
    NO_CURRENCY,
    PAYMENTS,
    Entity,
    FieldSource,
)
from refersion_dagster.refersion.tables.coerce import read_text
from refersion_dagster.refersion.tables.privacy import PersonalData
from refersion_dagster.refersion.windows import Window, days, month_start, months, parse_moment, whole_second, years

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read.

    Args:
        request: what the run requests.
        span: the resulting span of conversions, payments and totals, given the settings.
        personal: what to do with customers' personal values.
        salt: key of their hash. Without one, a random salt is generated and stored in dlt's state in the warehouse.
        totals_by: "month" or "day".
        totals_of_loaded: request totals only up to where conversions were read, not up to now.
        rows_per_load: a windowed table stops after whole months that contain this many rows, and its report says so;
        None reads everything in one load.
    """

    request: LoadRequest
    span: SpanRequest
    personal: PersonalData
    salt: str | None
    totals_by: str
    totals_of_loaded: bool
    rows_per_load: int | None

    def span_of(self, entity: Entity) -> SpanRequest:
        """What to read of an entity. Only conversions have windows before the look-back."""
        if entity is CONVERSIONS:
            return self.span
        whole = entity is PAYMENTS and self.request.all_payments and not self.span.explicit
        return replace(self.span, also=(), full=self.span.full or whole)


class ResourceFactory:
    """The generators that dlt resources are made of."""

    def __init__(self, account: RefersionClient, options: ReadOptions, report: ReadReport) -> None:
        self.account = account
        self.options = options
        self.report = report

    def _builder(self, entity: Entity, extras: Sequence[str] = ()) -> ArrowTableBuilder:
        privacy = privacy_of(self.options.personal, self.options.salt)
        return ArrowTableBuilder(entity, read_at=self.account.now, privacy=privacy, extras=extras)

    def _count_rows(self, entity: Entity, tables: Callable[[TableReport], Iterator[pa.Table]]) -> Iterator[pa.Table]:
        """Yields the tables, or an empty one if there is no other, and adds their rows and requests to the report."""
        check_merge()
        report = self.report.table(entity.name)
        sent = self.account.requests_for(entity)
        empty: pa.Table | None = None
        try:
            told = time.monotonic()
            for table in self._read_if_offered(entity, tables, report):
                if not table.num_rows:
                    empty = table  # held back, because dlt takes 20 ms per table, even if it is empty
                    continue
                report.rows += table.num_rows
                if time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    sent_now = self.account.requests_for(entity) - sent
                    logger.info("%s: %s rows so far, %s requests", entity.name, f"{report.rows:,}", f"{sent_now:,}")
                yield table
            if not report.rows and empty is not None:
                yield empty
        finally:
            report.requests += self.account.requests_for(entity) - sent
            self.account.close()

    def _read_if_offered(
        self, entity: Entity, tables: Callable[[TableReport], Iterator[pa.Table]], report: TableReport
    ) -> Iterator[pa.Table]:
        """Yields the tables, or an empty one if the account does not offer any and the figures do not need it."""
        any_came = False
        report.not_offered = None
        try:
            for table in tables(report):
                any_came = any_came or bool(table.num_rows)
                yield table
        except NOT_OFFERED as error:
            if any_came or not self._is_dispensable(entity, error):
                raise
            report.not_offered = " ".join(filter(None, (error.what, error.said and f'Refersion said: "{error.said}".')))
            why = f"not read, as {error.brief}." if isinstance(error, MissingCredentials) else f"not offered: {error}"
            report.warnings = [f"{why} No new rows were loaded into the table."]
            yield self._builder(entity).empty()
        report.asked_at = self.account.now

    def _is_dispensable(self, entity: Entity, error: RefersionError) -> bool:
        """Whether a load may continue without the table. Every figure needs conversions.

        Nothing can be loaded without any key.
        """
        if entity.needed:
            return False
        credentials = self.account.credentials
        if credentials.has_half_a_pair:
            return False
        return not isinstance(error, MissingCredentials) or (
            credentials.has_rest if entity.is_graphql else credentials.has_graphql
        )

    def affiliate_list(self, report: TableReport) -> Iterator[pa.Table]:
        rows = self.account.affiliate_list
        known = {column.name for column in AFFILIATE_LIST.columns}
        report.fields_extra = sorted({name for row in rows for name in row} - known)
        report.fields_missing = _find_absent_fields(AFFILIATE_LIST, rows)
        builder = self._builder(AFFILIATE_LIST, report.fields_extra)
        yield from _build_tables(builder, rows)

    def affiliate_get(self, report: TableReport) -> Iterator[pa.Table]:
        seen: dict[str, str] = dlt.current.resource_state(AFFILIATE_GET.name).setdefault("seen", {})
        digests = {read_text(row["id"]): _digest(row) for row in self.account.affiliate_list}
        changed = [
            row
            for row in self.account.affiliate_list
            if self.options.request.all_details
            or read_text(row["id"]) in self.options.request.details_of
            or seen.get(read_text(row["id"])) != digests[read_text(row["id"])]
        ]
        found: list[Row] = []
        gone = []
        for listed, details in self.account.rest.affiliates_get(changed):
            listed_id = read_text(listed["id"])
            if details is None:
                gone.append(listed_id)
            else:
                found.append(details)
                seen[listed_id] = digests[listed_id]
        if gone:
            report.warnings.append(f"{len(gone)} listed affiliates were not found, including {', '.join(gone[:5])}")
        known = {column.name for column in AFFILIATE_GET.columns}
        report.fields_extra = sorted({name for row in found for name in row} - known)
        yield from _build_tables(self._builder(AFFILIATE_GET, report.fields_extra), found)

    def conversion_totals(self, report: TableReport) -> Iterator[pa.Table]:
        state = dlt.current.resource_state(CONVERSION_TOTALS.name)
        currencies = self.options.request.totals_currencies
        beginning = Window(BEGINNING, whole_second(datetime.now(UTC)))
        # Years that once had conversions are always queried again, because all of their conversions may have been
        # deleted.
        asked_before: list[str] = state.setdefault("asked", sorted({key[:4] for key in state.get("years", {})}))
        # Always requested: its response gives the server's time, which windows and rows use.
        any_at_all = self.account.rest.conversion_count(beginning, currencies) or asked_before
        now = self._end_of_totals()
        reading = plan_window(self.options.span_of(CONVERSION_TOTALS), state, now)
        windows = self._windows_of_totals(reading, now)
        if not windows or not any_at_all:
            yield self._builder(CONVERSION_TOTALS).empty()
            return
        report.read_from, report.read_to = windows[0].start, windows[-1].end
        rest = self.account.rest
        parts = [*self._find_changed_windows(reading, report.read_from, now, state)]
        for window in windows:
            parts += years_with_conversions(rest, window, asked_before, currencies)
        state["asked"] = sorted({*asked_before, *(f"{part.start.year}" for part in parts)})
        split = months if self.options.totals_by == "month" else days
        asked = list_by_status(dict.fromkeys(period for part in parts for period in split(part)))
        rows: list[Row] = [
            {**row, "granularity": self.options.totals_by, "currency": row.get("currency") or NO_CURRENCY}
            for row in rest.conversion_totals(asked, currencies)
        ]
        known = {column.name for column in CONVERSION_TOTALS.columns}
        report.fields_extra = sorted({name for row in rows for name in row} - known)
        yield from _build_tables(self._builder(CONVERSION_TOTALS, report.fields_extra), rows)
        reading.read_up_to(report.read_to)

    def _end_of_totals(self) -> datetime:
        """The last second to request: now or, if totals are compared with the conversions, the last one read.

        A run of both tables reads conversions minutes earlier. For a run of totals alone, an earlier run read them.
        """
        if not self.options.totals_of_loaded:
            return self.account.now
        if spans := self.report.table(CONVERSIONS.name).spans:
            return max(min(span.end - timedelta(seconds=1), span.read_at) for span in spans)
        position = dlt.current.resource_state(CONVERSIONS.name).get("position")
        return min(parse_moment(position) - timedelta(seconds=1), self.account.now) if position else self.account.now

    def _windows_of_totals(self, reading: IncrementalWindow, last: datetime) -> list[Window]:
        """Whole periods, but not before the first load or after `last`."""
        found: list[Window] = []
        for window in reading.windows:
            start = window.start.replace(hour=0, minute=0, second=0)
            if self.options.totals_by == "month":
                start = month_start(start)
            start = max(start, min(window.start, reading.start))
            end = min(window.end, last + timedelta(seconds=1))
            if start < end:
                found.append(Window(start, end))
        return found

    def _find_changed_windows(
        self, reading: IncrementalWindow, start: datetime, now: datetime, state: MutableMapping[str, Any]
    ) -> Iterable[Window]:
        """Years before the look-back, which begins at `start`, whose totals changed."""
        end = max(start, month_start(now - self.options.span.lookback))
        if not self.options.request.older_totals or reading.state is None or reading.start >= end:
            return ()
        window, known = Window(reading.start, end), state.setdefault("years", {})
        return find_changed_years(
            self.account.rest, window, known, state["asked"], self.options.request.totals_currencies
        )

    def _graphql(self) -> GraphQLClient:
        """The GraphQL client, after its schema was read and added to the report. Raises as `GraphQLClient.schema`."""
        client = self.account.graphql
        self.report.schema = client.schema()
        if client.introspection_refusal:
            self.report.why_no_schema = f'Refersion refuses introspection: "{client.introspection_refusal}".'
        return client

    def read_list(self, entity: Entity, report: TableReport) -> Iterator[pa.Table]:
        """A GraphQL entity without windows."""
        client = self._graphql()
        selection = client.select(entity)
        builder = self._builder(entity, selection.extras)
        yield builder.empty()
        for batch in EntityReader(client, selection, builder, report).read(None):
            yield from batch.tables

    def read_windows(self, entity: Entity, report: TableReport) -> Iterator[pa.Table]:
        """A GraphQL entity that is read by windows of time."""
        state = dlt.current.resource_state(entity.name)
        client = self._graphql()
        selection = client.select(entity)
        if any(column.name == "is_test_conversion" for column in selection.missing):
            report.warnings = [
                "This account does not say which conversions are tests, so tests are included in every figure."
            ]
        reading = plan_window(self.options.span_of(entity), state, self.account.now, resume_at=report.begin_load())
        builder = self._builder(entity, selection.extras)
        reader = EntityReader(client, selection, builder, report)
        report.not_loaded = list_not_loaded(client.schema(), selection)
        yield builder.empty()
        if reading.window is None:
            return
        report.read_from = report.read_from or reading.begin or reading.window.start
        # Payments are few.
        pieces = years if entity is PAYMENTS else months
        batches = reader.read(chain.from_iterable(map(pieces, reading.windows)), self.options.rows_per_load)
        yield from record_progress(batches, reading, reading.window, report, self.account.now)

    def clicks(self, report: TableReport) -> Iterator[pa.Table]:
        """Reads clicks in the way the account offers: month by month, or the whole span affiliate by affiliate."""
        state = dlt.current.resource_state(CLICKS.name)
        client = self._graphql()
        selection = client.select(ANSWERED)
        request = self.options.span_of(CLICKS)
        request = replace(request, lookback=min(request.lookback, CLICKS_LOOKBACK))
        reading = plan_window(request, state, self.account.now, resume_at=report.begin_load())
        reader = ClickReader(client, selection, self._builder(ANSWERED, selection.extras), report)
        yield self._builder(CLICKS, selection.extras).empty()
        if reading.window is None:
            return
        report.read_from = report.read_from or reading.window.start
        batches = reader.read(chain.from_iterable(map(months, reading.windows)), self.options.rows_per_load)
        yield from record_progress(batches, reading, reading.window, report, self.account.now)

    def resource(self, entity: Entity, tables: Callable[[TableReport], Iterator[pa.Table]]) -> DltResource:
        return entity_resource(entity, lambda: self._count_rows(entity, tables))


def entity_resource(entity: Entity, tables: Callable[[], Iterator[pa.Table]]) -> DltResource:
    """The dlt resource of an entity. Its rows have to be without duplicates, because the merge does not remove any."""
    return dlt.resource(
        tables,
        name=entity.name,
        primary_key=list(entity.primary_key),
        write_disposition={"disposition": "merge", "strategy": "delete-insert", "deduplicated": True},
        columns=dlt_columns(entity),
    )


def _build_tables(builder: ArrowTableBuilder, rows: Sequence[Row]) -> Iterator[pa.Table]:
    yield builder.empty()
    for at in range(0, len(rows), YIELD_ROWS):
        yield builder.build_rows(rows[at : at + YIELD_ROWS])


def _find_absent_fields(entity: Entity, rows: Sequence[Row]) -> list[str]:
    """Known fields that are missing from all rows."""
    there = {name for row in rows for name in row}
    asked = [column.name for column in entity.columns if column.evidence is not FieldSource.OURS]
    return [name for name in asked if name not in there] if rows else []


def _digest(row: Row) -> str:
    return hashlib.blake2b(json.dumps(row, sort_keys=True, default=str).encode(), digest_size=6).hexdigest()
