"""Compares Refersion's counts of conversions, by period, status and payment status, with the loaded rows.

REST's totals cover one currency; counts through GraphQL cover all. There are two ways to count:

- pageInfo reports the number of rows, but is documented as possibly wrong with filters;
- offsets: if there is a row at the last expected position and none behind it, the count is right.

It is not documented whether filters on status work. Each way is therefore first compared with periods that were just
read, and used only if all of its counts are right. Offsets without a filter on status need no such proof, because
reading the rows relies on them too.

A period whose counts differ from the loaded rows is read again. Differences that remain are stored in TABLE, so that
they do not cause another read of the period.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import RefersionError
from refersion_dagster.refersion.extract.page_assembler import Slice
from refersion_dagster.refersion.extract.row_counter import RowCounter
from refersion_dagster.refersion.extract.stats import ReadSpan
from refersion_dagster.refersion.tables.catalog import CONVERSION_STATUSES, CONVERSIONS, PAYMENT_STATUSES
from refersion_dagster.refersion.windows import Window, month_start, months, years
from refersion_dagster.resources import RefersionResource, Warehouse

logger = logging.getLogger("refersion_dagster.refersion")

TABLE = "_counts_when_read"
# Number of periods, just read, whose counts have to be right.
PROVEN_ON = 2
# Older periods are first counted by year, because they change less.
BY_MONTHS = timedelta(days=730)

CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  period_from timestamp with time zone NOT NULL, period_to timestamp with time zone NOT NULL, filters text NOT NULL,
  conversions bigint NOT NULL
)
"""
KNOWN = f"SELECT period_from, period_to, filters, conversions FROM {DATASET}.{TABLE}"  # noqa: S608 - names of ours
FORGET = f"DELETE FROM {DATASET}.{TABLE} WHERE period_from < $end AND period_to > $start"  # noqa: S608
KEEP = f"INSERT INTO {DATASET}.{TABLE} VALUES ($start, $end, $filters, $count)"  # noqa: S608

Filters = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CountCell:
    """A period and a filter, with Refersion's count and that of the loaded rows."""

    period: Window
    filters: Filters
    theirs: int | None
    ours: int

    @property
    def key(self) -> tuple[datetime, datetime, str]:
        return self.period.start, self.period.end, _words(self.filters)


@dataclass(frozen=True)
class CountMethod:
    """A way to count rows: the filters to count by, and a function from slices and expected counts to counts."""

    filters: Sequence[Filters]
    count: Callable[[Sequence[Slice], Sequence[int]], list[int | None]]


