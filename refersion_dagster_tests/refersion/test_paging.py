"""Lists are read completely: no row is missing or duplicated, whatever the server does to its pages."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from urllib3.connectionpool import HTTPConnectionPool

from refersion_dagster.refersion.errors import WindowNotSettled
from refersion_dagster.refersion.extract import page_assembler
from refersion_dagster.refersion.extract.page_assembler import (
    Page,
    RowsShifted,
    ServerBehaviour,
    Slice,
    SliceAssembly,
)
from refersion_dagster.refersion.extract.paging import fetch_slices
from refersion_dagster.refersion.windows import Window, parse_moment
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.marks import examples, limit_cases
from refersion_dagster_tests.refersion.plain_dlt import NOW, read

PAGES = SandboxSettings(affiliates=5, orders=250, days=28, now=NOW, clicks_per_order=0)
# A span with a few dozen conversions, for servers that send few rows per page.
FEW = {"read_from": "2025-06-25", "read_to": "2025-06-29"}
DAY = Window(datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 6, 2, tzinfo=UTC))


def flat(pages: Sequence[Sequence[Any]]) -> list[Any]:
    return [row for page in pages for row in page]


@pytest.fixture
def busy() -> Iterator[SandboxServer]:
    """Some hundred conversions in two calendar months, so that each month takes several pages."""
    with SandboxServer(PAGES) as running:
        yield running


def server_ids(sandbox: SandboxServer, read_from: str = "1990-01-01", read_to: str = "2100-01-01") -> list[str]:
    """Ids of the conversions that the account has in a span."""
    start, end = parse_moment(read_from).timestamp(), parse_moment(read_to).timestamp()
    return sorted(str(row.id) for row in sandbox.account.conversions.values() if start <= row.created < end)


def read_ids(sandbox: SandboxServer, table: str = "conversions", **changes: Any) -> list[str]:
    return sorted(read(sandbox, table, **changes).column("id").to_pylist())


class TestAgainstTheServer:
    @pytest.mark.parametrize("cap", limit_cases([1, 2, 3, 7, 50, 199, 200], 3))
    def test_a_server_may_cut_pages_at_any_number_of_rows(self, busy: SandboxServer, cap: int) -> None:
        busy.configure(page_cap=cap)
        span = FEW if cap < 10 else {}
        assert read_ids(busy, **span) == server_ids(busy, **span)

    @pytest.mark.exhaustive
    @pytest.mark.parametrize("cap", [1, 2, 37])
    @pytest.mark.parametrize(
        "total",
        [
            {"total_results_offset": -5},
            {"total_results_offset": -50},
            {"total_results_offset": -100_000},
            {"total_results_offset": 1},
            {"total_results_offset": 777},
            {"total_results_offset": 100_000},
            {"total_results": "null"},
            {"total_results": "absent"},
            {"total_results_ignore_filters": True},
            {"remove_fields": ["Query.pageInfo"]},
            {"remove_fields": ["TotalResults.conversions"]},
        ],
        ids=str,
    )
    def test_the_announced_total_is_a_hint_only(self, busy: SandboxServer, total: dict[str, Any], cap: int) -> None:
        busy.configure(page_cap=cap, **total)
        span = FEW if cap < 10 else {}
        assert len(server_ids(busy, **span)) > 10
        assert read_ids(busy, **span) == server_ids(busy, **span)

    @pytest.mark.parametrize("after", limit_cases(range(5), 2))
    @pytest.mark.parametrize("total", ["exact", "null"])
    def test_an_empty_page_is_not_taken_for_the_end(self, busy: SandboxServer, after: int, total: str) -> None:
        busy.configure(page_cap=60, total_results=total)
        busy.fault("graphql:conversions", "empty-page", times=1, after=after)
        assert read_ids(busy) == server_ids(busy)

    @pytest.mark.parametrize("order", ["newest_first", "oldest_first", "unstable_ties"])
    @pytest.mark.parametrize("cap", limit_cases([12, 64, 200]))
    def test_any_order_of_rows_will_do(self, busy: SandboxServer, order: str, cap: int) -> None:
        busy.configure(order=order, page_cap=cap)
        assert read_ids(busy) == server_ids(busy)

    def test_rows_of_one_second_that_change_places_on_every_look_are_read_once_each(self, busy: SandboxServer) -> None:
        """A flash sale: 120 orders within half a minute, ten per second."""
        for i in range(120):
            busy.insert_conversion(created=int(NOW.timestamp()) - 3600 + 3 * (i % 12))
        busy.configure(order="unstable_ties", page_cap=50)
        assert read_ids(busy) == server_ids(busy)

    @pytest.mark.parametrize("order", ["newest_first", "oldest_first"])
    @pytest.mark.parametrize("kind", ["insert", "delete"])
    @pytest.mark.parametrize("cap", limit_cases([40, 200]))
    def test_rows_that_arrive_or_vanish_between_pages_cost_no_other_row(
        self, busy: SandboxServer, kind: str, order: str, cap: int
    ) -> None:
        before = set(server_ids(busy))
        busy.configure(churn={"kind": kind, "every": 1, "limit": 6}, order=order, page_cap=cap)
        found = read_ids(busy)
        after = set(server_ids(busy))
        assert before != after
        assert len(set(found)) == len(found)
        assert before & after <= set(found) <= before | after

    def test_an_account_on_which_rows_arrive_all_the_time_is_read_in_small_windows(self, busy: SandboxServer) -> None:
        before = set(server_ids(busy))
        busy.configure(churn={"kind": "insert", "every": 3}, page_cap=100)
        found = read_ids(busy)
        assert len(set(found)) == len(found)
        assert before <= set(found) <= set(server_ids(busy))

    def test_a_list_that_never_holds_still_is_an_error_and_not_a_short_load(self, busy: SandboxServer) -> None:
        """250 orders of one second change places on every request: no window that fits on a page contains them."""
        for _ in range(250):
            busy.insert_conversion(created=int(NOW.timestamp()) - 3600)
        busy.configure(order="unstable_ties")
        with pytest.raises(WindowNotSettled, match=r"^2025-06-30 2[23]:.* kept changing in 5 readings: .*less busy"):
            read(busy, "conversions")

    @pytest.mark.parametrize("from_inclusive", [True, False])
    @pytest.mark.parametrize("to_inclusive", [True, False])
    @pytest.mark.parametrize("table", ["conversions", "payments"])
    def test_rows_on_the_edge_of_a_window_are_read_once_whichever_way_the_server_reads_its_bounds(
        self, sandbox: SandboxServer, from_inclusive: bool, to_inclusive: bool, table: str
    ) -> None:
        sandbox.configure(created_from_inclusive=from_inclusive, created_to_inclusive=to_inclusive)
        midnight = int(datetime(2025, 6, 1, tzinfo=UTC).timestamp())
        for second in (midnight - 2, midnight - 1, midnight, midnight + 1):
            sandbox.insert_conversion(created=second)
        with sandbox.account.lock:
            paid = sorted(sandbox.account.payments.values(), key=lambda payment: payment.id)
            for payment, second in zip(paid, (midnight - 1, midnight, midnight + 1), strict=False):
                payment.created = second
            sandbox.account.record_change()
        expected = getattr(sandbox.account, table)
        assert read_ids(sandbox, table) == sorted(map(str, expected))

    def test_an_explicit_span_holds_its_first_second_and_not_its_last(self, sandbox: SandboxServer) -> None:
        noon = datetime(2025, 6, 15, 12, tzinfo=UTC)
        inside = [sandbox.insert_conversion(created=int(noon.timestamp()) + second) for second in (0, 59)]
        for second in (-1, 60):
            sandbox.insert_conversion(created=int(noon.timestamp()) + second)
        end = noon + timedelta(seconds=60)
        found = read_ids(sandbox, "conversions", read_from=noon.isoformat(), read_to=end.isoformat())
        assert found == sorted(map(str, inside))

    @pytest.mark.parametrize("most_rows", limit_cases([1, 30, 250]))
    @pytest.mark.parametrize(
        "switches", [{}, {"total_results_ignore_filters": True}, {"order": "oldest_first", "page_cap": 20}], ids=str
    )
    def test_windows_of_very_many_rows_are_cut(
        self, busy: SandboxServer, monkeypatch: pytest.MonkeyPatch, most_rows: int, switches: dict[str, Any]
    ) -> None:
        monkeypatch.setattr(page_assembler, "MOST_ROWS", most_rows)
        busy.configure(**switches)
        assert read_ids(busy) == server_ids(busy)

    def test_lists_without_windows_are_read_whole_too(self) -> None:
        with SandboxServer(SandboxSettings(affiliates=450, orders=0, days=30, now=NOW)) as running:
            everybody = sorted(map(str, running.account.affiliates))
            for switches in ({}, {"page_cap": 33}, {"total_results": "null"}, {"total_results_offset": -200}):
                running.configure(**switches)
                assert read_ids(running, "affiliates") == everybody

    def test_a_window_on_one_page_takes_one_request(self, account: SandboxServer) -> None:
        before = account.requests().get("graphql:conversions", 0)
        read(account, "conversions", read_from="2025-05-01", read_to="2025-06-01")
        assert account.requests()["graphql:conversions"] - before <= 2

    def test_pages_are_fetched_at_once(self, busy: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """20 pages that take 0.1 s each, so that requests overlap."""
        busy.configure(page_cap=15)
        busy.fault("graphql:conversions", "latency", seconds=0.1, times=None)
        lock, under_way, most = threading.Lock(), 0, 0
        urlopen = HTTPConnectionPool.urlopen

        def counted(*args: Any, **options: Any) -> Any:
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            try:
                return urlopen(*args, **options)
            finally:
                with lock:
                    under_way -= 1

        monkeypatch.setattr(HTTPConnectionPool, "urlopen", counted)
        assert read_ids(busy, max_concurrency=8) == server_ids(busy)
        assert 1 < most <= 8


@dataclass
class ListServer:
    """A list paged in any way that the documentation does not rule out."""

    ids: list[int]
    cap: int
    hint: Callable[[int, int], int | None]
    cut: Callable[[int], int] = lambda asked: 0
    empty: frozenset[int] = frozenset()
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, one: Slice, offset: int, first: int) -> Page:
        with self.lock:
            self.asked += 1
            asked = self.asked
        inside = self.ids
        if one.window and one.root:
            whole, start = one.root.end_seconds - one.root.start_seconds, one.root.start_seconds
            inside = [
                i
                for n, i in enumerate(self.ids)
                if one.window.start_seconds <= start + n * whole // len(self.ids) < one.window.end_seconds
            ]
        length = min(first, self.cap)
        length = max(1, length - self.cut(asked))
        found = [] if asked in self.empty else inside[offset : offset + length]
        return Page(found, found, self.hint(len(inside), len(found)))

    def read(self, concurrency: int, page_size: int = 200, windows: int = 1) -> list[int]:
        spans = [Window(DAY.start + timedelta(days=n), DAY.end + timedelta(days=n)) for n in range(windows)]
        parts = fetch_slices(
            [Slice(span, span) for span in spans],
            fetch=self.fetch,
            convert=flat,
            concurrency=concurrency,
            page_size=page_size,
        )
        return [row for part in parts for chunk in part.chunks for row in chunk]


HINTS: dict[str, Callable[[int, int], Callable[[int, int], int | None]]] = {
    "right": lambda error, count: lambda total, sent: total,
    "off by some": lambda error, count: lambda total, sent: max(0, total + error),
    "absent": lambda error, count: lambda total, sent: None,
    "constant": lambda error, count: lambda total, sent: abs(error),
    "rows of the answer": lambda error, count: lambda total, sent: sent,
    "rows of all windows": lambda error, count: lambda total, sent: count,
}


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(0, 400),
    cap=st.one_of(st.integers(1, 12), st.integers(1, 200)),
    page_size=st.sampled_from([200, 100, 5]),
    kind=st.sampled_from(sorted(HINTS)),
    error=st.integers(-60, 60),
    concurrency=st.integers(1, 8),
)
def test_every_row_comes_once_and_in_order_for_any_page_cap_hint_and_concurrency(
    count: int, cap: int, page_size: int, kind: str, error: int, concurrency: int
) -> None:
    server = ListServer(list(range(count)), cap, HINTS[kind](error, count))
    assert server.read(concurrency, page_size) == list(range(count))


@settings(max_examples=examples(75))
@given(
    count=st.integers(0, 300),
    cap=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    kind=st.sampled_from(["right", "absent", "rows of all windows"]),
    concurrency=st.integers(1, 8),
)
def test_pages_cut_short_at_whim_cost_no_row(
    count: int, cap: int, cuts: list[int], kind: str, concurrency: int
) -> None:
    server = ListServer(list(range(count)), cap, HINTS[kind](0, count), cut=lambda asked: cuts[asked % len(cuts)])
    assert server.read(concurrency) == list(range(count))


@settings(max_examples=examples(75))
@given(
    count=st.integers(0, 300),
    cap=st.integers(1, 200),
    empty=st.integers(1, 40),
    kind=st.sampled_from(["right", "absent", "rows of all windows"]),
    concurrency=st.integers(1, 8),
)
def test_an_empty_page_wherever_it_comes_costs_no_row(
    count: int, cap: int, empty: int, kind: str, concurrency: int
) -> None:
    server = ListServer(list(range(count)), cap, HINTS[kind](0, count), empty=frozenset({empty}))
    assert server.read(concurrency) == list(range(count))


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(0, 400),
    cap=st.integers(1, 200),
    kind=st.sampled_from(["right", "absent", "rows of all windows", "off by some"]),
    error=st.integers(-60, 60),
    most_rows=st.integers(1, 200),
    concurrency=st.integers(1, 8),
)
def test_windows_that_are_cut_give_the_same_rows_in_order(
    monkeypatch: pytest.MonkeyPatch, count: int, cap: int, kind: str, error: int, most_rows: int, concurrency: int
) -> None:
    monkeypatch.setattr(page_assembler, "MOST_ROWS", most_rows)
    server = ListServer(list(range(count)), cap, HINTS[kind](error, count))
    assert server.read(concurrency) == list(range(count))


def test_slices_come_out_in_order_whichever_is_read_first() -> None:
    later = threading.Event()

    def fetch(one: Slice, offset: int, first: int) -> Page:
        assert one.window
        if one.window.start == DAY.start:
            assert later.wait(10)
        else:
            later.set()
        found = [one.window.start_seconds][offset:]
        return Page(found, found, 1)

    windows = [Window(DAY.start + timedelta(days=n), DAY.end + timedelta(days=n)) for n in range(6)]
    parts = fetch_slices(
        [Slice(window, window) for window in windows], fetch=fetch, convert=flat, concurrency=4, page_size=200
    )
    assert [part.slice.window for part in parts] == windows


def test_no_more_pages_are_under_way_than_allowed() -> None:
    lock, under_way, most = threading.Lock(), 0, 0
    barrier = threading.Barrier(3)

    def fetch(one: Slice, offset: int, first: int) -> Page:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        if offset in (199, 398, 597):
            barrier.wait(10)
        with lock:
            under_way -= 1
        found = list(range(800))[offset : offset + first]
        return Page(found, found, 800)

    parts = list(fetch_slices([Slice(DAY, DAY)], fetch=fetch, convert=flat, concurrency=3, page_size=200))
    assert parts[0].rows == 800
    assert most == 3


def test_an_error_of_one_page_ends_the_reading_at_once() -> None:
    asked: list[int] = []

    def fetch(one: Slice, offset: int, first: int) -> Page:
        asked.append(offset)
        if offset:
            raise ConnectionError("no more")
        return Page(list(range(200)), list(range(200)), 100_000)

    with pytest.raises(ConnectionError, match="no more"):
        list(fetch_slices([Slice(None, None)], fetch=fetch, convert=flat, concurrency=2, page_size=200))
    assert len(asked) < 10


def test_pages_that_wait_for_their_turn_are_not_fetched_after_an_error() -> None:
    asked: list[int] = []

    def fetch(one: Slice, offset: int, first: int) -> Page:
        assert one.window
        asked.append(one.window.start_seconds)
        raise ConnectionError("no more")

    windows = [Window(DAY.start + timedelta(days=n), DAY.end + timedelta(days=n)) for n in range(50)]
    slices = [Slice(window, window) for window in windows]
    with pytest.raises(ConnectionError, match="no more"):
        list(fetch_slices(slices, fetch=fetch, convert=flat, concurrency=1, page_size=200))
    assert asked == [DAY.start_seconds]


def test_a_list_without_windows_that_never_holds_still_is_an_error() -> None:
    asked = iter(range(10_000))

    def fetch(one: Slice, offset: int, first: int) -> Page:
        shift = next(asked)
        found = list(range(-shift, 1_000))[offset : offset + first]
        return Page(found, found, None)

    with pytest.raises(WindowNotSettled, match=r"the whole list kept changing in 5 readings: rows moved"):
        list(fetch_slices([Slice(None, None)], fetch=fetch, convert=flat, concurrency=2, page_size=200))


def assembled(ids: list[int], totals: Sequence[int], before: set[int]) -> list[int]:
    """The ids of a list in pages of 3; each response announces the next total, at last the last one."""
    assembly = SliceAssembly(Slice(DAY, DAY), 3, flat, ServerBehaviour(), before=frozenset(before))
    for number in itertools.count():
        offset = assembly.next_offset()
        if offset is None:
            return assembly.ids
        rows = ids[offset : offset + 3]
        assembly.add_page(offset, Page(rows, rows, totals[min(number, len(totals) - 1)]))
    raise AssertionError


@pytest.mark.parametrize("before", [set(), {1, 2, 3}, {1, 2, 3, 4, 5}, {1, 2, 3, 5}], ids=str)
def test_a_total_that_changes_is_settled_by_another_reading_with_the_same_rows_alone(before: set[int]) -> None:
    ids = [1, 2, 3, 4]
    assert assembled(ids, [4], before) == ids
    assert assembled(ids, [5, 4], set(ids)) == ids
    with pytest.raises(RowsShifted, match=r"the announced total changed \(4, 5\)"):
        assembled(ids, [5, 4], before)
