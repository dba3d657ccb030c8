"""How much commission is taken back by cancellations, by month of the order and of the reversal, worked out by hand."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    D,
    WarehouseBuilder,
    cancellation,
    credit,
    day,
    order,
    paid,
)
from refersion_dagster_tests.summaries.definitions import (
    APPROVED,
    CONVERSIONS,
    FOUND_AS_IT_IS,
    added_up,
    kind,
    start_again,
    state,
)

NAME = "reversals"
JANUARY, FEBRUARY, MARCH = (date(2025, month, 1) for month in (1, 2, 3))
KEY = ("currency", "month")
APPROVED_ORDERS = ("approved_conversions", "approved_commission")


def of(which: str, *names: str) -> tuple[str, ...]:
    """Columns of one of the two sets: orders_made or month."""
    return tuple(f"{name}_{which}" for name in names)


OF_ORDERS = of("of_orders_made", "cancellations", "reversed", "reversal_rate")
IN_MONTH = of("in_month", "cancellations", "reversed", "reversal_rate")
CREDITS = (
    *of("of_orders_made", "credits_against", "rate_with_credits"),
    *of("in_month", "credits_against", "rate_with_credits"),
)


def figures(books: WarehouseBuilder, *names: str) -> dict[date, tuple[Any, ...]]:
    """Those of books in USD alone, by month."""
    return {row["month"]: tuple(row[name] for name in names) for row in books.rows(NAME, *KEY, *names)}


def test_a_cancellation_counts_in_the_month_of_its_order_and_in_the_month_it_came(books: WarehouseBuilder) -> None:
    books.conversions(
        order(1, "100", "10", created=day(10, 1)),
        paid(2, "300", "30", created=day(20, 1)),
        order(3, "200", "20", created=day(10, 2)),
        cancellation(4, 1, "-100", "-10", created=day(5, 2)),
        cancellation(5, 3, "-50", "-5", created=day(1, 3)),
        # Of an order that is not known.
        cancellation(6, 99, "-20", "-2", created=day(2, 3)),
        # Not decided, and denied.
        cancellation(7, 2, "-300", "-30", created=day(3, 3), status="PENDING"),
        cancellation(8, 2, "-300", "-30", created=day(4, 3), status="DENIED"),
        # None of these is part of anything.
        order(9, "900", "90", "PENDING", created=day(10, 1)),
        order(10, "900", "90", "DENIED", created=day(10, 1)),
        credit(11, "7", created=day(10, 1)),
        order(12, "900", "90", created=day(10, 1), is_test_conversion=True),
        cancellation(13, 3, "-200", "-20", created=day(6, 3), vanished_at=READ_AT),
    )
    assert figures(books, *APPROVED_ORDERS, *OF_ORDERS, *IN_MONTH) == {
        # Of January's orders 10 of 40 are taken back; of the 30 it is not decided. Nothing came in January.
        JANUARY: (2, D("40"), 1, D("10"), D("0.25"), 0, D("0"), D("0")),
        # 5 of 20 were taken back in March; in February came the 10 of January.
        FEBRUARY: (1, D("20"), 1, D("5"), D("0.25"), 1, D("10"), D("0.5")),
        # No orders: no rate. 5 and the 2 of an unknown order came.
        MARCH: (0, D("0"), 0, D("0"), None, 2, D("7"), None),
    }
    pending = ("pending_cancellations", "pending_commission")
    apart = (
        *of("of_orders_made", *pending),
        *of("in_month", *pending),
        "unmatched_cancellations",
        "unmatched_commission",
    )
    found = books.built(NAME, "month", *apart)
    assert {tuple(row.values()) for row in found if any(row[name] for name in apart)} == {
        (JANUARY, 1, D("30"), 0, D("0"), 0, D("0")),
        (MARCH, 0, D("0"), 1, D("30"), 1, D("2")),
    }


def test_credits_against_stand_beside_cancellations_and_in_a_rate_with_both(books: WarehouseBuilder) -> None:
    books.conversions(
        order(1, "100", "10", created=day(10, 1)),
        order(2, "300", "30", created=day(20, 1)),
        order(3, "200", "20", created=day(10, 2)),
        cancellation(4, 1, "-100", "-10", created=day(5, 2)),
        # A partial refund of an order of January, and one of which nobody said what for.
        credit(5, "-3", order_id="order-2", created=day(6, 2)),
        credit(6, "-2", created=day(7, 2), payment_status="PAID"),
        # Not decided, denied, and given instead of taken.
        credit(7, "-40", order_id="order-2", created=day(8, 2), status="PENDING"),
        credit(8, "-50", order_id="order-2", created=day(8, 2), status="DENIED"),
        credit(9, "60", order_id="order-2", created=day(8, 2)),
    )
    assert figures(books, *CREDITS, "unmatched_credits_against") == {
        JANUARY: (D("3"), D("0.325"), D("0"), D("0"), D("0")),  # 13 of 40
        FEBRUARY: (D("0"), D("0"), D("5"), D("0.75"), D("2")),  # 15 of 20
    }
    # What cancellations take back is another column.
    assert {row["month"]: (row["reversed_of_orders_made"], row["reversed_in_month"]) for row in books.built(NAME)} == {
        JANUARY: (D("10"), D("0")),
        FEBRUARY: (D("0"), D("10")),
    }


def test_no_column_counts_anything_twice_when_months_are_added_up(books: WarehouseBuilder) -> None:
    books.conversions(
        order(1, "100", "10", created=day(10, 1)),
        order(2, "100", "20", created=day(10, 2)),
        cancellation(3, 1, "-100", "-10", created=day(5, 2)),
        # One order cancelled in two parts, in two months.
        cancellation(4, 2, "-50", "-5", created=day(6, 2)),
        cancellation(5, 2, "-50", "-4", created=day(5, 3)),
        credit(6, "-1", order_id="order-2", created=day(5, 3)),
    )
    summed = ("approved_commission", *of("of_orders_made", "reversed", "credits_against"))
    summed += of("in_month", "reversed", "credits_against")
    rows = books.rows(NAME)
    assert len(rows) == 3
    assert tuple(sum(row[name] for row in rows) for name in summed) == tuple(map(D, ("30", "19", "1", "19", "1")))


def test_a_rate_may_be_above_one_where_orders_of_other_months_are_cancelled(books: WarehouseBuilder) -> None:
    books.conversions(
        # Of three orders of January two are cancelled in March, which had one of its own.
        order(1, "100", "10", created=day(10, 1)),
        order(2, "100", "10", created=day(11, 1)),
        order(3, "100", "10", created=day(12, 1)),
        cancellation(4, 1, "-100", "-10", created=day(5)),
        cancellation(5, 2, "-100", "-10", created=day(6)),
        order(6, "80", "8", created=day(7)),
    )
    assert figures(books, "reversal_rate_of_orders_made", "reversal_rate_in_month") == {
        JANUARY: (D("0.666667"), D("0")),  # 20 of 30
        MARCH: (D("0"), D("2.5")),  # 20 of 8
    }


def test_of_an_order_credited_twice_each_affiliates_cancellation_takes_back_its_own(books: WarehouseBuilder) -> None:
    books.conversions(
        order(1, "100", "10", created=day(10, 1), order_id="A"),
        order(2, "100", "25", created=day(10, 2), order_id="A", affiliate_id="2"),
        cancellation(3, 0, "-100", "-25", created=day(5), order_id="A", affiliate_id="2"),
        cancellation(4, 0, "-100", "-10", created=day(5), order_id="A"),
    )
    found = figures(books, "reversed_of_orders_made")
    assert (found[JANUARY], found[FEBRUARY]) == ((D("10"),), (D("25"),))


def test_currencies_stay_apart(books: WarehouseBuilder) -> None:
    # The order is known in dollars only, so the cancellation in euros has none.
    books.conversions(order(1, "100", "10"), cancellation(2, 1, "-90", "-9", currency="EUR"))
    names = ("approved_commission", "reversed_of_orders_made", "reversed_in_month", "unmatched_commission")
    rates = ("reversal_rate_of_orders_made", "reversal_rate_in_month")
    assert [tuple(row.values()) for row in books.rows(NAME, *KEY, *names, *rates)] == [
        ("EUR", MARCH, D("0"), D("0"), D("9"), D("9"), None, None),
        ("USD", MARCH, D("10"), D("0"), D("0"), D("0"), D("0"), D("0")),
    ]


@pytest.mark.parametrize(
    ("zone", "last_of_february"),
    [("UTC", "2025-02-28T23:59:59+00:00"), ("America/New_York", "2025-03-01T04:59:59+00:00")],
)
def test_months_are_those_of_the_reporting_time_zone(database: Path, zone: str, last_of_february: str) -> None:
    last = datetime.fromisoformat(last_of_february)
    books = WarehouseBuilder(database, report_timezone=zone)
    books.conversions(
        order(1, "10", "1", created=last), cancellation(2, 1, "-10", "-1", created=last + timedelta(seconds=1))
    )
    assert figures(books, "cancellations_of_orders_made", "cancellations_in_month") == {FEBRUARY: (1, 0), MARCH: (0, 1)}


def test_the_latest_month_comes_first(books: WarehouseBuilder) -> None:
    books.conversions(order(1, "10", "1", created=day(1, 1)), order(2, "10", "1")).build(NAME)
    assert [row["month"] for row in books.built(NAME, order="rowid")] == [MARCH, JANUARY]


def test_an_empty_account_has_no_month(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []


@pytest.fixture(scope="module")
def any_books(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseBuilder]:
    books = WarehouseBuilder(Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("any"))))
    with books.warehouse.write_lock(print):
        yield books


def taken_back(of_kind: str) -> Callable[[Any], Decimal]:
    """Commission that an approved row of this kind takes back."""

    def amount(row: Any) -> Decimal:
        counts = kind(row) == of_kind and state(row) in APPROVED
        return (
            -row["commission_total"]
            if counts and (of_kind == "cancellation" or row["commission_total"] < 0)
            else D("0")
        )

    return amount


@pytest.mark.exhaustive
@given(conversions=CONVERSIONS)
@settings(max_examples=15, phases=FOUND_AS_IT_IS, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_rows_both_sets_take_back_the_same(
    any_books: WarehouseBuilder, conversions: list[dict[str, Any]]
) -> None:
    start_again(any_books, conversions)
    rows = any_books.rows(NAME)
    for of_kind, name, unmatched in [
        ("cancellation", "reversed", "unmatched_commission"),
        ("manual credit", "credits_against", "unmatched_credits_against"),
    ]:
        expected = added_up(conversions, taken_back(of_kind), lambda row: row["currency"])
        for columns in [(f"{name}_of_orders_made", unmatched), (f"{name}_in_month",)]:
            found: dict[str, Decimal] = defaultdict(Decimal)
            for row in rows:
                found[row["currency"]] += sum(row[column] for column in columns)
            assert {currency: amount for currency, amount in found.items() if amount} == expected, columns
