"""When the commission of each conversion was due, worked out by hand and from lives made at random."""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    D,
    WarehouseBuilder,
    cancellation,
    credit,
    day,
    history,
    order,
    paid,
    reading,
)
from refersion_dagster_tests.summaries.definitions import FOUND_AS_IT_IS
from refersion_dagster_tests.summaries.strategies import ZONES, Life, many_lives, month_of

NAME = "due_periods"
STRETCH = ("amount", "entry_reason", "due_from_latest", "exit_reason", "due_until_latest", "still_due")


def stretches(books: WarehouseBuilder) -> dict[str, list[tuple[Any, ...]]]:
    """Those of each conversion, in the order of their steps."""
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in books.rows(NAME):
        found[row["conversion_id"]].append(tuple(row[name] for name in STRETCH))
    return found


def still(amount: str, entry_reason: str, due_from: datetime) -> tuple[Any, ...]:
    return (D(amount), entry_reason, due_from, None, None, D(amount))


def ended(amount: str, entry_reason: str, due_from: datetime, exit_reason: str, due_until: datetime) -> tuple[Any, ...]:
    return (D(amount), entry_reason, due_from, exit_reason, due_until, D("0"))


def test_every_column_of_a_conversion_that_was_corrected_while_it_was_due(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(3, 1), "new", "PENDING", "10"),
        history(1, day(20, 1), "changed", "APPROVED", "10", updated=day(20, 1, hour=8)),
        history(1, day(10, 2), "changed", "APPROVED", "12"),
    )
    first, second = books.conversions(order(1, "100", "12", created=day(1, 1))).rows(NAME)
    assert first == {
        "conversion_id": "1",
        "step": 2,  # pending, approved, corrected
        "affiliate_id": "1",
        "currency": "USD",
        "conversion_kind": "order",
        "amount": D("10"),
        "amount_before": None,
        "entry_reason": "approved",
        "due_from": day(20, 1, hour=8),
        "due_from_earliest": day(20, 1, hour=8),
        "due_from_latest": day(20, 1, hour=8),
        "from_month": date(2025, 1, 1),
        "exit_reason": "corrected",
        "due_until": day(10, 2),
        # It was still as before at the reading of the day before.
        "due_until_earliest": day(9, 2),
        "due_until_latest": day(10, 2),
        "until_month": date(2025, 2, 1),
        "still_due": D("0"),
    }
    assert second == {
        **first,
        "step": 3,
        "amount": D("12"),
        "amount_before": D("10"),
        "entry_reason": "corrected",
        "due_from": day(10, 2),
        "due_from_earliest": day(9, 2),
        "due_from_latest": day(10, 2),
        "from_month": date(2025, 2, 1),
        "exit_reason": None,
        "due_until": None,
        "due_until_earliest": None,
        "due_until_latest": None,
        "until_month": None,
        "still_due": D("12"),
    }


def test_without_history_it_was_due_by_the_last_change_else_by_the_reading(books: WarehouseBuilder) -> None:
    books.conversions(
        order(1, "10", "1"),
        order(2, "10", "2", updated=day(9)),
        cancellation(3, 9, "-10", "-4"),
        credit(4, "8"),
        # Changed for the last time when it was paid: due at some time before.
        paid(5, "10", "16", updated=day(30)),
        paid(6, "10", "32", updated=day(8)),
        order(7, "10", "64", "PENDING"),
        order(8, "10", "128", "DENIED"),
        order(9, "10", "256", is_test_conversion=True),
        order(10, "10", "512", vanished_at=day(30)),
    )
    assert stretches(books) == {
        "1": [still("1", "approved", READ_AT)],
        "2": [still("2", "approved", day(9))],
        "3": [still("-4", "approved", READ_AT)],
        "4": [still("8", "approved", READ_AT)],
        "5": [ended("16", "approved", day(30), "paid", day(30))],
        "6": [ended("32", "approved", day(8), "paid", day(30))],
    }
    # From its creation on, at an unknown time.
    assert [(row["due_from"], row["due_from_earliest"]) for row in books.built(NAME)] == [
        (None, day(number)) for number in range(1, 7)
    ]


def test_a_change_is_dated_by_refersion_only_where_that_lies_between_two_readings(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        # The last change is said to be one that was read before.
        history(1, day(5, 2), "new", "PENDING", updated=day(4, 2)),
        history(1, day(20, 2), "changed", "APPROVED", updated=day(4, 2)),
        # The first reading does not say, so it was due by then.
        history(2, day(5, 2), "new", "APPROVED"),
    )
    books.conversions(order(1, "10", "1", created=day(1, 2)), order(2, "10", "1", created=day(1, 2), updated=day(3, 2)))
    assert stretches(books) == {"1": [still("1", "approved", day(20, 2))], "2": [still("1", "approved", day(5, 2))]}


