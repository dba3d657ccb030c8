"""Spans of time to read: half-open, closed before paging starts, in UTC, whole seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from refersion_dagster.settings.values import parse_moment as parse_moment


@dataclass(frozen=True, order=True)
class Window:
    """The moments from `start` up to but not including `end`, both UTC and whole seconds."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for moment in (self.start, self.end):
            if moment.tzinfo is None or moment.microsecond:
                raise ValueError(f"{moment!r} is not a whole second with a time zone")
        if self.start >= self.end:
            raise ValueError(f"a window cannot end ({self.end}) before or when it starts ({self.start})")

    @property
    def start_seconds(self) -> int:
        return int(self.start.timestamp())

    @property
    def end_seconds(self) -> int:
        return int(self.end.timestamp())

    def split(self) -> tuple[Window, Window] | None:
        """The two halves of this window, or None if it lasts a single second."""
        seconds = self.end_seconds - self.start_seconds
        if seconds < 2:
            return None
        middle = self.start + timedelta(seconds=seconds // 2)
        return Window(self.start, middle), Window(middle, self.end)

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M:%S} to {self.end:%Y-%m-%d %H:%M:%S} UTC"


def months(window: Window) -> Iterator[Window]:
    """The calendar months (UTC) of a window, in order; the first and last may be cut."""
    start = window.start
    while start < window.end:
        end = min(next_month(start), window.end)
        yield Window(start, end)
        start = end


def years(window: Window) -> Iterator[Window]:
    """The calendar years (UTC) of a window, in order; the first and last may be cut."""
    start = window.start
    while start < window.end:
        end = min(datetime(start.year + 1, 1, 1, tzinfo=UTC), window.end)
        yield Window(start, end)
        start = end


def subtract_windows(window: Window, taken: Iterable[Window]) -> list[Window]:
    """The parts of a window that the others do not cover, in order."""
    left: list[Window] = []
    start = window.start
    for other in sorted(taken):
        if start < other.start and start < window.end:
            left.append(Window(start, min(other.start, window.end)))
        start = max(start, other.end)
    if start < window.end:
        left.append(Window(start, window.end))
    return left


def days(window: Window) -> Iterator[Window]:
    """The calendar days (UTC) of a window, in order; the first and last may be cut."""
    start = window.start
    while start < window.end:
        midnight = start.replace(hour=0, minute=0, second=0) + timedelta(days=1)
        end = min(midnight, window.end)
        yield Window(start, end)
        start = end


def month_start(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(moment: datetime) -> datetime:
    return month_start(month_start(moment) + timedelta(days=32))


def whole_second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
