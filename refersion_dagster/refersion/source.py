"""The dlt source: Refersion's tables as dlt resources, every value from dlt's configuration where it is not given."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute makes its functions when it is imported, which no type checker sees)

from __future__ import annotations

import gc
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.common.typing import TSecretStrValue
from dlt.extract.resource import DltResource

from refersion_dagster.refersion import graphql as graphql_api
from refersion_dagster.refersion import rest as rest_api
from refersion_dagster.refersion.auth import CHECK_KEYS, CHECK_TOKEN, Credentials, SecretHeaders
from refersion_dagster.refersion.coerce import read_text
from refersion_dagster.refersion.entities import (
    AFFILIATE_GET,
    AFFILIATE_LIST,
    AFFILIATES,
    CONVERSION_STATUSES,
    CONVERSION_TOTALS,
    CONVERSIONS,
    OFFERS,
    PAYMENT_STATUSES,
    PAYMENTS,
    Entity,
)
from refersion_dagster.refersion.graphql import GraphQL
from refersion_dagster.refersion.http import Transport
from refersion_dagster.refersion.privacy import PersonalData, Privacy
from refersion_dagster.refersion.reading import EntityReader
from refersion_dagster.refersion.report import ReadReport, ReadSpan, TableReport
from refersion_dagster.refersion.rest import Rest
from refersion_dagster.refersion.span import BEGINNING, LOOKBACK_DAYS, Pass, SpanRequest, plan
from refersion_dagster.refersion.tables import Row, TableBuilder, dlt_columns
from refersion_dagster.refersion.windows import Window, days, month_start, months, parse_moment, whole_second

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 5
# Rows that are handed to dlt at once: large enough for good Parquet row groups, small enough for flat memory.
YIELD_ROWS = 20_000


@dataclass
class Account:
    """One Refersion account during one reading: its clients, made when first needed, and the list of affiliates."""

    credentials: Credentials
    rest_url: str = rest_api.URL
    graphql_url: str = graphql_api.URL
    concurrency: int = 8
    retry_seconds: float = 300
    _transports: list[Transport] = field(default_factory=list, init=False)

    def _transport(self, headers: SecretHeaders, key_advice: str) -> Transport:
        transport = Transport(
            headers,
            key_advice=key_advice,
            redact=self.credentials.redact,
            concurrency=self.concurrency,
            retry_seconds=self.retry_seconds,
        )
        self._transports.append(transport)
        return transport

    @cached_property
    def rest(self) -> Rest:
        """Raises MissingCredentials without a key pair."""
        return Rest(self._transport(self.credentials.rest(), CHECK_KEYS), self.rest_url)

    @cached_property
    def graphql(self) -> GraphQL:
        """Raises MissingCredentials without a token."""
        return GraphQL(self._transport(self.credentials.graphql(), CHECK_TOKEN), self.graphql_url)

    @cached_property
    def affiliate_list(self) -> list[dict[str, Any]]:
        """The list of affiliates, read once for all tables that need it."""
        return self.rest.affiliate_list()

    @cached_property
    def now(self) -> datetime:
        """The server's time when it first answered, else ours; whole seconds, UTC. Rows carry the server's times."""
        told = [transport.server_time for transport in self._transports if transport.server_time]
        return whole_second(min(told, default=datetime.now(UTC)))

    def requests_for(self, entity: Entity) -> int:
        """Requests sent so far for one table, retries included."""
        operation = f"graphql {entity.name}" if entity.is_graphql else f"/{entity.name.replace('_', '/')}"
        return sum(transport.requests_for(operation) for transport in self._transports)

    def close(self) -> None:
        """Gives idle connections back; the next request opens new ones."""
        for transport in self._transports:
            transport.close()


@dataclass(frozen=True)
class ReadOptions:
    """How to read.

    Args:
        span: which conversions, payments and totals.
        personal: what becomes of customers' personal values.
        salt: key of their hash; without one a random one is made and kept in dlt's state, in the warehouse.
        all_details: affiliate_get reads every affiliate, not only new and changed ones.
        totals_by: "month" or "day".
        rows_per_load: a windowed table stops after whole months that hold this many rows, and says so in its report;
            None reads all in one load.
    """

    span: SpanRequest
    personal: PersonalData = PersonalData.HASH
    salt: str | None = None
    all_details: bool = False
    totals_by: str = "month"
    rows_per_load: int | None = None


class _Tables:
    """The generators behind the resources."""

    def __init__(self, account: Account, options: ReadOptions, report: ReadReport) -> None:
        self.account = account
        self.options = options
        self.report = report

    def _builder(self, entity: Entity, extras: Sequence[str] = ()) -> TableBuilder:
        salt = self.options.salt
        if not salt and self.options.personal is PersonalData.HASH:
            salt = dlt.current.source_state().setdefault("pii_salt", secrets.token_hex(16))
        privacy = Privacy(self.options.personal, salt or "")
        return TableBuilder(entity, read_at=self.account.now, privacy=privacy, extras=extras)

    def _counted(self, entity: Entity, tables: Callable[[TableReport], Iterator[pa.Table]]) -> Iterator[pa.Table]:
        """The tables, with their rows and requests entered into the report."""
        report = self.report.table(entity.name)
        sent = self.account.requests_for(entity)
        try:
            told = time.monotonic()
            for table in _rarely_collected(tables(report)):
                report.rows += table.num_rows
                if time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    sent_now = self.account.requests_for(entity) - sent
                    logger.info("%s: %s rows so far, %s requests", entity.name, f"{report.rows:,}", f"{sent_now:,}")
                yield table
        finally:
            report.requests += self.account.requests_for(entity) - sent
            self.account.close()

    def affiliate_list(self, report: TableReport) -> Iterator[pa.Table]:
        rows = self.account.affiliate_list
        known = {column.name for column in AFFILIATE_LIST.columns}
        report.fields_extra = sorted({name for row in rows for name in row} - known)
        builder = self._builder(AFFILIATE_LIST, report.fields_extra)
        yield from _built(builder, rows)

    def affiliate_get(self, report: TableReport) -> Iterator[pa.Table]:
        seen: dict[str, str] = dlt.current.resource_state(AFFILIATE_GET.name).setdefault("seen", {})
        digests = {read_text(row["id"]): _digest(row) for row in self.account.affiliate_list}
        changed = [
            row
            for row in self.account.affiliate_list
            if self.options.all_details or seen.get(read_text(row["id"])) != digests[read_text(row["id"])]
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
            report.warnings.append(f"{len(gone)} listed affiliates were not found, among them {', '.join(gone[:5])}")
        known = {column.name for column in AFFILIATE_GET.columns}
        report.fields_extra = sorted({name for row in found for name in row} - known)
        yield from _built(self._builder(AFFILIATE_GET, report.fields_extra), found)

    def conversion_totals(self, report: TableReport) -> Iterator[pa.Table]:
        state = dlt.current.resource_state(CONVERSION_TOTALS.name)
        any_at_all = self.account.rest.conversion_count(Window(BEGINNING, whole_second(datetime.now(UTC))))
        reading = plan(self.options.span, state, self.account.now)
        if reading.window is None or not any_at_all:
            yield self._builder(CONVERSION_TOTALS).empty()
            return
        by_month = self.options.totals_by == "month"
        start = (
            month_start(reading.window.start) if by_month else reading.window.start.replace(hour=0, minute=0, second=0)
        )
        window = Window(start, reading.window.end)
        report.read_from, report.read_to = window.start, window.end
        periods = [
            period for year in self._years_with_conversions(window) for period in (months if by_month else days)(year)
        ]
        asked = [
            (period, status, payment_status)
            for period in periods
            for status in CONVERSION_STATUSES
            for payment_status in PAYMENT_STATUSES
        ]
        rows: list[Row] = [
            {**row, "granularity": self.options.totals_by} for row in self.account.rest.conversion_totals(asked)
        ]
        known = {column.name for column in CONVERSION_TOTALS.columns}
        report.fields_extra = sorted({name for row in rows for name in row} - known)
        yield from _built(self._builder(CONVERSION_TOTALS, report.fields_extra), rows)
        reading.read_up_to(reading.window.end)

    def _years_with_conversions(self, window: Window) -> Iterator[Window]:
        """Years of the window in which the account has conversions: the first load begins long before most accounts."""
        for year in range(window.start.year, window.end.year + 1):
            start = max(window.start, datetime(year, 1, 1, tzinfo=UTC))
            end = min(window.end, datetime(year + 1, 1, 1, tzinfo=UTC))
            if start >= end:
                continue
            years = Window(start, end)
            if end - start < timedelta(days=200) or self.account.rest.conversion_count(years):
                yield years

    def listed(self, entity: Entity, report: TableReport) -> Iterator[pa.Table]:
        """A GraphQL entity without windows."""
        client = self.account.graphql
        selection = client.select(entity)
        builder = self._builder(entity, selection.extras)
        yield builder.empty()
        for batch in EntityReader(client, selection, builder, report).read(None):
            yield from batch.tables

    def windowed(self, entity: Entity, report: TableReport) -> Iterator[pa.Table]:
        """A GraphQL entity that is read month by month."""
        state = dlt.current.resource_state(entity.name)
        client = self.account.graphql
        selection = client.select(entity)
        reading: Pass = plan(self.options.span, state, self.account.now, resume_at=report.begin_load())
        builder = self._builder(entity, selection.extras)
        yield builder.empty()
        if reading.window is None:
            return
        report.read_from = report.read_from or reading.window.start
        loaded = 0
        held: list[pa.Table] = []
        position = reading.window.start
        newest: datetime | None = None
        for batch in EntityReader(client, selection, builder, report).read(months(reading.window)):
            held += batch.tables
            newest = max(filter(None, [newest, *map(_newest, batch.tables)]), default=None)
            loaded += sum(table.num_rows for table in batch.tables)
            if sum(table.num_rows for table in held) >= YIELD_ROWS:
                yield pa.concat_tables(held)
                held = []
            if batch.complete and batch.window:
                position = batch.window.end
                if (
                    self.options.rows_per_load
                    and loaded >= self.options.rows_per_load
                    and position < reading.window.end
                ):
                    break
        if held:
            yield pa.concat_tables(held)
        report.read_to = position
        report.more = position < reading.window.end
        if position > reading.window.start:
            report.spans.append(ReadSpan(reading.window.start, position, self.account.now))
        reading.read_up_to(position, newest)

    def resource(self, entity: Entity, tables: Callable[[TableReport], Iterator[pa.Table]]) -> DltResource:
        return dlt.resource(
            lambda: self._counted(entity, tables),
            name=entity.name,
            primary_key=list(entity.primary_key),
            # Rows come without duplicates (see paging.py), so the merge need not look for any.
            write_disposition={"disposition": "merge", "strategy": "delete-insert", "deduplicated": True},
            columns=dlt_columns(entity),
        )


def _rarely_collected(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same tables, with Python's cycle collector held back while they are made.

    Parsed rows are very many objects without cycles; looking through them takes a third of the time of reading.
    """
    thresholds = gc.get_threshold()
    try:
        while True:
            gc.set_threshold(200_000, *thresholds[1:])
            table = next(tables, None)
            gc.set_threshold(*thresholds)
            if table is None:
                return
            yield table
    finally:
        gc.set_threshold(*thresholds)


