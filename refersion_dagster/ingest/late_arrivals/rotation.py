"""Reads rows older than the look-back again in rotation, one slice with each refresh.

Some changes of an old conversion show in no payment, total or count. Each refresh with the whole look-back therefore
also reads the next slice of the last two years. Slices are whole days with about the same number of requests, so that
every night costs about the same and everything is read again within NIGHTS refreshes. A skipped night makes the slice
after the next refresh larger. TABLE stores where the next slice begins, once the previous one is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from refersion_dagster.refersion.api.graphql import PAGE_SIZE
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.extract.stats import ReadSpan
from refersion_dagster.refersion.windows import Window
from refersion_dagster.resources import Warehouse

TABLE = "_read_in_turn"
# Older rows are read again only if totals, counts or payments show a change, or by a full reload.
AGE = timedelta(days=730)
NIGHTS = 25
DAY = timedelta(days=1)
# Each month of a slice takes a request, with or without rows.
REQUESTS_OF_A_DAY = 1 / 30

CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  position timestamp with time zone NOT NULL, nights bigint NOT NULL, read_at timestamp with time zone NOT NULL
)
"""
POSITION = f"SELECT position, nights, read_at FROM {DATASET}.{TABLE}"  # noqa: S608 - names of ours
FORGET = f"DELETE FROM {DATASET}.{TABLE}"  # noqa: S608
KEEP = f"INSERT INTO {DATASET}.{TABLE} VALUES ($position, $nights, $read_at)"  # noqa: S608
READ_UP_TO = f"SELECT max(read_at) FROM {DATASET}.conversions"  # noqa: S608
ROWS_OF_DAYS = f"""
SELECT CAST(created AT TIME ZONE 'UTC' AS DATE), count(*)
FROM {DATASET}.conversions
WHERE created >= $start AND created < $end AND vanished_at IS NULL
GROUP BY CAST(created AT TIME ZONE 'UTC' AS DATE)
"""  # noqa: S608


def next_slice(warehouse: Warehouse, lookback: timedelta, earliest: datetime) -> list[Window]:
    """The next windows of the rotation: one, or two if it starts over; none before the first load.

    Args:
        lookback: how far back the refresh reads anyway.
        earliest: older rows were never loaded.
    """
    with warehouse.session() as session:
        if not session.columns(DATASET, "conversions"):
            return []
        ((read_up_to,),) = session.query(READ_UP_TO)
        if read_up_to is None:
            return []
        session.query(CREATE)
        now = read_up_to.astimezone(UTC)
        start, end = _midnight(max(now - AGE, earliest)), _midnight(now - lookback)
        if start >= end:
            return []
        rows = {day: int(count) for day, count in session.query(ROWS_OF_DAYS, start=start, end=end)}
        kept = session.query(POSITION)
    position, nights = (kept[0][0].astimezone(UTC), int(kept[0][1])) if kept else (start, 1)
    return _windows(_days(start, end), rows, position if start <= position < end else start, nights)


def keep_position(warehouse: Warehouse, windows: Sequence[Window], read: Sequence[ReadSpan]) -> None:
    """Stores that these windows were read, and how many nights have passed since the previous ones."""
    if not windows or not all(
        any(one.start < window.end and window.start < one.end for one in read) for window in windows
    ):
        return
    read_at = max(span.read_at for span in read)
    with warehouse.session() as session, session.transaction():
        kept = session.query(POSITION)
        since = read_at - kept[0][2] if kept else DAY
        session.query(FORGET)
        nights = min(max(round(since / DAY), 1), NIGHTS)
        session.query(KEEP, position=windows[-1].end, nights=nights, read_at=read_at)


def _windows(days: Sequence[datetime], rows: dict[date, int], position: datetime, nights: int) -> list[Window]:
    """The days from the position on that take the requests of `nights` nights, wrapping after the last day."""
    costs = [rows.get(day.date(), 0) / PAGE_SIZE + REQUESTS_OF_A_DAY for day in days]
    share = sum(costs) * min(nights / NIGHTS, 1)
    begin = at = days.index(position)
    cost = 0.0
    while cost < share and at - begin < len(days):
        cost += costs[at % len(days)]
        at += 1
    last = len(days)
    found = [Window(days[begin], days[min(at, last) - 1] + DAY)]
    if at > last:
        found.append(Window(days[0], days[at - last - 1] + DAY))
    return found


def _days(start: datetime, end: datetime) -> list[datetime]:
    return [start + DAY * number for number in range((end - start).days)]


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
