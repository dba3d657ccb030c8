"""Reading lists by offset: many pages at once, and never short.

The server documents no order and no snapshot: rows that arrive or vanish while one reads shift the pages. So each page
is asked for with one row of overlap to the page before it, and a list counts as read only when

- every page begins with the very row that the page before it ended with,
- no row was met twice, and the announced total did not change meanwhile,
- its end was seen: either the announced total agrees, or a second look behind the last row found nothing more. A short
  or an empty page alone is not taken for the end.

Otherwise it is read again. A window of time that moves a second time is cut in two, down to windows that fit on one
page and so cannot move; what cannot be cut and never holds still is an error rather than a short load.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from refersion_dagster.refersion.coerce import InexactNumber
from refersion_dagster.refersion.errors import WindowNotSettled
from refersion_dagster.refersion.windows import Window

logger = logging.getLogger(__name__)
Chunk = TypeVar("Chunk")

ATTEMPTS = 5
# A page that should hold rows and comes back empty is asked for this often.
LOOKS = 3
# A window announced to hold more rows than this is cut in two, so that memory stays flat.
MOST_ROWS = 20_000
# Rows are handed to `convert` in groups of about this size.
CHUNK_ROWS = 5_000


@dataclass(frozen=True)
class Page:
    """Rows of one answer with their ids, and the total that the server announced beside them, if any."""

    rows: Sequence[Any]
    ids: Sequence[Any]
    total: int | None


@dataclass(frozen=True)
class Slice:
    """One list to read: a window of time (None for lists without), under a filter.

    Args:
        window: what to read now.
        root: the window it was cut from.
        filters: further arguments, as (name, value) pairs.
        cut_at: the total that was announced for the window it was cut from, because of which it was cut.
    """

    window: Window | None
    root: Window | None
    filters: tuple[tuple[str, str], ...] = ()
    cut_at: int | None = None

    def cut(self, announced: int | None = None) -> list[Slice]:
        """The two halves, or nothing where it cannot be cut."""
        halves = self.window.halves() if self.window else None
        return [Slice(half, self.root, self.filters, announced) for half in halves or ()]

    def __str__(self) -> str:
        parts = [str(self.window)] if self.window else []
        return ", ".join([*parts, *(f"{name} {value}" for name, value in self.filters)]) or "the whole list"


@dataclass
class SliceRows(Generic[Chunk]):
    """A slice that was read whole: its rows in converted chunks."""

    slice: Slice
    chunks: list[Chunk]
    rows: int
    attempts: int


class _Shifted(Exception):
    """Rows moved while the slice was read."""


@dataclass(eq=False)
class _Reading(Generic[Chunk]):
    """One attempt at one slice: which pages came, and what to ask for next.

    `ids` are those of the rows from the first on without a gap; pages behind a gap wait.
    """

    slice: Slice
    page_size: int
    convert: Callable[[list[Any]], Chunk]
    attempt: int = 1
    before: frozenset[Any] = frozenset()
    ids: list[Any] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    ended: bool = False
    _loose: list[Any] = field(default_factory=list)
    _waiting: dict[int, Page] = field(default_factory=dict)
    _planned: deque[int] = field(default_factory=deque)
    _outstanding: set[int] = field(default_factory=set)
    _empty: dict[int, int] = field(default_factory=dict)
    _totals: set[int] = field(default_factory=set)
    _tail: int = 0
    _largest: int = 0

    @property
    def announced(self) -> int:
        return max(self._totals, default=0)

    @property
    def held(self) -> int:
        return len(self.ids) + sum(len(page.rows) for page in self._waiting.values())

    @property
    def too_large(self) -> bool:
        """Announced to hold very many rows, by a total that is not known to be the same for every window."""
        return self.announced > MOST_ROWS and (self.slice.cut_at is None or self.announced < self.slice.cut_at)

    def next_offset(self) -> int | None:
        """The next page to ask for now; None when answers have to come first or all is read."""
        while self._planned:
            offset = self._planned.popleft()
            if offset >= len(self.ids) - 1:
                self._outstanding.add(offset)
                return offset
        if self.ended or self._outstanding:
            return None
        offset = max(len(self.ids) - 1, 0)
        self._outstanding.add(offset)
        return offset

    def take(self, offset: int, page: Page) -> None:
        """Takes an answer in. Raises _Shifted when it shows that rows moved."""
        self._outstanding.discard(offset)
        if page.total is not None:
            self._totals.add(page.total)
        self._largest = max(self._largest, len(page.rows))
        if len(page.rows) < self._largest:
            self._planned = deque(at for at in self._planned if at < offset)
        self._waiting[offset] = page
        known = len(self.ids)
        while ready := [at for at in self._waiting if at <= len(self.ids)]:
            for at in sorted(ready):
                self._absorb(at, self._waiting.pop(at))
        if self._outstanding or self._planned:
            return
        if self._tail < self.page_size and self._totals == {len(self.ids)}:
            self._end()
        elif len(self.ids) == known:
            self._look_behind(offset, page)
        else:
            self._plan()

    def _absorb(self, at: int, page: Page) -> None:
        """Appends the page's new rows, after comparing the rest with what is known of the same places."""
        known = self.ids[at : at + len(page.ids)]
        if list(page.ids[: len(known)]) != known:
            raise _Shifted(f"rows moved between the pages at offset {at}")
        new = page.rows[len(known) :]
        if not new:
            return
        self._tail = len(page.rows)
        self.ids.extend(page.ids[len(known) :])
        self._loose.extend(new)
        if len(self._loose) >= CHUNK_ROWS:
            self._convert()

    def _look_behind(self, offset: int, page: Page) -> None:
        """Nothing is under way and the last answer brought nothing new: the end, or a page that came back empty."""
        if offset > len(self.ids):
            return  # asked for on the word of a total that was too high; the look behind the last row comes next
        if any(waiting.rows for waiting in self._waiting.values()):
            raise _Shifted("there were rows behind a gap")
        if self.ids and page.rows:
            self._end()
            return
        self._empty[offset] = self._empty.get(offset, 0) + 1
        if not self.ids and (self._totals == {0} or self._empty[offset] > 1):
            self._end()
        elif self.ids and self._empty[offset] >= LOOKS:
            raise _Shifted(f"the page at offset {offset} came back empty {LOOKS} times though a row had been there")

    def _plan(self) -> None:
        """All further pages up to the announced total, each with one row of overlap.

        A first page that is short may have been cut by the server or be the end: the next page is seen first.
        """
        if self._tail < self.page_size and self._tail == len(self.ids):
            return
        step = max(1, min(self._largest, self.page_size) - 1)
        self._planned.extend(range(len(self.ids) - 1, self.announced - 1, step))

    def _end(self) -> None:
        if len(set(self.ids)) != len(self.ids):
            raise _Shifted("a row was met twice")
        if len(self._totals) > 1 and set(self.ids) != self.before:
            raise _Shifted(f"the announced total changed ({', '.join(map(str, sorted(self._totals)))})")
        self._convert()
        self._waiting.clear()
        self.ended = True

    def _convert(self) -> None:
        if self._loose:
            self.chunks.append(self.convert(self._loose))
            self._loose = []


