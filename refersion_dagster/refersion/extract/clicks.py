"""Clicks, read in the way the account offers: from a root field, nested in affiliates, or nested in offers.

Rows may have no id. Their key is then a hash of their content, numbered for identical clicks. Identical clicks share
the same second, so a window always contains all of them.
"""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, which type checkers cannot see)

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from refersion_dagster.refersion.api.graphql import PAGE_SIZE, GraphQLClient
from refersion_dagster.refersion.api.query import FieldSelection, Parent, build_query
from refersion_dagster.refersion.errors import FieldNotOffered, UnexpectedAnswer, WindowNotSettled
from refersion_dagster.refersion.extract.entity_reader import EntityReader, RowBatch, keep_within
from refersion_dagster.refersion.extract.page_assembler import Slice
from refersion_dagster.refersion.extract.stats import TableReport
from refersion_dagster.refersion.tables.arrow import ArrowTableBuilder
from refersion_dagster.refersion.tables.catalog import CLICKS, ENTITIES, Column, Kind
from refersion_dagster.refersion.tables.coerce import ARROW_TYPES, read_text, read_timestamp
from refersion_dagster.refersion.windows import Window

logger = logging.getLogger(__name__)

# Clicks do not change, but those of the last days may still arrive.
CLICKS_LOOKBACK = timedelta(days=3)
ATTEMPTS = 5
KEY = "click_key"
# Columns that distinguish clicks, as loaded: if the ip is hashed or dropped, it is hashed or dropped in the key too.
TELLING = ("created", "affiliate_id", "offer_id", "referer", "landed_url", "ip", "sub_id", "creative_id")
# Equivalent columns: an id may be a field of the click, of a nested object, or of the list that contains the click.
SAME = {"affiliate_id": "affiliate__id", "offer_id": "offer__id"}
# The table as the API returns it. The key is added once the rows are in columns.
ANSWERED = replace(
    CLICKS,
    columns=(
        *(column for column in CLICKS.columns if column.name != KEY),
        *(Column(name, Kind.ID, f"{of}, as the object has it.") for of, name in SAME.items()),
    ),
    primary_key=("id",),
)


# Clicks by the id of their affiliate or offer; those of a root field under None.
Found = dict[str | None, list[dict[str, Any]]]


@dataclass(frozen=True)
class ListSelection:
    """Rows of the list that clicks are nested in: arguments that select them, and the id of a single row."""

    arguments: str
    id: str | None = None


