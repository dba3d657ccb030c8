"""Reads lists by offset: many pages in parallel, and always completely.

The server documents no order and no snapshot: rows that appear or disappear during a read shift the pages. Each page
is therefore requested with one row of overlap, and a list counts as read only if

- every page begins with the row that the previous page ended with,
- no row was returned twice, and the announced total did not change,
- its end was seen: a second request behind the last row returned nothing, or the announced total matches and the last
  page is shorter than others this server sends. A short page, an empty page or a total alone does not count as the
  end.

Otherwise it is read again. A window that moves a second time is cut in two, down to windows that fit on one page and
so cannot move. If a list cannot be cut and keeps changing, an error is raised rather than loading it incomplete.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Generic

from refersion_dagster.refersion.errors import WindowNotSettled
from refersion_dagster.refersion.extract import page_assembler
from refersion_dagster.refersion.extract.page_assembler import (
    Chunk,
    Page,
    RowsShifted,
    ServerBehaviour,
    Slice,
    SliceAssembly,
)
from refersion_dagster.refersion.tables.coerce import InexactNumber

logger = logging.getLogger(__name__)

ATTEMPTS = 5
# No further page is requested while this many responses wait for processing: surplus threads slow the others down.
BACKLOG = 2


@dataclass
class SliceRows(Generic[Chunk]):
    """A slice that was read completely: its rows in converted chunks."""

    slice: Slice
    chunks: list[Chunk]
    rows: int
    attempts: int


def fetch_slices(
    slices: Iterable[Slice],
    *,
    fetch: Callable[[Slice, int, int], Page],
    convert: Callable[[Sequence[Any]], Chunk],
    concurrency: int,
    page_size: int,
) -> Iterator[SliceRows[Chunk]]:
    """Reads each slice completely and yields them in order. Pages of several slices are fetched in parallel.

    Args:
        slices: what to read. Windows with very many rows are halved, and each half is yielded separately.
        fetch: returns the page for (slice, offset, first); called from worker threads.
        convert: builds a chunk from the rows of some pages; called from the caller's thread. If it raises
        InexactNumber, the slice is read again; the caller has to make `fetch` parse exactly from then on.
        concurrency: maximum number of pages in flight.
        page_size: number of rows per request.

    Raises:
        WindowNotSettled: rows kept moving; nothing of the slice was yielded.
        Any error of `fetch` and `convert`.
    """
    todo = iter(slices)
    server = ServerBehaviour()
    active: deque[SliceAssembly[Chunk]] = deque()
    under_way: dict[Future[Page], tuple[SliceAssembly[Chunk], int]] = {}

    def start(one: Slice, attempt: int = 1, before: Iterable[Any] = ()) -> SliceAssembly[Chunk]:
        return SliceAssembly(one, page_size, convert, server, attempt, frozenset(before))

    def requests() -> Iterator[tuple[SliceAssembly[Chunk], int]]:
        """The pages to request now, earliest slices first. Begins further slices while few rows are held."""
        for reading in active:
            while (offset := reading.next_offset()) is not None:
                yield reading, offset
        while len(active) < 2 * concurrency and sum(reading.held for reading in active) < 2 * page_assembler.MOST_ROWS:
            one = next(todo, None)
            if one is None:
                return
            reading = start(one)
            active.append(reading)
            while (offset := reading.next_offset()) is not None:
                yield reading, offset

    def replace(reading: SliceAssembly[Chunk], *others: SliceAssembly[Chunk]) -> None:
        at = active.index(reading)
        del active[at]
        for other in reversed(others):
            active.insert(at, other)

    def read_again(reading: SliceAssembly[Chunk], why: Exception) -> None:
        parts = reading.slice.cut() if reading.attempt > 1 and reading.several_pages else []
        if reading.attempt >= ATTEMPTS and not parts:
            raise WindowNotSettled(
                f"{reading.slice} kept changing in {ATTEMPTS} readings: {why}.",
                advice="None of it was loaded. Try again when the account is less busy.",
            )
        logger.warning("%s: %s; reading it again", reading.slice, why)
        if parts:
            replace(reading, *map(start, parts))
        else:
            replace(reading, start(reading.slice, reading.attempt + 1, reading.ids))

    failed = threading.Event()

    def work(one: Slice, offset: int) -> Page:
        """Fetches a page, unless another page ended the read: retries would only delay the error."""
        if failed.is_set():
            raise CancelledError
        try:
            return fetch(one, offset, page_size)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(concurrency, thread_name_prefix="refersion") as pool:
        try:
            asks = requests()
            while True:
                while (
                    len(under_way) < 2 * concurrency
                    and sum(future.done() for future in under_way) < BACKLOG
                    and (ask := next(asks, None))
                ):
                    reading, offset = ask
                    under_way[pool.submit(work, reading.slice, offset)] = ask
                if not under_way and not active:
                    return
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    reading, offset = under_way.pop(future)
                    if isinstance(future.exception(), CancelledError):
                        continue  # the error that ended the read follows
                    page = future.result()
                    if reading not in active:
                        continue
                    try:
                        reading.add_page(offset, page)
                    except (RowsShifted, InexactNumber) as why:
                        read_again(reading, why)
                        continue
                    if reading.too_large:
                        replace(reading, *map(start, reading.slice.cut()))
                while active and active[0].ended:
                    first = active.popleft()
                    yield SliceRows(first.slice, first.chunks, len(first.ids), first.attempt)
                asks = requests()
        finally:
            for future in under_way:
                future.cancel()