def _built(builder: TableBuilder, rows: Sequence[Row]) -> Iterator[pa.Table]:
    yield builder.empty()
    for at in range(0, len(rows), YIELD_ROWS):
        yield builder.build_rows(rows[at : at + YIELD_ROWS])


def _newest(table: pa.Table) -> datetime | None:
    newest: datetime | None = pc.max(table.column("created")).as_py()
    return whole_second(newest) if newest else None


def _digest(row: Row) -> str:
    return hashlib.blake2b(json.dumps(row, sort_keys=True, default=str).encode(), digest_size=6).hexdigest()


def build_resources(account: Account, options: ReadOptions, report: ReadReport) -> Iterable[DltResource]:
    """Refersion's tables as dlt resources, all of the names of entities.ENTITIES."""
    tables = _Tables(account, options, report)
    yield tables.resource(AFFILIATE_LIST, tables.affiliate_list)
    yield tables.resource(AFFILIATE_GET, tables.affiliate_get)
    yield tables.resource(CONVERSION_TOTALS, tables.conversion_totals)
    for entity in (AFFILIATES, OFFERS):
        yield tables.resource(entity, lambda report, entity=entity: tables.listed(entity, report))
    for entity in (PAYMENTS, CONVERSIONS):
        yield tables.resource(entity, lambda report, entity=entity: tables.windowed(entity, report))


