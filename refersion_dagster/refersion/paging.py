"""Reading lists by offset: many pages at once, and never short.

The server documents no order and no snapshot: rows that arrive or vanish while one reads shift the pages. So each page
is asked for with one row of overlap to the page before it, and a list counts as read only when

- every page begins with the very row that the page before it ended with,
- no row was met twice, and the announced total did not change meanwhile,
- its end was seen: a second look behind the last row found nothing more, or the announced total agrees with a page that
  is shorter than others this server sends. A short page, an empty page or a total alone is not taken for the end.

Otherwise it is read again. A window of time that moves a second time is cut in two, down to windows that fit on one
page and so cannot move; what cannot be cut and never holds still is an error rather than a short load.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
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
# A window that holds more rows than this is cut in two, so that memory stays flat.
MOST_ROWS = 20_000
# With so many answers waiting to be taken in, no more is asked for: threads that are not needed only slow others down.
BACKLOG = 2
# Pages are handed to `convert` in groups of about so many rows.
CHUNK_ROWS = 10_000


@dataclass(frozen=True)
class Page:
    """Rows of one answer with their ids, and the total that the server announced beside them, if any.

    `rows` is whatever the caller's `convert` takes parts of: it has a length and can be sliced.
    """

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
    """

    window: Window | None
    root: Window | None
    filters: tuple[tuple[str, str], ...] = ()

    def cut(self) -> list[Slice]:
        """The two halves, or nothing where it cannot be cut."""
        halves = self.window.halves() if self.window else None
        return [Slice(half, self.root, self.filters) for half in halves or ()]

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


@dataclass
class _Server:
    """What the answers so far showed of the server.

    Args:
        largest: the most rows that it sent in one page.
        promises: whether it announced more rows than there were.
    """

    largest: int = 0
    promises: bool = False


