"""Reads one GraphQL entity: complete windows of rows as Arrow tables."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, which type checkers cannot see)

from __future__ import annotations

import functools
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from refersion_dagster.refersion.api.graphql import PAGE_SIZE, GraphQLClient
from refersion_dagster.refersion.api.query import FieldSelection
from refersion_dagster.refersion.errors import UnexpectedAnswer, WindowNotSettled
from refersion_dagster.refersion.extract.page_assembler import Page, Slice
from refersion_dagster.refersion.extract.paging import SliceRows, fetch_slices
from refersion_dagster.refersion.extract.stats import TableReport
from refersion_dagster.refersion.tables.arrow import ArrowTableBuilder, ColumnBatch
from refersion_dagster.refersion.tables.catalog import PAYMENT_STATUSES
from refersion_dagster.refersion.tables.coerce import InexactNumber, as_values, moments
from refersion_dagster.refersion.tables.json_reader import ArrowJsonReader, Part, convert_to_columns
from refersion_dagster.refersion.windows import Window

Chunk = TypeVar("Chunk")

# How often a window is read if the passes that fill a field do not agree with the rows.
FILL_ATTEMPTS = 3
PAYMENT_STATUS = "payment_status"


@dataclass
class RowBatch:
    """Rows of one window, or of part of one. `complete` marks the last part."""

    window: Window | None
    tables: list[pa.Table]
    complete: bool


class EntityReader:
    """Reads one entity of one account.

    Args:
        client: the account's GraphQL API.
        selection: the fields to query, from `client.select`.
        builder: builds the Arrow tables.
        report: receives counts and findings.
    """

    def __init__(
        self, client: GraphQLClient, selection: FieldSelection, builder: ArrowTableBuilder, report: TableReport
    ) -> None:
        self.client = client
        self.selection = selection
        self.builder = builder
        self.plain = ArrowJsonReader(builder, selection.scalars)
        self.report = report
        self.fills = [(name, values) for name, values in selection.entity.filled_by_filter if name in selection.filters]
        lacks_payment_status = any(column.name == PAYMENT_STATUS for column in selection.missing)
        self.tells_payment = selection.tells_payment if lacks_payment_status else ()
        filled = [*dict(self.fills)]
        if self.tells_payment and PAYMENT_STATUS not in filled:
            filled.append(PAYMENT_STATUS)
        report.fields_missing = [column.name for column in selection.missing if column.name not in filled]
        report.fields_extra = list(selection.extras)
        report.fields_filled = filled
        report.not_loaded = dict(selection.not_loaded)

    def read(self, windows: Iterable[Window] | None, most_rows: int | None = None) -> Iterator[RowBatch]:
        """Yields the windows in order, each read completely; None reads a list that has no windows.

        Args:
            most_rows: stop after the window that reaches this number of rows.

        Raises what paging.fetch_slices raises, UnreadableValue, and WindowNotSettled.
        """
        rows, enough = 0, most_rows or sys.maxsize
        if windows is None and not self.selection.pages:
            yield RowBatch(None, [self._table(self._unpaged)], complete=True)
        elif self.fills:
            for window in windows or [None]:
                table = self._table(lambda window=window: self._fill(window))
                yield RowBatch(window, [_remove_duplicates(keep_within(table, window))], complete=True)
                rows += table.num_rows
                if rows >= enough:
                    break
        else:
            slices = (Slice(window, window) for window in (windows if windows is not None else [None]))
            # The tables of a slice are built while the next slice is read.
            made: deque[SliceRows[Future[pa.Table]]] = deque()
            with ThreadPoolExecutor(1, thread_name_prefix="refersion-tables") as background:
                for result in self._read_slices(slices, lambda parts: self._chunk(parts, background)):
                    made.append(result)
                    if len(made) > 1:
                        yield self._batch(made.popleft())
                    rows += result.rows
                    if rows >= enough and _ends_window(result.slice):
                        break
                yield from map(self._batch, made)
        pa.default_memory_pool().release_unused()  # the next step needs memory outside Arrow

    def _batch(self, result: SliceRows[Future[pa.Table]]) -> RowBatch:
        tables = [keep_within(table.result(), result.slice.window) for table in result.chunks]
        return RowBatch(result.slice.root, tables, complete=_ends_window(result.slice))

    def _read_slices(
        self, slices: Iterable[Slice], convert: Callable[[Sequence[Any]], Chunk]
    ) -> Iterator[SliceRows[Chunk]]:
        return fetch_slices(
            slices,
            fetch=self._fetch,
            convert=convert,
            concurrency=self.client.transport.throttle.limit,
            page_size=PAGE_SIZE,
        )

    def _fetch(self, one: Slice, offset: int, first: int) -> Page:
        """A page in columns; for a pass by filter, only the ids."""
        if one.filters:
            page = self.client.fetch(_ids_only(self.selection), one, offset, first)
            return replace(page, rows=page.ids)
        plain = self.plain.read if self.selection.offers("id") else _never
        page = self.client.fetch(self.selection, one, offset, first, plain)
        if isinstance(page.rows, pa.Array):
            return page
        with self.client.one_at_a_time:
            picked = self.builder.select_columns(page.rows)
        self.plain.expect_types(picked.values)
        return replace(page, rows=picked)

    def _chunk(self, parts: Sequence[Part], background: ThreadPoolExecutor) -> Future[pa.Table]:
        """The table of some pages, built in the background, except for values that need checking one by one."""
        if all(isinstance(part, pa.Array) for part in parts):
            return background.submit(self._build, parts)
        made: Future[pa.Table] = Future()
        made.set_result(self._build(parts))
        return made

    def _build(self, parts: Sequence[Part]) -> pa.Table:
        try:
            return self._with_payment_status(self.builder.build(convert_to_columns(parts)))
        except InexactNumber:
            self.client.exact = True
            raise

    def _with_payment_status(self, table: pa.Table) -> pa.Table:
        """If no field and no filter gives the payment status, a row is paid once it has a payment."""
        if not self.tells_payment or PAYMENT_STATUS in dict(self.fills):
            return table
        named = [pc.is_valid(table.column(name)) for name in self.tells_payment]
        is_paid = functools.reduce(pc.or_, named)
        place = table.schema.get_field_index(PAYMENT_STATUS)
        return table.set_column(place, table.schema.field(place), pc.if_else(is_paid, *PAYMENT_STATUSES))

    def _table(self, read: Callable[[], Sequence[Part]]) -> pa.Table:
        try:
            return self._build(read())
        except InexactNumber:
            return self._build(read())  # the client parses exactly from now on

    def _unpaged(self) -> Sequence[Part]:
        page = self._fetch(Slice(None, None), 0, PAGE_SIZE)
        if page.total is not None and len(page.ids) < page.total:
            raise UnexpectedAnswer(
                f"{len(page.ids)} of {page.total} rows were returned, and this account's API cannot be paged.",
                operation=f"graphql {self.selection.entity.name}",
                advice="Please open an issue with this account's schema.",
            )
        return [page.rows]  # pyright: ignore[reportReturnType]

    def _fill(self, window: Window | None) -> Sequence[ColumnBatch]:
        """The window's rows, with fields that cannot be selected filled by one pass per value."""
        passes = [Slice(window, window, ((name, value),)) for name, values in self.fills for value in values]
        doubtful: list[str] = []
        for _ in range(FILL_ATTEMPTS):
            found: dict[str, dict[Any, set[str]]] = {name: defaultdict(set) for name, _ in self.fills}
            parts: list[ColumnBatch] = []
            for result in self._read_slices([*passes, Slice(window, window)], list):
                pages = list(chain.from_iterable(result.chunks))
                if not result.slice.filters:
                    parts += convert_to_columns(pages)
                for name, value in result.slice.filters:
                    for id_ in chain.from_iterable(pages):
                        found[name][id_].add(value)
            ids = as_values([part.values["id"] for part in parts])
            doubtful = [f"{name} of {id_}" for id_ in ids for name in found if len(found[name][id_]) != 1]
            if (
                self.tells_payment
                and PAYMENT_STATUS in found
                and any(len(of) > 1 for of in found[PAYMENT_STATUS].values())
            ):
                # The server ignores this filter. The row's payment gives the same information.
                self.fills = [(name, values) for name, values in self.fills if name != PAYMENT_STATUS]
                return self._fill(window)
            if not doubtful:
                for part in parts:
                    of_part = as_values([part.values["id"]])
                    for name, values in found.items():
                        part.values[name] = [next(iter(values[id_])) for id_ in of_part]
                return parts
        raise WindowNotSettled(
            f"{window}: reading {', '.join(name for name, _ in self.fills)} through filters returned no value or "
            f"several values for {len(doubtful)} rows, including {', '.join(doubtful[:3])}.",
            operation=f"graphql {self.selection.entity.name}",
            advice="None of it was loaded. Possible causes: an unknown status, a filter that the server ignores, "
            "or rows that change constantly.",
        )


def keep_within(table: pa.Table, window: Window | None) -> pa.Table:
    """Drops rows outside the window, which are requested because the server's bounds may be inclusive."""
    if window is None:
        return table
    created = table.column("created")
    start, end = (moments(bound, 1)[0] for bound in (window.start, window.end))
    return table.filter(pc.and_(pc.greater_equal(created, start), pc.less(created, end)))


def _never(_content: bytes) -> None:
    """Rows without an id are compared by their whole content, which only parsed rows show."""


def _ends_window(one: Slice) -> bool:
    """Whether a slice is the last part of its window."""
    return one.window is None or one.root is None or one.window.end == one.root.end


def _remove_duplicates(table: pa.Table) -> pa.Table:
    """Each row once: if a window was cut, both halves contain the rows at the cut."""
    places = {id_: place for place, id_ in enumerate(table.column("id").to_pylist())}
    return table if len(places) == table.num_rows else table.take(pa.array(sorted(places.values()), pa.int64()))


def _ids_only(selection: FieldSelection) -> FieldSelection:
    return replace(selection, columns=tuple(c for c in selection.columns if c.name == "id"), extras=())