def read_slices(
    slices: Iterable[Slice],
    *,
    fetch: Callable[[Slice, int, int], Page],
    convert: Callable[[list[Any]], Chunk],
    concurrency: int,
    page_size: int,
) -> Iterator[SliceRows[Chunk]]:
    """Reads each slice whole and yields them in order; pages of several slices are under way at once.

    Args:
        slices: what to read. Windows that hold very many rows are cut in two, each half coming out by itself.
        fetch: (slice, offset, first) to a page; called from worker threads.
        convert: makes a chunk of rows; called from the caller's thread. Where it raises InexactNumber the slice is
            read again: the caller has to see to it that `fetch` parses exactly from then on.
        concurrency: the most pages under way.
        page_size: rows to ask for at once.

    Raises:
        WindowNotSettled: rows kept moving; nothing of the slice was yielded.
        Whatever `fetch` and `convert` raise.
    """
    todo = iter(slices)
    active: deque[_Reading[Chunk]] = deque()
    under_way: dict[Future[Page], tuple[_Reading[Chunk], int]] = {}

    def start(one: Slice, attempt: int = 1, before: Iterable[Any] = ()) -> _Reading[Chunk]:
        return _Reading(one, page_size, convert, attempt, frozenset(before))

    def requests() -> Iterator[tuple[_Reading[Chunk], int]]:
        """Pages to ask for now, of the earliest slices first; begins further slices while few rows are held."""
        for reading in active:
            while (offset := reading.next_offset()) is not None:
                yield reading, offset
        while len(active) < 2 * concurrency and sum(reading.held for reading in active) < 2 * MOST_ROWS:
            one = next(todo, None)
            if one is None:
                return
            reading = start(one)
            active.append(reading)
            while (offset := reading.next_offset()) is not None:
                yield reading, offset

    def replace(reading: _Reading[Chunk], *others: _Reading[Chunk]) -> None:
        at = active.index(reading)
        del active[at]
        for other in reversed(others):
            active.insert(at, other)

    def read_again(reading: _Reading[Chunk], why: Exception) -> None:
        parts = reading.slice.cut() if reading.attempt > 1 and len(reading.ids) > page_size else []
        if reading.attempt >= ATTEMPTS and not parts:
            raise WindowNotSettled(
                f"{reading.slice} did not hold still in {ATTEMPTS} readings: {why}.",
                advice="Nothing of it was loaded. Try again when the account is quieter.",
            )
        logger.warning("%s: %s; reading it again", reading.slice, why)
        if parts:
            replace(reading, *map(start, parts))
        else:
            replace(reading, start(reading.slice, reading.attempt + 1, reading.ids))

    with ThreadPoolExecutor(concurrency, thread_name_prefix="refersion") as pool:
        try:
            asks = requests()
            while True:
                while len(under_way) < concurrency and (ask := next(asks, None)):
                    reading, offset = ask
                    under_way[pool.submit(fetch, reading.slice, offset, page_size)] = ask
                if not under_way and not active:
                    return
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    reading, offset = under_way.pop(future)
                    page = future.result()
                    if reading not in active:
                        continue
                    try:
                        reading.take(offset, page)
                    except (_Shifted, InexactNumber) as why:
                        read_again(reading, why)
                        continue
                    if not reading.ended and reading.too_large and (parts := reading.slice.cut(reading.announced)):
                        replace(reading, *map(start, parts))
                while active and active[0].ended:
                    first = active.popleft()
                    yield SliceRows(first.slice, first.chunks, len(first.ids), first.attempt)
                asks = requests()
        finally:
            for future in under_way:
                future.cancel()