def test_an_approval_is_taken_back_and_given_again(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(5, 1), "new", "APPROVED"),
        history(1, day(5, 2), "changed", "DENIED"),
        history(1, day(5, 3), "changed", "APPROVED"),
        history(2, day(5, 1), "new", "PENDING"),
        history(2, day(5, 2), "changed", "APPROVED"),
        history(2, day(5, 3), "changed", "UNQUALIFIED"),
    )
    books.conversions(order(1, "10", "1", created=day(1, 1)), order(2, "10", "1", "UNQUALIFIED", created=day(1, 1)))
    assert stretches(books) == {
        "1": [
            # It was approved when it was first seen.
            ended("1", "approved", day(5, 1), "reversed", day(5, 2)),
            still("1", "approved", day(5, 3)),
        ],
        "2": [ended("1", "approved", day(5, 2), "reversed", day(5, 3))],
    }


def test_a_payment_is_taken_back_and_made_again(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(5, 1), "new", "APPROVED"),
        history(1, day(20, 1), "changed", "APPROVED", payment_status="PAID"),
        history(1, day(5, 2), "changed", "APPROVED"),
        history(1, day(20, 3), "changed", "APPROVED", payment_status="PAID"),
    )
    books.conversions(paid(1, "10", "1", created=day(1, 1), payment__created=day(18)))
    assert stretches(books) == {
        "1": [
            ended("1", "approved", day(5, 1), "paid", day(20, 1)),
            # The last payment has a date of its own, earlier than it was seen.
            ended("1", "payment taken back", day(5, 2), "paid", day(18)),
        ]
    }


def test_denied_after_it_was_paid_stays_paid(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(5, 1), "new", "APPROVED"),
        history(1, day(20, 1), "changed", "APPROVED", payment_status="PAID"),
        history(1, day(5, 2), "changed", "DENIED", payment_status="PAID"),
    )
    books.conversions(paid(1, "10", "1", status="DENIED", created=day(1, 1), payment__created=day(20, 1)))
    assert stretches(books) == {"1": [ended("1", "approved", day(5, 1), "paid", day(20, 1))]}


def test_paid_with_another_commission_was_corrected_at_that_moment(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(5, 2), "new", "APPROVED", "15"),
        history(1, day(29), "changed", "APPROVED", "12", payment_status="PAID"),
    )
    books.conversions(paid(1, "10", "12", created=day(1, 2), payment__created=day(28)))
    assert stretches(books) == {
        "1": [
            ended("15", "approved", day(5, 2), "corrected", day(28)),
            ended("12", "corrected", day(28), "paid", day(28)),
        ]
    }


def test_another_currency_is_a_reversal_in_the_one_and_an_approval_in_the_other(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(5, 2), "new", "APPROVED", "15", currency="EUR"),
        history(1, day(5, 3), "changed", "APPROVED", "15"),
    )
    rows = books.conversions(order(1, "10", "15", created=day(1, 2))).rows(NAME)
    names = ("currency", "amount", "amount_before", "entry_reason", "exit_reason", "still_due")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("EUR", D("15"), None, "approved", "reversed", D("0")),
        ("USD", D("15"), None, "approved", None, D("15")),
    ]


def test_a_change_that_no_reading_shows_is_seen_in_the_row_itself(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        *(history(number, day(5, 2), "new", "APPROVED", "10", payment_status=None) for number in (1, 2)),
    )
    books.conversions(
        # An account that shows payments but no payment status.
        paid(1, "10", "10", created=day(1, 2), payment_status=None),
        # A payment dated before the conversion was first seen.
        paid(2, "10", "10", created=day(1, 2), payment_status=None, payment__created=day(3, 2)),
    )
    assert stretches(books) == {
        "1": [ended("10", "approved", day(5, 2), "paid", day(30))],
        "2": [ended("10", "approved", day(3, 2), "paid", day(3, 2))],
    }


def test_a_payment_before_the_approval_makes_a_stretch_without_length(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(5, 2), "new", "PENDING"),
        history(1, day(20, 3), "changed", "APPROVED"),
    )
    books.conversions(paid(1, "10", "1", created=day(1, 2), payment__created=day(10)))
    assert stretches(books) == {"1": [ended("1", "approved", day(10), "paid", day(10))]}


