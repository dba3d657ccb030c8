"""Which span is read next: first load, look-back, interrupted passes, and explicit requests of a run."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refersion_dagster.refersion.extract.batches import record_progress
from refersion_dagster.refersion.extract.entity_reader import RowBatch
from refersion_dagster.refersion.extract.incremental import BEGINNING, SpanRequest, plan_window
from refersion_dagster.refersion.extract.stats import ReadSpan, TableReport
from refersion_dagster.refersion.tables.coerce import moments
from refersion_dagster.refersion.windows import Window, days, month_start, months, parse_moment, subtract_windows, years

NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)
START = datetime(2025, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
REQUEST = SpanRequest(start=START, lookback=timedelta(days=120))


def passed(now: datetime = NOW, newest: datetime | None = None) -> dict[str, Any]:
    """The state after one complete pass."""
    state: dict[str, Any] = {}
    first = plan_window(REQUEST, state, now)
    assert first.window
    first.read_up_to(first.window.end, newest)
    return state


def test_the_first_load_goes_from_the_start_to_now() -> None:
    assert plan_window(REQUEST, {}, NOW).window == Window(START, NOW + SECOND)
    assert plan_window(SpanRequest(), {}, NOW).window == Window(BEGINNING, NOW + SECOND)


def test_a_later_run_looks_back_from_the_last_one() -> None:
    later = NOW + timedelta(days=3)
    assert plan_window(REQUEST, passed(newest=NOW), later).window == Window(NOW - timedelta(days=120), later + SECOND)


def test_an_account_that_sold_nothing_lately_looks_back_from_its_newest_row() -> None:
    newest = NOW - timedelta(days=90)
    assert plan_window(REQUEST, passed(newest=newest), NOW).window == Window(newest - timedelta(days=120), NOW + SECOND)


def test_a_look_back_never_goes_before_the_start() -> None:
    window = plan_window(SpanRequest(start=START, lookback=timedelta(days=5_000)), passed(), NOW).window
    assert window
    assert window.start == START


def test_a_pass_that_was_cut_short_goes_on_where_it_was() -> None:
    state: dict[str, Any] = {}
    position = datetime(2025, 9, 1, tzinfo=UTC)
    plan_window(REQUEST, state, NOW).read_up_to(position)
    later = NOW + timedelta(days=2)
    assert plan_window(REQUEST, state, later).window == Window(position, later + SECOND)


def test_rows_of_a_pass_that_was_cut_short_are_as_fresh_as_its_beginning() -> None:
    state: dict[str, Any] = {}
    plan_window(REQUEST, state, NOW).read_up_to(datetime(2026, 6, 1, tzinfo=UTC), NOW)
    resumed = NOW + timedelta(days=30)
    rest = plan_window(REQUEST, state, resumed)
    assert rest.window
    rest.read_up_to(rest.window.end, resumed)
    window = plan_window(REQUEST, state, resumed + timedelta(days=1)).window
    assert window
    assert window.start == NOW - timedelta(days=120)


def test_an_explicit_span_is_read_as_asked_and_leaves_the_state_alone() -> None:
    state = passed()
    before = dict(state)
    asked = SpanRequest(
        start=START, read_from=datetime(2025, 3, 1, tzinfo=UTC), read_to=datetime(2025, 4, 1, tzinfo=UTC)
    )
    span = plan_window(asked, state, NOW)
    assert span.window == Window(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))
    span.read_up_to(datetime(2025, 4, 1, tzinfo=UTC))
    assert state == before


def test_a_full_reload_begins_at_the_start_and_goes_on_where_it_was() -> None:
    asked = SpanRequest(start=START, full=True)
    state = passed()
    assert plan_window(asked, state, NOW).window == Window(START, NOW + SECOND)
    position = datetime(2025, 6, 1, tzinfo=UTC)
    assert plan_window(asked, state, NOW, resume_at=position).window == Window(position, NOW + SECOND)


def test_an_earlier_start_date_is_read_from_then_on() -> None:
    earlier = datetime(2023, 1, 1, tzinfo=UTC)
    assert plan_window(SpanRequest(start=earlier), passed(), NOW).window == Window(earlier, NOW + SECOND)


def test_nothing_is_read_of_the_future() -> None:
    assert plan_window(SpanRequest(start=NOW + timedelta(days=1)), {}, NOW).window is None


MOMENTS = st.datetimes(datetime(2012, 1, 1), datetime(2037, 1, 1)).map(  # noqa: DTZ001 - made UTC right here
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
WINDOWS = st.tuples(MOMENTS, MOMENTS).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: Window(*sorted(pair)))


@given(WINDOWS)
def test_months_and_days_and_halves_make_up_their_window_without_gap_or_overlap(window: Window) -> None:
    cuts = [list(months(window))]
    if window.end - window.start < timedelta(days=400):
        cuts.append(list(days(window)))
    if halves := window.split():
        cuts.append(list(halves))
    for parts in cuts:
        assert parts[0].start == window.start
        assert parts[-1].end == window.end
        assert all(one.end == other.start for one, other in itertools.pairwise(parts))


@given(WINDOWS)
def test_a_month_is_never_cut_but_at_the_ends_of_the_window(window: Window) -> None:
    for part in list(months(window))[1:-1]:
        assert part.start == month_start(part.start)
        assert part.end == month_start(part.end)


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def test_a_window_is_cut_into_the_days_of_the_calendar() -> None:
    window = Window(at(2024, 2, 28, 22, 30, 5), at(2024, 3, 1, 0, 0, 1))
    assert list(days(window)) == [
        Window(window.start, at(2024, 2, 29)),
        Window(at(2024, 2, 29), at(2024, 3, 1)),
        Window(at(2024, 3, 1), window.end),
    ]


def test_a_window_is_cut_into_the_years_of_the_calendar() -> None:
    window = Window(at(2023, 12, 31, 23, 59, 59), at(2025, 1, 1, 0, 0, 1))
    assert list(years(window)) == [
        Window(window.start, at(2024, 1, 1)),
        Window(at(2024, 1, 1), at(2025, 1, 1)),
        Window(at(2025, 1, 1), window.end),
    ]


@pytest.mark.parametrize(("seconds", "first"), [(2, 1), (3, 1), (60, 30)])
def test_a_window_is_halved_down_to_single_seconds(seconds: int, first: int) -> None:
    window = Window(START, START + timedelta(seconds=seconds))
    middle = START + timedelta(seconds=first)
    assert window.split() == (Window(START, middle), Window(middle, window.end))
    assert Window(START, START + SECOND).split() is None


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ([], [(10, 20)]),
        ([(5, 10), (20, 25)], [(10, 20)]),
        ([(12, 14)], [(10, 12), (14, 20)]),
        ([(16, 18), (12, 14)], [(10, 12), (14, 16), (18, 20)]),
        ([(12, 18), (13, 14), (17, 19)], [(10, 12), (19, 20)]),
        ([(5, 12), (18, 25)], [(12, 18)]),
        ([(10, 20)], []),
        ([(5, 25), (30, 40)], []),
        ([(30, 40)], [(10, 20)]),
        ([(12, 13), (30, 40)], [(10, 12), (13, 20)]),
    ],
)
def test_what_is_left_of_a_window_is_what_no_other_covers(
    taken: list[tuple[int, int]], left: list[tuple[int, int]]
) -> None:
    def window(of: tuple[int, int]) -> Window:
        return Window(at(2025, 1, 1, 0, of[0]), at(2025, 1, 1, 0, of[1]))

    assert subtract_windows(window((10, 20)), map(window, taken)) == list(map(window, left))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        ("2024-01-31T08:30:00Z", datetime(2024, 1, 31, 8, 30, tzinfo=UTC)),
        ("2024-01-31T08:30:00+02:00", datetime(2024, 1, 31, 6, 30, tzinfo=UTC)),
        (" 2024-01-31 08:30:00 ", datetime(2024, 1, 31, 8, 30, tzinfo=UTC)),
    ],
)
def test_moments_are_utc_where_they_name_no_zone(text: str, moment: datetime) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["yesterday", "31.01.2024", "2024-13-01", ""])
def test_what_is_no_moment_is_refused_with_a_sample(text: str) -> None:
    with pytest.raises(ValueError, match="2024-01-31"):
        parse_moment(text)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (NOW, NOW),
        (NOW, NOW - SECOND),
        (NOW.replace(microsecond=1), NOW + SECOND),
        (NOW, (NOW + SECOND).replace(microsecond=1)),
        (NOW.replace(tzinfo=None), NOW + SECOND),
        (NOW.replace(tzinfo=None), (NOW + SECOND).replace(tzinfo=None)),
    ],
)
def test_a_window_that_makes_no_sense_cannot_be_made(start: datetime, end: datetime) -> None:
    with pytest.raises(ValueError, match=r"is not a whole second with a time zone|cannot end"):
        Window(start, end)


def test_several_windows_are_read_alone_and_leave_the_state_alone() -> None:
    state = passed()
    before = dict(state)
    march, june = (
        Window(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)),
        Window(datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)),
    )
    span = plan_window(REQUEST.with_windows([june, march]), state, NOW)
    assert span.windows == [march, june]
    span.read_up_to(june.end)
    assert state == before
    middle = datetime(2025, 6, 15, tzinfo=UTC)
    assert plan_window(REQUEST.with_windows([june, march]), state, NOW, resume_at=middle).windows == [
        Window(middle, june.end)
    ]


def test_without_windows_of_its_own_a_pass_reads_all_that_is_left() -> None:
    assert plan_window(REQUEST, {}, NOW).windows == [Window(START, NOW + SECOND)]
    assert plan_window(SpanRequest(start=NOW + timedelta(days=1)), {}, NOW).windows == []


def test_rows_are_handed_on_by_the_ten_thousand_and_the_pass_knows_how_far_they_go() -> None:
    def rows(count: int, created: datetime) -> pa.Table:
        return pa.table({"created": moments(created, count)})

    state: dict[str, Any] = {}
    span = plan_window(REQUEST, state, NOW)
    assert span.window
    middle, newest = at(2026, 1, 1), at(2025, 12, 24, 18)
    batches = [
        RowBatch(Window(START, middle), [rows(12_000, START)], complete=False),
        RowBatch(Window(START, middle), [rows(12_000, newest)], complete=True),
        RowBatch(Window(middle, span.window.end), [rows(3, START)], complete=False),
    ]
    report = TableReport()
    assert [table.num_rows for table in record_progress(batches, span, span.window, report, NOW)] == [24_000, 3]
    assert (report.read_to, report.more) == (middle, True)
    assert report.spans == [ReadSpan(START, middle, NOW)]
    assert (state["position"], state["newest"], state["done"]) == (middle.isoformat(), newest.isoformat(), False)
