"""The sandbox's clock. It stands still until it is advanced; events that fall due then run in order."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

DAY = 86_400


class Clock:
    """The current time in Unix seconds, and the scheduled events.

    Events run at their own time, never at the target time of a move, so one step of ninety days and ninety steps of one
    day produce the same state. Events of the same second run in the order they were scheduled.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self._events: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._scheduled = 0

    def schedule(self, when: int, happen: Callable[..., None], *details: Any) -> None:
        """Schedule `happen(*details)` for `when`. An event in the past runs at the next move."""
        self._scheduled += 1
        heapq.heappush(self._events, (when, self._scheduled, happen, details))

    def move_to(self, when: int) -> None:
        """Advance to `when`. Raises ValueError for a time before now."""
        if when < self.now:
            raise ValueError(f"the clock is at {iso(self.now)} and cannot go back to {iso(when)}")
        events = self._events
        while events and events[0][0] <= when:
            due, _, happen, details = heapq.heappop(events)
            self.now = max(self.now, due)
            happen(*details)
        self.now = when


def iso(seconds: int) -> str:
    """The time as `2026-07-01T00:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sql_time(seconds: int) -> str:
    """The time as `2026-07-01 00:00:00` in UTC, the format of REST v2 and of the webhooks."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def from_sql_time(text: str) -> int:
    """The Unix seconds of `2026-07-01 00:00:00` (UTC). Raises ValueError for any other format."""
    if len(text) != len("2026-07-01 00:00:00"):
        raise ValueError(f"not YYYY-MM-DD hh:mm:ss: {text!r}")
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp())


def from_iso(text: str) -> int:
    """The Unix seconds of an ISO 8601 time; UTC is assumed without a time zone. Raises ValueError for other formats."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def months_start(seconds: int) -> int:
    """The first second of the month that contains `seconds`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp())


def next_month(seconds: int) -> int:
    """The first second of the month after the one that contains `seconds`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    year, month = (moment.year + 1, 1) if moment.month == 12 else (moment.year, moment.month + 1)
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp())