class Counts:
    """Counts of one account, compared with one warehouse, within one run.

    Args:
        refersion: the account.
        warehouse: where conversions are loaded.
    """

    def __init__(self, refersion: RefersionResource, warehouse: Warehouse) -> None:
        self.refersion = refersion
        self.warehouse = warehouse
        self._way: CountMethod | None = None
        self._asked = False

    @cached_property
    def _account(self) -> RefersionClient:
        return self.refersion.account()

    @cached_property
    def _counter(self) -> RowCounter:
        return RowCounter(self._account.graphql, self._account.graphql.select(CONVERSIONS))

    @property
    def requests(self) -> int:
        return self._counter.requests if "_counter" in vars(self) else 0

    def verify(self, read: Sequence[ReadSpan]) -> bool:
        """Whether counts are reliable. Checked once per run against what was just read."""
        if not self._asked:
            self._asked = True
            try:
                self._way = self._choose_way(_largest(self.warehouse, read))
            except RefersionError as error:
                logger.info("GraphQL counts cannot be used: %s", error)
            if self._way is None:
                logger.info("GraphQL counts of conversions are missing, wrong, or do not cover anything that was read")
        return self._way is not None

    @property
    def by_status(self) -> bool:
        """Whether counts by status are reliable too."""
        return self._way is not None and self._way.filters != [()]

    def find_differences(self, windows: Iterable[Window], now: datetime) -> dict[Window, int]:
        """Months of the windows whose counts differ between Refersion and the loaded rows, with how many counts do.

        Call only after `verify`. Raises RefersionError.
        """
        recent: list[Window] = []
        older: list[Window] = []
        edge = month_start(now - BY_MONTHS)
        for window in windows:
            recent += months(Window(max(window.start, edge), window.end)) if edge < window.end else []
            older += years(Window(window.start, min(window.end, edge))) if window.start < edge else []
        with self.warehouse.session() as session:
            session.query(CREATE)
            kept = {tuple(row[:3]): row[3] for row in session.query(KNOWN)}
        recent += [month for year in self._find_differences(older, kept) for month in months(year)]
        return self._find_differences(recent, kept)

    def keep(self, periods: Sequence[Window]) -> None:
        """Stores the counts of periods just read again that still differ from the loaded rows."""
        cells = self._cells(periods, self._way)
        with self.warehouse.session() as session, session.transaction():
            for period in periods:
                session.query(FORGET, start=period.start, end=period.end)
            for cell in cells:
                if cell.theirs is not None and cell.theirs != cell.ours:
                    start, end, words = cell.key
                    session.query(KEEP, start=start, end=end, filters=words, count=cell.theirs)

    def _find_differences(self, periods: Sequence[Window], kept: dict[tuple[object, ...], int]) -> dict[Window, int]:
        found: dict[Window, int] = {}
        for cell in self._cells(periods, self._way):
            if cell.theirs is not None and cell.theirs not in (cell.ours, kept.get(cell.key)):
                found[cell.period] = found.get(cell.period, 0) + 1
        return found

    def _choose_way(self, periods: Sequence[Window]) -> CountMethod | None:
        """The most detailed way whose counts of these periods are all right. None if there is none."""
        offered = self._counter.selection.arguments
        if not {"first", "created_from", "created_to"} <= offered:
            return None
        announces, has_places = self._counter.selection.announces, "offset" in offered
        ways: list[CountMethod] = []
        if "status" in offered:
            filters = _by_status(with_payments="payment_status" in offered)
            ways += [CountMethod(filters, self._counter.request_counts)] if announces else []
            ways += [CountMethod(filters, self._counter.by_place)] if has_places else []
        if announces and not has_places:
            ways.append(CountMethod([()], self._counter.request_counts))
        for way in ways if periods else ():
            if all(cell.theirs == cell.ours for cell in self._cells(periods, way)):
                return way
        return CountMethod([()], self._counter.by_place) if has_places else None

    def _cells(self, periods: Sequence[Window], way: CountMethod | None) -> list[CountCell]:
        asked = [(period, one) for period in periods for one in way.filters] if way else []
        if way is None or not asked:
            return []
        loaded = _count_loaded(self.warehouse, periods)
        ours = [_sum(loaded[period], dict(one)) for period, one in asked]
        try:
            theirs = way.count([Slice(period, period, one) for period, one in asked], ours)
        finally:
            self._account.close()
        return [CountCell(*of, count, own) for of, count, own in zip(asked, theirs, ours, strict=True)]


def _by_status(*, with_payments: bool) -> list[Filters]:
    """Filters for each status, with approved conversions split into paid and unpaid, which decides what is owed."""
    found: list[Filters] = []
    for status in CONVERSION_STATUSES:
        if status == "APPROVED" and with_payments:
            found += [(("status", status), ("payment_status", payment)) for payment in PAYMENT_STATUSES]
        else:
            found.append((("status", status),))
    return found


def _largest(warehouse: Warehouse, read: Sequence[ReadSpan]) -> list[Window]:
    """The months just read that have the most rows."""
    pieces = [piece for span in read for piece in months(Window(span.start, span.end))]
    rows = {piece: sum(counts.values()) for piece, counts in _count_loaded(warehouse, pieces).items()}
    return sorted((piece for piece in pieces if rows[piece]), key=lambda piece: -rows[piece])[:PROVEN_ON]


def _count_loaded(warehouse: Warehouse, periods: Sequence[Window]) -> dict[Window, dict[tuple[str, str], int]]:
    """Loaded rows by period, then by status and payment status."""
    found: dict[Window, dict[tuple[str, str], int]] = {period: {} for period in periods}
    if not periods:
        return found
    places = ", ".join(
        f"({at}, CAST($start_{at} AS TIMESTAMPTZ), CAST($end_{at} AS TIMESTAMPTZ))" for at in range(len(periods))
    )
    moments = {f"start_{at}": period.start for at, period in enumerate(periods)}
    moments |= {f"end_{at}": period.end for at, period in enumerate(periods)}
    counted = f"""
    SELECT p.place, coalesce(c.status, ''), coalesce(c.payment_status, ''), count(*)
    FROM (VALUES {places}) AS p(place, period_from, period_to)
    JOIN {DATASET}.conversions AS c
      ON c.created >= p.period_from AND c.created < p.period_to AND c.vanished_at IS NULL
    GROUP BY p.place, coalesce(c.status, ''), coalesce(c.payment_status, '')
    """  # noqa: S608 - names and numbers of ours
    for place, status, payment_status, count in warehouse.query(counted, **moments):
        found[periods[place]][status, payment_status] = int(count)
    return found


def _sum(counts: dict[tuple[str, str], int], filters: dict[str, str]) -> int:
    return sum(
        count
        for (status, payment_status), count in counts.items()
        if filters.get("status", status) == status and filters.get("payment_status", payment_status) == payment_status
    )


def _words(filters: Filters) -> str:
    return " ".join(value for _, value in filters)