@dlt.source(name="refersion_source", section="refersion_source", max_table_nesting=0)
def refersion_source(
    api_key: TSecretStrValue | None = None,
    public_key: TSecretStrValue | None = None,
    graphql_token: TSecretStrValue | None = None,
    rest_url: str = rest_api.URL,
    graphql_url: str = graphql_api.URL,
    start_date: str | None = None,
    lookback_days: int = LOOKBACK_DAYS,
    read_from: str | None = None,
    read_to: str | None = None,
    full_reload: bool = False,
    all_details: bool = False,
    totals_by: str = "month",
    pii: str = "hash",
    pii_salt: TSecretStrValue | None = None,
    max_concurrency: int = 8,
    retry_seconds: int = 300,
    rows_per_load: int | None = None,
    report: ReadReport | None = None,
) -> Iterable[DltResource]:
    """A Refersion account: affiliate_list, affiliate_get, conversion_totals (REST), affiliates, offers, payments and
    conversions (GraphQL). Every table merges on its primary key.

    Values that are not given come from dlt's configuration: `[sources.refersion_source]` in `.dlt/secrets.toml` and
    `.dlt/config.toml`, or the environment (`SOURCES__REFERSION_SOURCE__API_KEY`).

    Conversions, payments and totals are read by windows of `created`: everything at first, then from `lookback_days`
    before the last run on, as conversions change status and are paid long after they were made.

    Args:
        api_key: the REST secret key (`sec_…`), or the pair `public.secret` in one string.
        public_key: the REST public key (`pub_…`).
        graphql_token: the GraphQL token. Without it the three REST tables still load.
        rest_url, graphql_url: other addresses, such as a sandbox's.
        start_date: the first load begins here (a date or time, UTC where no zone is named); without it, at the
            account's beginning.
        lookback_days: how many days to read again.
        read_from, read_to: an explicit span of `created`, half-open, which leaves the high-water mark alone.
        full_reload: read everything from start_date again.
        all_details: read the details of every affiliate, not only of new and changed ones.
        totals_by: period of the control totals, "month" or "day".
        pii: what becomes of customers' e-mail, name and ip: "hash", "keep" or "drop".
        pii_salt: key of the hash; without one, a random one that is kept in dlt's state.
        max_concurrency: the most requests at once, per API.
        retry_seconds: how long one request may be retried.
        rows_per_load: stop each windowed table after whole months of about this many rows; `report.more` then tells to
            run again.
        report: filled with counts and findings.

    Raises (when the tables are read):
        refersion.errors.RefersionError and its subclasses; ValueError for an unknown setting.
    """
    if totals_by not in ("month", "day"):
        raise ValueError(f"totals_by is {totals_by!r}; it can be month or day.")
    try:
        personal = PersonalData(pii.strip().lower())
    except ValueError:
        raise ValueError(f"pii (REFERSION_PII) is {pii!r}; it can be hash, keep or drop.") from None
    for name, value, least in (
        ("lookback_days (REFERSION_LOOKBACK_DAYS)", lookback_days, 0),
        ("max_concurrency (REFERSION_MAX_CONCURRENCY)", max_concurrency, 1),
        ("retry_seconds (REFERSION_RETRY_SECONDS)", retry_seconds, 0),
        ("rows_per_load (REFERSION_ROWS_PER_LOAD)", rows_per_load, 1),
    ):
        if value is not None and value < least:
            raise ValueError(f"{name} is {value}; it has to be {least} or more.")
    account = Account(
        Credentials(public_key, api_key, graphql_token), rest_url, graphql_url, max_concurrency, retry_seconds
    )
    span = SpanRequest(
        start=parse_moment(start_date) if start_date else BEGINNING,
        lookback=timedelta(days=lookback_days),
        read_from=parse_moment(read_from) if read_from else None,
        read_to=parse_moment(read_to) if read_to else None,
        full=full_reload,
    )
    options = ReadOptions(span, personal, pii_salt, all_details, totals_by, rows_per_load)
    return list(build_resources(account, options, report if report is not None else ReadReport()))
