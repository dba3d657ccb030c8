"""One attempt to read a list by offset: the pages received, the next page to request, and whether rows moved."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from refersion_dagster.refersion.windows import Window

Chunk = TypeVar("Chunk")

# How often to request a page that should have rows but is empty.
LOOKS = 3
# A window with more rows than this is cut in two, to keep memory constant.
MOST_ROWS = 20_000
# Pages are passed to `convert` in groups of about this many rows.
CHUNK_ROWS = 10_000


@dataclass(frozen=True)
class Page:
    """Rows of one response with their ids, and the total that the server announced, if any.

    `rows` may be any type that has a length, can be sliced and is accepted by the caller's `convert`. `unique` is
    False if rows have no id, so that different rows may be identical.
    """

    rows: Sequence[Any]
    ids: Sequence[Any]
    total: int | None
    unique: bool = True


@dataclass(frozen=True)
class Slice:
    """One list to read: a window of time (None for lists without windows), with filters.

    Args:
        window: what to read now.
        root: the window it was cut from.
        filters: additional arguments, as (name, value) pairs.
    """

    window: Window | None
    root: Window | None
    filters: tuple[tuple[str, str], ...] = ()

    def cut(self) -> list[Slice]:
        """The two halves. Empty if the slice cannot be cut."""
        halves = self.window.split() if self.window else None
        return [Slice(half, self.root, self.filters) for half in halves or ()]

    def __str__(self) -> str:
        parts = [str(self.window)] if self.window else []
        return ", ".join([*parts, *(f"{name} {value}" for name, value in self.filters)]) or "the whole list"


class RowsShifted(Exception):
    """Rows moved while the slice was read."""


@dataclass
class ServerBehaviour:
    """What the responses so far showed about the server.

    Args:
        largest: the most rows in one page.
        promises: whether it announced more rows than there were.
    """

    largest: int = 0
    promises: bool = False


@dataclass(eq=False)
class SliceAssembly(Generic[Chunk]):
    """One attempt at one slice: the pages received, and the next page to request.

    `ids` are those of the rows without a gap from the first one; pages behind a gap wait.
    """

    slice: Slice
    page_size: int
    convert: Callable[[Sequence[Any]], Chunk]
    server: ServerBehaviour
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
    _unique: bool = True

    @property
    def announced(self) -> int:
        return max(self._totals, default=0)

    @property
    def held(self) -> int:
        return len(self.ids) + sum(len(page.rows) for page in self._waiting.values())

    @property
    def several_pages(self) -> bool:
        """Whether the rows seen do not fit on one page of this server."""
        return self._furthest > self.server.largest

    def next_offset(self) -> int | None:
        """The next page to request now. None if responses are pending or everything is read."""
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

    def add_page(self, offset: int, page: Page) -> None:
        """Adds a response. Raises RowsShifted if it shows that rows moved."""
        self._outstanding.discard(offset)
        self._unique = page.unique
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
            self._handle_page_at_end(offset, page)

    def _absorb(self, at: int, page: Page) -> None:
        """Appends the page's new rows, after comparing the overlap with the rows already known."""
        known = self.ids[at : at + len(page.ids)]
        if list(page.ids[: len(known)]) != known:
            raise RowsShifted(f"rows moved between the pages at offset {at}")
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

    def _handle_page_at_end(self, offset: int, page: Page) -> None:
        """Handles a page without new rows at or right behind the last row: the end, or a cut or empty page."""
        if any(waiting.rows for waiting in self._waiting.values()):
            raise RowsShifted("there were rows after a gap")
        agreed = self._totals == {len(self.ids)}
        if page.rows:
            # A page cut to this one row would look the same, so without a matching total the next page is requested.
            self._alone = True
            if agreed:
                self._end()
            return
        looks = self._empty[offset] = self._empty.get(offset, 0) + 1
        if offset < len(self.ids):
            if looks >= LOOKS:
                raise RowsShifted(
                    f"the page at offset {offset} came back empty {LOOKS} times although it had contained a row"
                )
        elif agreed or looks >= self._pages_to_prove_end():
            self._end()

    def _pages_to_prove_end(self) -> int:
        """How many empty pages behind the last row prove the end if the announced total does not match."""
        if self.announced > len(self.ids) and not self.server.promises:
            return LOOKS
        return 1 if self._alone else 2

    def _plan(self) -> None:
        """Schedules all further pages up to the announced total, each with one row of overlap.

        A short first page may be the end or may have been cut by the server, so the next page is read first. A total
        above MOST_ROWS is verified by a row at that position; then the window is cut in two.
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
        if self._unique and len(set(self.ids)) != len(self.ids):
            raise RowsShifted("a row was returned twice")
        if len(self._totals) > 1 and set(self.ids) != self.before:
            raise RowsShifted(f"the announced total changed ({', '.join(map(str, sorted(self._totals)))})")
        self._convert()
        self.server.promises = self.server.promises or self.announced > len(self.ids)
        self._waiting.clear()
        self.ended = True

    def _convert(self) -> None:
        if self._loose:
            self.chunks.append(self.convert(self._loose))
            self._loose, self._loose_rows = [], 0
