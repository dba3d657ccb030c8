"""How long affiliates wait for their money, worked out by hand."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    WarehouseBuilder,
    cancellation,
    credit,
    day,
    history,
    order,
    paid,
    reading,
)

NAME = "payout_lag"
FEBRUARY, MARCH, APRIL = (date(2025, month, 1) for month in (2, 3, 4))
APPROVAL, PAYMENT, ALL = "created to approved", "approved to paid", "created to paid"
PENDING, UNPAID = "waiting for approval", "waiting for payment"
MEASURED = ("conversions", "median_days", "longest_days", "not_measured")


def lags(books: WarehouseBuilder) -> dict[tuple[str, date], tuple[Any, ...]]:
    """Those of books in USD alone, by stage and month."""
    return {(row["stage"], row["month"]): tuple(row[name] for name in MEASURED) for row in books.rows(NAME)}


def seen(number: int, approved: datetime, *, paid_at: datetime | None = None) -> list[Any]:
    """The history of a row that was pending on the day it was made, March `number`."""
    rows = [
        history(number, day(number, hour=13), "new", "PENDING"),
        history(number, approved, "changed", "APPROVED"),
    ]
    return rows + ([history(number, paid_at, "changed", "APPROVED", payment_status="PAID")] if paid_at else [])


def test_each_stage_counts_in_the_month_it_ended(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        *seen(1, day(4), paid_at=day(30)),
        *seen(2, day(7), paid_at=day(30)),
        *seen(3, day(18)),
    )
    books.conversions(paid(1, "10", "1"), paid(2, "10", "1"), order(3, "10", "1"), order(4, "10", "1", "PENDING"))
    assert lags(books) == {
        # 3, 5 and 15 days.
        (APPROVAL, MARCH): (3, 5, 15, 0),
        # March 4 and 7 to 30: 26 and 23 days; of two, the lesser is the median.
        (PAYMENT, MARCH): (2, 23, 26, 0),
        # March 1 and 2 to 30.
        (ALL, MARCH): (2, 28, 29, 0),
        # To April 1: since March 4, and since the approval on March 18.
        (PENDING, APRIL): (1, 28, 28, 0),
        (UNPAID, APRIL): (1, 14, 14, 0),
    }


def test_what_no_reading_saw_being_approved_is_counted_but_not_measured(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        # There before the first reading on March 10.
        history(1, day(10), "new", "APPROVED", updated=day(5)),
        history(2, day(10), "new", "APPROVED", payment_status="PAID", updated=day(9)),
        # Made and approved between two readings: it was approved by the last change, a day after it was made.
        history(11, day(20), "new", "APPROVED", updated=day(16)),
        # Made, approved and paid between two readings.
        history(12, day(20), "new", "APPROVED", payment_status="PAID", updated=day(19)),
        # Pending at one reading, paid at the next.
        history(13, day(14), "new", "PENDING", updated=day(13)),
        history(13, day(20), "changed", "APPROVED", payment_status="PAID", updated=day(19)),
        # Made and approved between two readings of an account that does not say when.
        history(15, day(20), "new", "APPROVED"),
    )
    books.add("conversion_readings", *map(reading, (day(10), day(14), day(20), READ_AT)))
    books.conversions(
        order(1, "10", "1", updated=day(5)),
        paid(2, "10", "1", payment__created=day(9), updated=day(9)),
        order(11, "10", "1", created=day(15), updated=day(16)),
        paid(12, "10", "1", created=day(15), payment__created=day(19), updated=day(19)),
        paid(13, "10", "1", payment__created=day(19), updated=day(19)),
        order(15, "10", "1", created=day(16)),
    )
    assert lags(books) == {
        (APPROVAL, MARCH): (1, 1, 1, 5),
        (PAYMENT, MARCH): (0, None, None, 3),
        # March 2 to 9, 15 to 19, 13 to 19.
        (ALL, MARCH): (3, 6, 7, 0),
        # The oldest unpaid row is told by the best estimate: March 5, 16 and 16 to April 1.
        (UNPAID, APRIL): (3, 16, 27, 0),
    }


def test_without_history_only_what_is_certain_is_measured(books: WarehouseBuilder) -> None:
    books.conversions(paid(1, "10", "1"), order(2, "10", "1"))
    assert lags(books) == {
        (APPROVAL, MARCH): (0, None, None, 2),
        (PAYMENT, MARCH): (0, None, None, 1),
        (ALL, MARCH): (1, 29, 29, 0),
        (UNPAID, APRIL): (1, 30, 30, 0),
    }


def test_only_orders_that_count_are_measured(books: WarehouseBuilder) -> None:
    books.conversions(
        cancellation(1, 9, "-10", "-1"),
        credit(2, "5"),
        order(3, "10", "1", "DENIED"),
        order(4, "10", "1", "UNQUALIFIED"),
        order(5, "10", "1", "ON_HOLD"),
        paid(6, "10", "1", status="DENIED"),
        order(7, "10", "1", is_test_conversion=True),
        order(8, "10", "1", vanished_at=READ_AT),
    )
    assert books.rows(NAME) == []


def test_currencies_stay_apart_and_the_latest_month_comes_first(books: WarehouseBuilder) -> None:
    books.conversions(
        paid(1, "10", "1", payment__created=day(3)),
        paid(2, "10", "1", payment__created=day(4), currency="EUR"),
        paid(3, "10", "1", created=day(1, 2), payment__created=day(2, 2)),
    ).build(NAME)
    rows = books.built(NAME, "month", "currency", "stage", "median_days", order="rowid")
    assert [tuple(row.values()) for row in rows if row["stage"] == ALL] == [
        (MARCH, "EUR", ALL, 2),
        (MARCH, "USD", ALL, 2),
        (FEBRUARY, "USD", ALL, 1),
    ]


def test_days_and_months_are_those_of_the_reporting_time_zone(database: Path) -> None:
    # Two hours, over the end of February in New York at 05:00 UTC.
    made, paid_at = (datetime.fromisoformat(f"2025-03-01T0{hour}:00:00+00:00") for hour in (4, 6))
    books = WarehouseBuilder(database, report_timezone="America/New_York")
    books.conversions(paid(1, "10", "1", created=made, payment__created=paid_at))
    assert lags(books)[ALL, MARCH] == (1, 1, 1, 0)


def test_a_payment_dated_before_its_order_took_no_time(books: WarehouseBuilder) -> None:
    books.conversions(paid(9, "10", "1", payment__created=day(5)))
    assert lags(books)[ALL, MARCH] == (1, 0, 0, 0)


def test_an_empty_account_waits_for_nothing(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []
