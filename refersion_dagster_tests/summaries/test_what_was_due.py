"""Of lives with a known truth, whatever the moments at which the account was read: what was due when a month ended lies
within the bounds, and is what closing_due says where that says anything."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refersion_dagster_tests.summaries.builders import READ_AT, WarehouseBuilder, reading
from refersion_dagster_tests.summaries.definitions import FOUND_AS_IT_IS
from refersion_dagster_tests.summaries.strategies import ZONES, Life, many_lives, month_after

DAY = timedelta(days=1)
CLOSE = timedelta(days=2)


@pytest.fixture(scope="module")
def database(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("known")))
    with WarehouseBuilder(path).warehouse.write_lock(print):
        yield path


def follows_the_rules(life: Life, readings: Sequence[datetime]) -> bool:
    """Whether what no reading shows of the life is nothing that the bounds leave out.

    Commissions are those that were read, nothing that was due waits for approval again, and between two readings that
    lie two days apart or less there is one change.
    """
    gaps = [(life.states[0].since, next(moment for moment in readings if moment >= life.states[0].since))]
    gaps += [(start, end) for start, end in pairwise(readings) if start >= gaps[0][1]]
    for start, end in gaps:
        inside = [state for state in life.states if start < state.since <= end]
        first, last = life.at(start), life.at(end)
        amounts = {state.commission for state in (first, last) if state and state.since != life.states[0].since}
        if start == life.states[0].since:
            inside, amounts = list(life.states[: life.states.index(last) + 1]) if last else [], set()
        amounts |= {last.commission} if last else set()
        if start != life.states[0].since and first:
            amounts.add(first.commission)
        if any(state.commission not in amounts for state in inside):
            return False
        if any(before.status != "PENDING" and state.status == "PENDING" for before, state in pairwise(inside)):
            return False
        if first and inside and first.status != "PENDING" and any(state.status == "PENDING" for state in inside):
            return False
        if end - start <= CLOSE and len([state for state in inside if state.since > start]) > 1:
            return False
    return True


@st.composite
def reading_times(draw: st.DrawFn) -> list[datetime]:
    """Daily from some day on, with days left out; or seldom; or once."""
    first = draw(st.integers(0, 95))
    every = draw(st.sampled_from([1, 1, 1, 2, 5, 40]))
    hour = timedelta(hours=draw(st.integers(0, 23)))
    left_out = draw(st.sets(st.integers(0, 95), max_size=3))
    found = [
        READ_AT - ago * DAY - hour for ago in range(first, 0, -every) if ago not in left_out and ago * DAY + hour > DAY
    ]
    return [*found, READ_AT]


@pytest.mark.exhaustive
@given(lives=many_lives(), zone=st.sampled_from(ZONES), readings=reading_times())
@settings(max_examples=25, phases=FOUND_AS_IT_IS, suppress_health_check=[HealthCheck.too_slow])
def test_truth_lies_within_the_bounds_and_is_what_is_called_known(
    database: Path, lives: list[Life], zone: str, readings: list[datetime]
) -> None:
    lives = [life for life in lives if follows_the_rules(life, readings)]
    books = WarehouseBuilder(database, report_timezone=zone)
    with books.warehouse.session() as session:
        for table in ("conversions", "conversion_history", "conversion_readings"):
            session.query(f"DELETE FROM refersion_data.{table}")
    books.conversions(*(life.row() for life in lives))
    books.add("conversion_readings", *map(reading, readings))
    books.add("conversion_history", *(entry for life in lives for entry in life.history_of(readings)))
    for row in books.rows("commission_roll_forward"):
        own = [life for life in lives if life.currency == row["currency"]]
        due, before = due_at(own, month_end(row["month"], zone)), due_at(own, month_start(row["month"], zone))
        if row["basis"] == "running":
            due = sum((life.now.due or Decimal(0) for life in own), Decimal(0))
        told = (row, own, readings)
        assert row["closing_lowest"] <= due <= row["closing_highest"], told
        assert row["closing_due"] in (None, due), told
        assert row["opening_due"] in (None, before), told
        assert row["difference"] in (None, 0), told
        known = row["opening_due"] is not None and row["closing_due"] is not None
        assert known or row["newly_due"] is row["manual_credits"] is row["reversed"] is row["difference"] is None
        assert (row["basis"] in ("seen", "running")) is (row["closing_due"] is not None)
        if row["basis"] == "seen":
            assert_read_about(row["month"], zone, readings)


def assert_read_about(month: date, zone: str, readings: Sequence[datetime]) -> None:
    end = month_end(month, zone)
    assert any(end <= moment <= end + DAY for moment in readings)
    start = month_start(month, zone)
    assert all(b - a <= CLOSE for a, b in pairwise(readings) if a < end and b > start)


def month_start(month: date, zone: str) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=ZoneInfo(zone))


def month_end(month: date, zone: str) -> datetime:
    return month_start(month_after(month), zone)


def due_at(lives: Sequence[Life], moment: datetime) -> Decimal:
    """What was due just before a moment."""
    states = (life.at(moment - timedelta(microseconds=1)) for life in lives)
    return sum((state.due or Decimal(0) for state in states if state), Decimal(0))