@dataclass(eq=False)
class _Reading(Generic[Chunk]):
    """One attempt at one slice: which pages came, and what to ask for next.

    `ids` are those of the rows from the first on without a gap; pages behind a gap wait.
    """

    slice: Slice
    page_size: int
    convert: Callable[[Sequence[Any]], Chunk]
    server: _Server
    attempt: int = 1
    before: frozenset[Any] = frozenset()
    ids: list[Any] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    ended: bool = False
    too_large: bool = False
    _loose: list[Sequence[Any]] = field(default_factory=list)
    _loose_rows: int = 0
    _waiting: dict[int, Page] = field(default_factory=dict)
    _planned: deque[int] = field(default_factory=deque)
    _outstanding: set[int] = field(default_factory=set)
    _empty: dict[int, int] = field(default_factory=dict)
    _totals: set[int] = field(default_factory=set)
    _tail: int = 0
    _furthest: int = 0
    _alone: bool = False
    _bound_asked: bool = False
    _bounded: bool = False

    @property
    def announced(self) -> int:
        return max(self._totals, default=0)

    @property
    def held(self) -> int:
        return len(self.ids) + sum(len(page.rows) for page in self._waiting.values())

    @property
    def several_pages(self) -> bool:
        """Whether rows were seen that do not fit on one page of this server."""
        return self._furthest > self.server.largest

    def next_offset(self) -> int | None:
        """The next page to ask for now; None when answers have to come first or all is read."""
        while self._planned:
            offset = self._planned.popleft()
            if offset >= len(self.ids) - 1:
                self._outstanding.add(offset)
                return offset
        if self.ended or self.too_large or self._outstanding:
            return None
        overlaps = self.ids and not self._alone and self.server.largest > 1
        offset = len(self.ids) - 1 if overlaps else len(self.ids)
        self._outstanding.add(offset)
        return offset

    def take(self, offset: int, page: Page) -> None:
        """Takes an answer in. Raises _Shifted when it shows that rows moved."""
        self._outstanding.discard(offset)
        if page.total is not None:
            self._totals.add(page.total)
        self.server.largest = max(self.server.largest, len(page.rows))
        if page.rows:
            self._furthest = max(self._furthest, offset + len(page.rows))
        if len(page.rows) < min(self.server.largest, self.page_size):
            self._planned = deque(at for at in self._planned if at < offset)
        self._waiting[offset] = page
        known = len(self.ids)
        while ready := [at for at in self._waiting if at <= len(self.ids)]:
            for at in sorted(ready):
                self._absorb(at, self._waiting.pop(at))
        if self._outstanding or self._planned:
            return
        if self._tail < min(self.server.largest, self.page_size) and self._totals == {len(self.ids)}:
            self._end()
        elif len(self.ids) > known or (self._bound_asked and not self._bounded):
            self._bounded = self._bound_asked
            self._plan()
        elif offset in (len(self.ids) - 1, len(self.ids)):
            self._look_behind(offset, page)

    def _absorb(self, at: int, page: Page) -> None:
        """Appends the page's new rows, after comparing the rest with what is known of the same places."""
        known = self.ids[at : at + len(page.ids)]
        if list(page.ids[: len(known)]) != known:
            raise _Shifted(f"rows moved between the pages at offset {at}")
        new = page.rows[len(known) :]
        if not new:
            return
        self._tail = len(page.rows)
        self._alone = False
        self.ids.extend(page.ids[len(known) :])
        self._loose.append(new)
        self._loose_rows += len(new)
        if self._loose_rows >= CHUNK_ROWS:
            self._convert()

    def _look_behind(self, offset: int, page: Page) -> None:
        """Nothing more came at the last row or right behind it: the end, or a page that was cut or came back empty."""
        if any(waiting.rows for waiting in self._waiting.values()):
            raise _Shifted("there were rows behind a gap")
        agreed = self._totals == {len(self.ids)}
        if page.rows:
            # A page that was cut to this one row would look the same, so without a word of the total we look behind.
            self._alone = True
            if agreed:
                self._end()
            return
        looks = self._empty[offset] = self._empty.get(offset, 0) + 1
        if offset < len(self.ids):
            if looks >= LOOKS:
                raise _Shifted(f"the page at offset {offset} came back empty {LOOKS} times though a row had been there")
        elif agreed or looks >= self._looks_behind():
            self._end()

    def _looks_behind(self) -> int:
        """How many empty pages behind the last row are its end, where the announced total does not agree."""
        if self.announced > len(self.ids) and not self.server.promises:
            return LOOKS
        return 1 if self._alone else 2

    def _plan(self) -> None:
        """All further pages up to the announced total, each with one row of overlap.

        A first page that is short may have been cut by the server or be the end: the next page is seen first. A total
        beyond MOST_ROWS has to prove itself by a row at that place, and the window is cut in two.
        """
        if self._tail < self.page_size and self._tail == len(self.ids):
            return
        announced = self.announced
        if announced > MOST_ROWS and self.slice.cut():
            if self._furthest > MOST_ROWS:
                self.too_large = True
                return
            if not self._bounded:
                self._bound_asked = True
                self._planned.append(MOST_ROWS)
                return
            announced = MOST_ROWS
        step = max(1, min(self.server.largest, self.page_size) - 1)
        gap_ends = min((at for at, page in self._waiting.items() if page.rows), default=announced)
        self._planned.extend(range(len(self.ids) - 1, min(announced, gap_ends) - 1, step))

    def _end(self) -> None:
        if len(set(self.ids)) != len(self.ids):
            raise _Shifted("a row was met twice")
        if len(self._totals) > 1 and set(self.ids) != self.before:
            raise _Shifted(f"the announced total changed ({', '.join(map(str, sorted(self._totals)))})")
        self._convert()
        self.server.promises = self.server.promises or self.announced > len(self.ids)
        self._waiting.clear()
        self.ended = True

    def _convert(self) -> None:
        if self._loose:
            self.chunks.append(self.convert(self._loose))
            self._loose, self._loose_rows = [], 0


def read_slices(
    slices: Iterable[Slice],
    *,
    fetch: Callable[[Slice, int, int], Page],
    convert: Callable[[Sequence[Any]], Chunk],
    concurrency: int,
    page_size: int,
) -> Iterator[SliceRows[Chunk]]:
    """Reads each slice whole and yields them in order; pages of several slices are under way at once.

    Args:
        slices: what to read. Windows that hold very many rows are cut in two, each half coming out by itself.
        fetch: (slice, offset, first) to a page; called from worker threads.
        convert: makes a chunk of the rows of some pages; called from the caller's thread. Where it raises
            InexactNumber the slice is read again: the caller has to see to it that `fetch` parses exactly from then on.
        concurrency: the most pages under way.
        page_size: rows to ask for at once.

    Raises:
        WindowNotSettled: rows kept moving; nothing of the slice was yielded.
        Whatever `fetch` and `convert` raise.
    """
    todo = iter(slices)
    server = _Server()
    active: deque[_Reading[Chunk]] = deque()
    under_way: dict[Future[Page], tuple[_Reading[Chunk], int]] = {}

    def start(one: Slice, attempt: int = 1, before: Iterable[Any] = ()) -> _Reading[Chunk]:
        return _Reading(one, page_size, convert, server, attempt, frozenset(before))

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
        parts = reading.slice.cut() if reading.attempt > 1 and reading.several_pages else []
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

    failed = threading.Event()

    def work(one: Slice, offset: int) -> Page:
        """Fetches a page, unless another page ended the reading: its retries would only keep the error back."""
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
                        continue  # the error that ended it is on its way
                    page = future.result()
                    if reading not in active:
                        continue
                    try:
                        reading.take(offset, page)
                    except (_Shifted, InexactNumber) as why:
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