class ClickReader:
    """Reads the clicks of one account.

    Args:
        client: the account's GraphQL API.
        selection: the fields to query, from `client.select(ANSWERED)`.
        builder: builds the Arrow tables of ANSWERED.
        report: receives counts and findings.
    """

    def __init__(
        self, client: GraphQLClient, selection: FieldSelection, builder: ArrowTableBuilder, report: TableReport
    ) -> None:
        self.client = client
        self.selection = selection
        self.builder = builder
        # Adds the missing fields to the report.
        self.reader = EntityReader(client, selection, builder, report)
        there = {column.name for column in selection.columns}
        filled = [of for of, name in SAME.items() if name in there]
        report.fields_missing = [name for name in report.fields_missing if name not in (*filled, *SAME.values())]

    def read(self, windows: Iterable[Window], most_rows: int | None = None) -> Iterator[RowBatch]:
        """Clicks of the windows, each window complete, or one batch of all if the account has no windows.

        Raises as EntityReader.read does, and FieldNotOffered if a list cannot be read completely.
        """
        ordered = sorted(windows)
        if not ordered:
            return
        whole = Window(ordered[0].start, ordered[-1].end)
        if self.selection.parent is not None or not self.selection.pages:
            # One affiliate after the other: by month would take one request per affiliate and month.
            yield from self._by_parent(whole)
            return
        for batch in self.reader.read(ordered if self.selection.by_window else None, most_rows):
            # Trimmed by time, so that identical clicks are in the same part.
            tables = [with_keys(keep_within(pa.concat_tables(batch.tables), whole))] if batch.tables else []
            yield replace(batch, tables=tables)

    def _by_parent(self, window: Window) -> Iterator[RowBatch]:
        with ThreadPoolExecutor(self.client.transport.throttle.limit, thread_name_prefix="refersion") as pool:
            for tables in pool.map(lambda chosen: list(self._tables(chosen, window)), self._parents()):
                yield RowBatch(window, tables, complete=False)
        yield RowBatch(window, [], complete=True)

    def _parents(self) -> list[ListSelection]:
        """How to query affiliates or offers one by one, or all together if there is no other way."""
        parent = self.selection.parent
        if parent is None:
            return [ListSelection("")]
        if "id" in parent.arguments:
            ids = self._ids(parent)
            return [ListSelection(f"id: {id_ if id_.isdigit() else json.dumps(id_)}", id_) for id_ in ids]
        if {"first", "offset"} <= parent.arguments:
            return [ListSelection(f"first: 1, offset: {place}", id_) for place, id_ in enumerate(self._ids(parent))]
        return [ListSelection("")]

    def _ids(self, parent: Parent) -> list[str]:
        entity = ENTITIES[parent.name]
        columns = tuple(column for column in entity.columns if column.name == "id")
        listing = FieldSelection(entity, columns, (), (), parent.arguments, announces=False)
        builder = ArrowTableBuilder(
            replace(entity, columns=columns), read_at=self.builder.read_at, privacy=self.builder.privacy
        )
        batches = EntityReader(self.client, listing, builder, TableReport()).read(None)
        return [id_ for batch in batches for table in batch.tables for id_ in table.column("id").to_pylist()]

    def _tables(self, chosen: ListSelection, window: Window) -> Iterator[pa.Table]:
        for id_, rows in self._rows(chosen, window).items():
            if rows:
                key = self.selection.parent.key if self.selection.parent else None
                named = [{**row, key: row.get(key) or id_} for row in rows] if key else rows
                yield with_keys(self.builder.build_rows(named))

    def _rows(self, chosen: ListSelection, window: Window) -> Found:
        """The clicks of each selected affiliate or offer."""
        if not self.selection.pages:
            return self._unpaged(chosen, window)
        before: Any = None
        for _ in range(ATTEMPTS):
            rows = self._read_pages(chosen, window)
            # Nothing arrives in a closed window. In an open list, new rows shift the pages.
            if self.selection.by_window or not any(len(some) > PAGE_SIZE for some in rows.values()) or rows == before:
                return rows
            before = rows
        raise WindowNotSettled(
            f"the clicks of {chosen.id or 'the account'} kept changing in {ATTEMPTS} readings.",
            operation=f"graphql {CLICKS.name}",
            advice="None of it was loaded. Try again when the account is less busy.",
        )

    def _read_pages(self, chosen: ListSelection, window: Window) -> Found:
        """Reads pages until one returns no rows at all: a short page may have been cut by the server."""
        found: Found = {}
        offset = 0
        while True:
            page = self._page(chosen, window, offset)
            for id_, rows in page.items():
                found.setdefault(id_, []).extend(_keep_within(rows, window))
            largest = max(map(len, page.values()), default=0)
            if not largest:
                return found
            offset += largest

    def _unpaged(self, chosen: ListSelection, window: Window) -> Found:
        """Reads a list in one response. If it has exactly as many rows as the largest page, it may have been cut."""
        page = self._page(chosen, window, 0)
        if not any(len(rows) == PAGE_SIZE for rows in page.values()):
            return {id_: _keep_within(rows, window) for id_, rows in page.items()}
        halves = window.split() if self.selection.by_window else None
        if halves is None:
            raise FieldNotOffered(
                f"this account's GraphQL API returns {PAGE_SIZE} clicks and cannot be paged.",
                operation=f"graphql {CLICKS.name}",
            )
        found: Found = {}
        for half in halves:
            for id_, rows in self._unpaged(chosen, half).items():
                found.setdefault(id_, []).extend(rows)
        return found

    def _page(self, chosen: ListSelection, window: Window, offset: int) -> Found:
        """One response: the rows of each affiliate or offer, by id; those of a root field under None."""
        query = build_query(self.selection, Slice(window, window), offset, PAGE_SIZE, chosen.arguments)
        data = self.client.execute(query, CLICKS.name)
        parent = self.selection.parent
        if parent is None:
            return {None: _list(data.get(CLICKS.name))}
        above = _list(data.get(parent.name))
        found: Found = {read_text(one.get("id")): _list(one.get(CLICKS.name)) for one in above}
        if chosen.id is not None and found.keys() - {chosen.id}:
            raise WindowNotSettled(
                f"{', '.join(sorted(filter(None, found)))} was returned instead of the clicks of {chosen.id}.",
                operation=f"graphql {parent.name}",
                advice="None of it was loaded. Try again when the account is less busy.",
            )
        return found


def _keep_within(rows: list[dict[str, Any]], window: Window) -> list[dict[str, Any]]:
    """Drops rows outside the window, which are requested because the server's bounds may be inclusive.

    Rows with an unreadable time are kept: building the table reports them as errors.
    """

    def inside(row: dict[str, Any]) -> bool:
        try:
            created = read_timestamp(row.get("created"))
        except ValueError:
            return True
        return created is None or window.start <= created < window.end

    return list(filter(inside, rows))


def with_keys(table: pa.Table) -> pa.Table:
    """The rows as the table holds them: with the key, and each id in one column."""
    for name, other in SAME.items():
        place = table.column_names.index(name)
        table = table.set_column(place, table.field(place), pc.coalesce(table.column(name), table.column(other)))
    table = table.drop_columns(list(SAME.values()))
    ids = table.column("id").to_pylist()
    if None in ids:
        seen: Counter[str] = Counter()
        names = [name for name in TELLING if name in table.column_names]
        columns = [_texts(table.column(name)) for name in names]
        for place, values in enumerate(zip(*columns, strict=True)):
            if ids[place] is None:
                content = hashlib.blake2b(json.dumps(values).encode(), digest_size=12).hexdigest()
                seen[content] += 1
                ids[place] = f"{content}-{seen[content]}"
    field = pa.field(KEY, ARROW_TYPES[Kind.ID], nullable=False)
    return table.add_column(0, field, pa.array(ids, field.type))


def _texts(column: pa.ChunkedArray) -> list[Any]:
    """Values that JSON can represent. Times are in microseconds, because datetimes would import pandas."""
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()


def _list(value: Any) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise UnexpectedAnswer("the response contains no list of objects.", operation=f"graphql {CLICKS.name}")
    return value
