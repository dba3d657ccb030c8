"""How much commission is taken back by cancellations, by month of the order and of the reversal, worked out by hand."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from refersion_dagster_tests.summaries.by_definition import (
    APPROVED,
    CONVERSIONS,
    FOUND_AS_IT_IS,
    added_up,
    kind,
    start_again,
    state,
)
from refersion_dagster_tests.summaries.hand_made import READ_AT, Books, D, cancellation, credit, day, order, paid

NAME = "reversals"
JANUARY, FEBRUARY, MARCH = (date(2025, month, 1) for month in (1, 2, 3))
KEY = ("currency", "month", "basis")


def figures(books: Books, *names: str) -> dict[tuple[date, str], tuple[Any, ...]]:
    """Those of books in USD alone, by month and basis."""
    rows = books.rows(NAME, *KEY, *names)
    return {(row["month"], row["basis"]): tuple(row[name] for name in names) for row in rows}


def test_a_cancellation_counts_in_the_month_of_its_order_and_in_the_month_it_came(books: Books) -> None:
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
        credit(11, "-7", created=day(10, 1)),
        order(12, "900", "90", created=day(10, 1), is_test_conversion=True),
        cancellation(13, 3, "-200", "-20", created=day(6, 3), vanished_at=READ_AT),
    )
    names = ("approved_conversions", "approved_commission", "cancellations", "reversed_commission", "reversal_rate")
    assert figures(books, *names) == {
        # 10 of 40 taken back; of the 30 it is not decided.
        (JANUARY, "order"): (2, D("40"), 1, D("10"), D("0.25")),
        (JANUARY, "reversal"): (2, D("40"), 0, D("0"), D("0")),
        # 5 of 20 taken back in March; in February came the 10 of January.
        (FEBRUARY, "order"): (1, D("20"), 1, D("5"), D("0.25")),
        (FEBRUARY, "reversal"): (1, D("20"), 1, D("10"), D("0.5")),
        # No orders: no rate. 5 and the 2 of an unknown order came.
        (MARCH, "order"): (0, D("0"), 0, D("0"), None),
        (MARCH, "reversal"): (0, D("0"), 2, D("7"), None),
    }
    apart = ("unmatched_cancellations", "unmatched_commission", "pending_cancellations", "pending_commission")
    found = books.built(NAME, "month", "basis", *apart)
    assert {tuple(row.values()) for row in found if any(row[name] for name in apart)} == {
        (JANUARY, "order", 0, D("0"), 1, D("30")),
        (MARCH, "order", 1, D("2"), 0, D("0")),
        (MARCH, "reversal", 1, D("2"), 1, D("30")),
    }


def test_a_rate_may_be_above_one_where_orders_of_other_months_are_cancelled(books: Books) -> None:
    books.conversions(
        # Of three orders of January two are cancelled in March, which had one of its own.
        order(1, "100", "10", created=day(10, 1)),
        order(2, "100", "10", created=day(11, 1)),
        order(3, "100", "10", created=day(12, 1)),
        cancellation(4, 1, "-100", "-10", created=day(5)),
        cancellation(5, 2, "-100", "-10", created=day(6)),
        order(6, "80", "8", created=day(7)),
    )
    assert figures(books, "reversal_rate") == {
        (JANUARY, "order"): (D("0.666667"),),  # 20 of 30
        (JANUARY, "reversal"): (D("0"),),
        (MARCH, "order"): (D("0"),),
        (MARCH, "reversal"): (D("2.5"),),  # 20 of 8
    }


def test_of_an_order_credited_twice_each_affiliates_cancellation_takes_back_its_own(books: Books) -> None:
    books.conversions(
        order(1, "100", "10", created=day(10, 1), order_id="A"),
        order(2, "100", "25", created=day(10, 2), order_id="A", affiliate_id="2"),
        cancellation(3, 0, "-100", "-25", created=day(5), order_id="A", affiliate_id="2"),
        cancellation(4, 0, "-100", "-10", created=day(5), order_id="A"),
    )
    found = figures(books, "reversed_commission")
    assert (found[JANUARY, "order"], found[FEBRUARY, "order"]) == ((D("10"),), (D("25"),))


def test_currencies_stay_apart(books: Books) -> None:
    # The order is known in dollars only, so the cancellation in euros has none.
    books.conversions(order(1, "100", "10"), cancellation(2, 1, "-90", "-9", currency="EUR"))
    rows = books.rows(NAME, *KEY, "approved_commission", "reversed_commission", "unmatched_commission", "reversal_rate")
    assert [tuple(row.values()) for row in rows] == [
        ("EUR", MARCH, "order", D("0"), D("0"), D("9"), None),
        ("EUR", MARCH, "reversal", D("0"), D("9"), D("9"), None),
        ("USD", MARCH, "order", D("10"), D("0"), D("0"), D("0")),
        ("USD", MARCH, "reversal", D("10"), D("0"), D("0"), D("0")),
    ]


@pytest.mark.parametrize(
    ("zone", "last_of_february"),
    [("UTC", "2025-02-28T23:59:59+00:00"), ("America/New_York", "2025-03-01T04:59:59+00:00")],
)
def test_months_are_those_of_the_reporting_time_zone(database: Path, zone: str, last_of_february: str) -> None:
    last = datetime.fromisoformat(last_of_february)
    books = Books(database, report_timezone=zone)
    books.conversions(
        order(1, "10", "1", created=last), cancellation(2, 1, "-10", "-1", created=last + timedelta(seconds=1))
    )
    assert figures(books, "cancellations") == {
        (FEBRUARY, "order"): (1,),
        (FEBRUARY, "reversal"): (0,),
        (MARCH, "order"): (0,),
        (MARCH, "reversal"): (1,),
    }


def test_the_latest_month_comes_first(books: Books) -> None:
    books.conversions(order(1, "10", "1", created=day(1, 1)), order(2, "10", "1")).build(NAME)
    assert [row["month"] for row in books.built(NAME, order="rowid")] == [MARCH, MARCH, JANUARY, JANUARY]


def test_an_empty_account_has_no_month(books: Books) -> None:
    assert books.rows(NAME) == []


@pytest.fixture(scope="module")
def any_books(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    books = Books(Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("any"))))
    with books.warehouse.writing(print):
        yield books


def is_reversal(row: Any) -> bool:
    return kind(row) == "cancellation" and state(row) in APPROVED


@given(conversions=CONVERSIONS)
@settings(max_examples=15, phases=FOUND_AS_IT_IS, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_rows_both_ways_of_counting_take_back_the_same(
    any_books: Books, conversions: list[dict[str, Any]]
) -> None:
    start_again(any_books, conversions)
    by_basis: dict[str, dict[str, Decimal]] = {"order": defaultdict(Decimal), "reversal": defaultdict(Decimal)}
    for row in any_books.rows(NAME):
        apart = row["unmatched_commission"] if row["basis"] == "order" else 0
        by_basis[row["basis"]][row["currency"]] += row["reversed_commission"] + apart
    expected = added_up(
        conversions,
        lambda row: -row["commission_total"] if is_reversal(row) else Decimal(0),
        lambda row: row["currency"],
    )
    for found in by_basis.values():
        assert {currency: amount for currency, amount in found.items() if amount} == expected
