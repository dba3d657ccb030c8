"""The next span of time to read, and the state that remembers the progress.

A pass runs from its start to the time at which it began, possibly in several loads. dlt stores the state in the
warehouse together with the rows:

- `start`: the earliest time that was ever read from;
- `position`: everything before it was read in this pass;
- `high_water`: when the pass began, which is how fresh its rows are;
- `newest`: the latest row ever seen;
- `done`: whether the pass is complete.

An interrupted pass continues from `position`. After a complete pass, the next one begins `lookback` before
`high_water` or `newest`, whichever is earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from refersion_dagster.refersion.windows import Window, parse_moment
from refersion_dagster.settings import AccountSettings

# Before Refersion existed: no row can be older.
BEGINNING = datetime(2010, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SpanRequest:
    """What a run requests.

    Args:
        start: where the first load begins.
        lookback: how far before the last pass's beginning to read again.
        read_from, read_to: an explicit span that replaces all of the above and leaves the state unchanged.
        full: read everything from `start` again.
        only: exactly these windows of the explicit span that contains them, in order and disjoint.
        also: windows before the look-back to read as well, in order and disjoint.
    """

    start: datetime = BEGINNING
    lookback: timedelta = timedelta(days=AccountSettings.default("lookback_days"))
    read_from: datetime | None = None
    read_to: datetime | None = None
    full: bool = False
    only: tuple[Window, ...] = ()
    also: tuple[Window, ...] = ()

    def with_windows(self, windows: Iterable[Window]) -> SpanRequest:
        """The same request for exactly these windows."""
        ordered = tuple(sorted(windows))
        return replace(self, read_from=ordered[0].start, read_to=ordered[-1].end, only=ordered)

    @property
    def explicit(self) -> bool:
        return self.read_from is not None or self.read_to is not None


@dataclass
class IncrementalWindow:
    """One pass over time: the span that is left to read, and how to record its progress.

    Args:
        window: what is left to read; None if there is nothing.
        state: the table's state; None for spans that leave it unchanged.
        start: the earliest time ever read from, once this pass is complete.
        high_water: where a later pass looks back from.
        only: the parts of the window to read; all of it if empty.
        begin: where the look-back begins, in a pass that also reads windows before it.
    """

    window: Window | None
    state: MutableMapping[str, Any] | None
    start: datetime
    high_water: datetime
    newest: datetime | None = None
    only: tuple[Window, ...] = ()
    begin: datetime | None = None

    @property
    def windows(self) -> list[Window]:
        """What is left to read, in order."""
        if self.window is None:
            return []
        left = self.window
        parts = [_window(max(one.start, left.start), min(one.end, left.end)) for one in self.only or (left,)]
        return [part for part in parts if part]

    def read_up_to(self, position: datetime, newest: datetime | None = None) -> None:
        """Records that everything before `position` is read and about to be loaded; `newest` is the latest row."""
        if self.state is None or self.window is None:
            return
        if self.begin and position <= self.begin:
            return  # windows before the look-back are not progress
        seen = [moment for moment in (newest, self.newest) if moment]
        self.state.update(
            start=self.start.isoformat(),
            position=position.isoformat(),
            high_water=self.high_water.isoformat(),
            newest=max(seen).isoformat() if seen else None,
            done=position >= self.window.end,
        )


def plan_window(
    request: SpanRequest, state: MutableMapping[str, Any], now: datetime, *, resume_at: datetime | None = None
) -> IncrementalWindow:
    """The pass to read now.

    Args:
        request: what the run requests.
        state: the table's state, see above; changed by IncrementalWindow.read_up_to.
        now: the server's time, whole seconds in UTC. The span ends with that second, so it is closed before paging
        starts. Rows that arrive later in that second are read by the next look-back.
        resume_at: where the previous load of this run stopped.
    """
    end = request.read_to or now + timedelta(seconds=1)
    if request.explicit:
        start = resume_at or request.read_from or request.start
        return IncrementalWindow(_window(start, end), None, request.start, now, only=request.only)
    if not state.get("position"):
        return IncrementalWindow(_window(request.start, end), state, request.start, now)
    newest = parse_moment(state["newest"]) if state["newest"] else None
    earliest, high_water = parse_moment(state["start"]), parse_moment(state["high_water"])
    also: list[Window] = []
    if resume_at is not None and not (request.also and state["done"]):
        start = resume_at
    elif request.full or request.start < earliest:
        start, high_water = request.start, now
    elif not state["done"]:
        start = parse_moment(state["position"])
    else:
        looked_back = min(high_water, newest or high_water) - request.lookback
        start, high_water = max(looked_back, earliest), now
        clipped = [_window(max(one.start, earliest), min(one.end, start)) for one in request.also]
        also = [one for one in clipped if one]
    window = _window(start, end)
    if window is None or not also:
        return IncrementalWindow(window, state, min(earliest, request.start), high_water, newest)
    left = _window(max(also[0].start, resume_at or also[0].start), end)
    return IncrementalWindow(
        left, state, min(earliest, request.start), high_water, newest, (*also, window), begin=start
    )


def _window(start: datetime, end: datetime) -> Window | None:
    return Window(start, end) if start < end else None
