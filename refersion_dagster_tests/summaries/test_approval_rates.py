"""How much of the programme's orders is approved in the end, worked out by hand."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

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

NAME = "approval_rates"
RATES = ("approval_rate", "approval_rate_by_value", "pending_share")
MARCH = date(2025, 3, 1)


def test_every_column_of_a_month(books: WarehouseBuilder) -> None:
    books.conversions(
        order(1, "100", "10"),
        paid(2, "200", "20"),
        order(3, "50", "4", "DENIED"),
        order(4, "60", "6", "UNQUALIFIED"),
        order(5, "1000", "100", "PENDING"),
        order(6, "70", "7", "ON_HOLD"),
        # Neither cancellations nor manual credits are orders; tests and rows that vanished are nothing.
        cancellation(7, 1, "-100", "-10"),
        cancellation(8, 3, "-50", "-5", status="DENIED"),
        credit(9, "3"),
        order(10, "500", "50", is_test_conversion=True),
        order(11, "500", "50", vanished_at=READ_AT),
    )
    assert books.row(NAME) == {
        "currency": "USD",
        "month": MARCH,
        "sales": D("1300"),  # 100 + 200 + 1000
        "conversions": 6,
        "conversions_approved": 2,
        "conversions_denied": 1,
        "conversions_unqualified": 1,
        "conversions_pending": 1,
        "conversions_unknown": 1,
        "commission_approved": D("30"),
        "commission_denied": D("4"),
        "commission_unqualified": D("6"),
        "commission_pending": D("100"),
        "approval_rate": D("0.666667"),  # 2 of 3
        "approval_rate_by_value": D("0.882353"),  # 30 of 34
        "quality_rate": D("0.5"),  # 2 of 4
        "quality_rate_by_value": D("0.75"),  # 30 of 40
        "pending_share": D("0.166667"),  # 1 of 6
    }


def test_currencies_and_months_stay_apart_and_the_latest_comes_first(books: WarehouseBuilder) -> None:
    books.conversions(
        order(1, "10", "1"),
        order(2, "10", "3", "DENIED"),
        order(3, "10", "1", "DENIED", currency="EUR"),
        order(4, "10", "1", created=day(28, 2)),
    ).build(NAME)
    rows = books.built(NAME, "currency", "month", "approval_rate", "approval_rate_by_value", order="rowid")
    assert [tuple(row.values()) for row in rows] == [
        ("EUR", MARCH, D("0"), D("0")),
        ("USD", MARCH, D("0.5"), D("0.25")),
        ("USD", date(2025, 2, 1), D("1"), D("1")),
    ]


def test_each_conversion_of_one_order_is_decided_by_itself(books: WarehouseBuilder) -> None:
    # A renewal, and an order that two affiliates were credited for.
    books.conversions(
        order(1, "10", "1", order_id="A"),
        order(2, "10", "1", order_id="A", is_recurring=True),
        order(3, "10", "1", "DENIED", order_id="A", affiliate_id="2"),
        order(4, "10", "1", order_id="A", affiliate_id="3"),
    )
    row = books.row(NAME)
    # Sales count the order once, and its renewal.
    assert (row["conversions"], row["approval_rate"], row["sales"]) == (4, D("0.75"), D("20"))


def test_a_rate_without_a_base_is_null(books: WarehouseBuilder) -> None:
    books.conversions(
        # AAA: nothing is decided. BBB: decided, but worth nothing. CCC: what is negative is no value.
        order(1, "10", "1", "PENDING", currency="AAA"),
        order(2, "10", "1", "ON_HOLD", currency="AAA"),
        order(3, "10", "0", currency="BBB"),
        order(4, "10", "0", "DENIED", currency="BBB"),
        order(5, "10", "-9", order_id=None, currency="CCC"),
        order(6, "10", "1", currency="CCC"),
        order(7, "10", "3", "DENIED", currency="CCC"),
    )
    assert {row["currency"]: tuple(row[name] for name in RATES) for row in books.rows(NAME)} == {
        "AAA": (None, None, D("0.5")),
        "BBB": (D("0.5"), None, D("0")),
        "CCC": (D("0.666667"), D("0.25"), D("0")),  # 2 of 3, 1 of 4
    }


@pytest.mark.parametrize(
    ("zone", "last_of_february"),
    [
        ("UTC", "2025-02-28T23:59:59+00:00"),
        ("America/New_York", "2025-03-01T04:59:59+00:00"),
        ("Pacific/Kiritimati", "2025-02-28T09:59:59+00:00"),
    ],
)
def test_months_are_those_of_the_order_in_the_reporting_time_zone(
    database: Path, zone: str, last_of_february: str
) -> None:
    last = datetime.fromisoformat(last_of_february)
    books = WarehouseBuilder(database, report_timezone=zone)
    # When it was approved makes no difference.
    books.conversions(
        order(1, "10", "1", created=last, updated=day(31)),
        order(2, "10", "1", created=last + timedelta(seconds=1)),
    )
    assert [row["month"] for row in books.rows(NAME)] == [date(2025, 2, 1), MARCH]


def test_an_empty_account_has_no_month(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []
