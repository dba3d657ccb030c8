"""One attempt at one list that is paged by offset: which pages came, what to ask for next, and whether rows moved."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from refersion_dagster.refersion.windows import Window

Chunk = TypeVar("Chunk")

# A page that should hold rows and comes back empty is asked for this often.
LOOKS = 3
# A window that holds more rows than this is cut in two, so that memory stays flat.
MOST_ROWS = 20_000
# Pages are handed to `convert` in groups of about so many rows.
CHUNK_ROWS = 10_000


@dataclass(frozen=True)
class Page:
    """Rows of one answer with their ids, and the total that the server announced beside them, if any.

    `rows` is what the caller's `convert` accepts parts of: it has a length and can be sliced. `unique` is False where
    rows have no id, so that different rows may be alike.
    """

    rows: Sequence[Any]
    ids: Sequence[Any]
    total: int | None
    unique: bool = True


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


class RowsShifted(Exception):
    """Rows moved while the slice was read."""


@dataclass
class ServerBehaviour:
    """What the answers so far showed of the server.

    Args:
        largest: the most rows that it sent in one page.
        promises: whether it announced more rows than there were.
    """

    largest: int = 0
    promises: bool = False


@dataclass(eq=False)
class SliceAssembly(Generic[Chunk]):
    """One attempt at one slice: which pages came, and what to ask for next.

    `ids` are those of the rows from the first on without a gap; pages behind a gap wait.
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
        """Takes an answer in. Raises Shifted when it shows that rows moved."""
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
            self._look_behind(offset, page)

    def _absorb(self, at: int, page: Page) -> None:
        """Appends the page's new rows, after comparing the rest with what is known of the same places."""
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

    def _look_behind(self, offset: int, page: Page) -> None:
        """Nothing more came at the last row or right behind it: the end, or a page that was cut or came back empty."""
        if any(waiting.rows for waiting in self._waiting.values()):
            raise RowsShifted("there were rows after a gap")
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
                raise RowsShifted(
                    f"the page at offset {offset} came back empty {LOOKS} times although it had contained a row"
                )
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