@pytest.mark.parametrize(
    ("zone", "last_of_march"),
    [
        ("UTC", "2025-03-31T23:59:59+00:00"),
        # Clocks went on by an hour in March.
        ("America/New_York", "2025-04-01T03:59:59+00:00"),
        ("Europe/Berlin", "2025-03-31T21:59:59+00:00"),
    ],
)
def test_months_are_those_of_the_reporting_time_zone(database: Path, zone: str, last_of_march: str) -> None:
    books = WarehouseBuilder(database, report_timezone=zone)
    last, first = datetime.fromisoformat(last_of_march), datetime.fromisoformat(last_of_march) + timedelta(seconds=1)
    made = {"created": day(1), "payment__created": first}
    books.conversions(paid(1, "10", "1", updated=last, **made), paid(2, "10", "1", updated=first, **made))
    march, april = date(2025, 3, 1), date(2025, 4, 1)
    rows = books.rows(NAME, "from_month", "until_month")
    # Of the second, the payment was the last change: it may have been approved in March or in April.
    assert [tuple(row.values()) for row in rows] == [(march, april), (None, april)]


def test_what_became_due_last_comes_first(books: WarehouseBuilder) -> None:
    rows = (order(1, "10", "1"), order(3, "10", "1"), order(2, "10", "1", created=day(3)))
    books.watched(*rows).build(NAME)
    assert [row["conversion_id"] for row in books.built(NAME, order="rowid")] == ["2", "3", "1"]


def test_an_empty_account_owed_nothing_ever(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []


@pytest.fixture(scope="module")
def any_database(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    database = Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("any")))
    with WarehouseBuilder(database).warehouse.write_lock(print):
        yield database


def lived(database: Path, zone: str, lives: Sequence[Life], readings: Sequence[Any]) -> list[dict[str, Any]]:
    """The stretches of these lives, of which readings showed those rows of history."""
    books = WarehouseBuilder(database, report_timezone=zone).empty().add("conversion_readings", reading(READ_AT))
    books.add("conversion_history", *readings).conversions(*(life.row() for life in lives))
    return books.rows(NAME)


def by_life(rows: Sequence[dict[str, Any]], life: Life) -> list[dict[str, Any]]:
    return [row for row in rows if row["conversion_id"] == f"{life.number}"]


LIVES = settings(max_examples=12, phases=FOUND_AS_IT_IS, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.exhaustive
@given(lives=many_lives(), zone=st.sampled_from(ZONES))
@LIVES
def test_at_every_moment_of_a_life_what_was_due_is_what_the_stretches_say(
    any_database: Path, lives: list[Life], zone: str
) -> None:
    rows = lived(any_database, zone, lives, [row for life in lives for row in life.history()])
    for life in lives:
        found = by_life(rows, life)
        for moment in [state.dated + timedelta(seconds=late) for state in life.states for late in (-1, 0, 1)]:
            state = next((state for state in reversed(life.states) if state.dated <= moment), None)
            amounts = [
                row["amount"]
                for row in found
                if row["due_from_latest"] <= moment
                and (row["due_until_latest"] is None or moment < row["due_until_latest"])
            ]
            assert amounts == ([state.due] if state and state.due is not None else []), (life, moment)
        for row in found:
            for began, month in (("due_from", "from_month"), ("due_until", "until_month")):
                bounds = [row[f"{began}_earliest"], row[f"{began}_latest"]]
                assert (None in bounds) is (bounds == [None, None])
                known = {month_of(one, zone) for one in bounds if one}
                assert row[month] == (known.pop() if len(known) == 1 else None)
            assert row["currency"] == life.currency


@pytest.mark.exhaustive
@given(lives=many_lives(), zone=st.sampled_from(ZONES), days=st.sets(st.integers(1, 100), max_size=6))
@LIVES
def test_however_seldom_the_account_was_read_stretches_follow_each_other_and_end_with_what_is_due_now(
    any_database: Path, lives: list[Life], zone: str, days: set[int]
) -> None:
    # The row itself is always as it was in the last reading.
    readings = [*(READ_AT - timedelta(days=ago) for ago in sorted(days, reverse=True)), READ_AT]
    rows = lived(any_database, zone, lives, [row for life in lives for row in life.history_of(readings)])
    for life in lives:
        found = by_life(rows, life)
        assert sum((row["still_due"] for row in found), Decimal(0)) == (life.now.due or 0)
        assert [row["exit_reason"] is None for row in found] == [False] * (len(found) - 1) + (
            [life.now.due is not None] if found else []
        )
        for row in found:
            assert (row["due_until_latest"] is None) is (row["exit_reason"] is None)
            assert row["due_until_latest"] is None or row["due_from_latest"] <= row["due_until_latest"]
        for row, after in pairwise(found):
            assert row["due_until_latest"] <= after["due_from_latest"]
