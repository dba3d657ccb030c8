"""What was paid out and is not owed any more, worked out by hand."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    D,
    WarehouseBuilder,
    affiliate,
    cancellation,
    credit,
    day,
    history,
    order,
    paid,
)

NAME = "clawbacks"
JANUARY, FEBRUARY, MARCH = (date(2025, month, 1) for month in (1, 2, 3))
CANCELLED, DENIED, NEGATIVE = "cancelled after payment", "denied after payment", "negative balance"


def found(books: WarehouseBuilder, *names: str) -> dict[tuple[str, str], Any]:
    """By kind and subject."""
    return {(row["kind"], row["subject"]): tuple(row[name] for name in names) for row in books.rows(NAME)}


def test_every_column_of_a_cancellation_after_payment_and_of_the_balance_it_leaves(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1))
    books.conversions(
        paid(1, "100", "10", payment__created=day(10)),
        cancellation(20, 1, "-100", "-10"),
        order(3, "40", "4"),
    )
    negative, cancelled = sorted(books.rows(NAME), key=lambda row: row["kind"], reverse=True)
    whose = {
        "affiliate_id": "1",
        "affiliate_name": "Affiliate 1",
        "affiliate_email": "affiliate1@example.com",
        "currency": "USD",
        "repayment_status": "lowers the balance",
    }
    assert cancelled == {
        "kind": CANCELLED,
        "subject": "20",
        "cancelled_after_payment": D("10"),
        "denied_after_payment": None,
        "negative_balance": None,
        "order_id": "order-1",
        "original_id": "1",
        "payment_id": "900",
        "paid_at": day(10),
        "taken_back_at": day(20),
        "days_after_payment": 10,
        "order_month": MARCH,
        "reversal_month": MARCH,
        **whose,
    }
    nothing = ("cancelled_after_payment", "denied_after_payment", "order_id", "original_id", "payment_id", "paid_at")
    nothing += ("taken_back_at", "days_after_payment", "order_month", "reversal_month")
    balance = {"negative_balance": D("6")}  # 4 - 10
    assert negative == {"kind": NEGATIVE, "subject": "1", **balance, **dict.fromkeys(nothing), **whose}


def test_a_cancellation_counts_only_when_the_original_had_been_paid_by_then(books: WarehouseBuilder) -> None:
    at = {"payment__created": day(15)}
    books.conversions(
        *(paid(number, "10", "1", created=day(1), **at) for number in (1, 2, 3, 4, 5, 6)),
        cancellation(11, 1, "-10", "-1", created=day(14)),
        cancellation(12, 2, "-10", "-1", created=day(15)),
        cancellation(13, 3, "-10", "-1", created=day(16)),
        # Of an order that is due, of none that is known, of another currency.
        order(7, "10", "1", created=day(1)),
        cancellation(17, 7, "-10", "-1", created=day(20)),
        cancellation(18, 99, "-10", "-1", created=day(20)),
        cancellation(14, 4, "-10", "-1", created=day(20), currency="EUR"),
        # Tests, and rows that vanished.
        cancellation(15, 5, "-10", "-1", created=day(20), is_test_conversion=True),
        cancellation(16, 6, "-10", "-1", created=day(20), vanished_at=READ_AT),
    )
    assert [subject for kind, subject in found(books) if kind == CANCELLED] == ["13"]


def test_what_became_of_a_cancellation_is_told(books: WarehouseBuilder) -> None:
    at = {"payment__created": day(2)}
    books.conversions(
        *(paid(number, "10", f"{number}", created=day(1), **at) for number in (1, 2, 3, 4)),
        cancellation(11, 1, "-10", "-1"),
        cancellation(12, 2, "-10", "-2", status="PENDING"),
        cancellation(13, 3, "-10", "-3", payment_status="PAID", payment_id="901", payment__created=day(30)),
        # Denied: nothing is taken back.
        cancellation(14, 4, "-10", "-4", status="DENIED"),
        credit(15, "9"),
    )
    assert found(books, "repayment_status", "cancelled_after_payment") == {
        (CANCELLED, "11"): ("lowers the balance", D("1")),
        (CANCELLED, "12"): ("waits for approval", D("2")),
        (CANCELLED, "13"): ("set off", D("3")),
    }


def test_what_was_denied_after_it_was_paid_is_told_as_no_row_lowers_the_balance(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(2), "new", "APPROVED"),
        history(1, day(10), "changed", "APPROVED", payment_status="PAID"),
        history(1, day(20), "changed", "DENIED", payment_status="PAID"),
    )
    at = {"payment__created": day(9)}
    books.conversions(
        paid(1, "10", "1", status="DENIED", **at),
        # When it was denied is not known.
        paid(2, "10", "2", status="UNQUALIFIED", **at),
        # Never paid, nothing paid, not decided again yet.
        order(3, "10", "4", "DENIED"),
        paid(4, "10", "0", status="DENIED", **at),
        paid(5, "10", "8", status="PENDING", **at),
    )
    assert found(
        books, "denied_after_payment", "repayment_status", "taken_back_at", "days_after_payment", "payment_id"
    ) == {
        (DENIED, "1"): (D("1"), "nothing lowers the balance", day(20), 11, "900"),
        (DENIED, "2"): (D("2"), "nothing lowers the balance", None, None, "900"),
    }


def test_balances_below_zero_are_told_by_currency(books: WarehouseBuilder) -> None:
    books.conversions(
        credit(1, "-5"),
        credit(2, "5", currency="EUR"),
        credit(3, "-7", affiliate_id="2", currency="EUR"),
        # A balance of zero, and one that is negative only by what is pending or paid.
        credit(4, "-5", affiliate_id="3"),
        credit(5, "5", affiliate_id="3"),
        credit(6, "-5", affiliate_id="4", status="PENDING"),
        credit(7, "-5", affiliate_id="5", payment_status="PAID"),
    )
    rows = books.rows(NAME, "kind", "subject", "currency", "negative_balance")
    assert [tuple(row.values()) for row in rows] == [
        (NEGATIVE, "1", "USD", D("5")),
        (NEGATIVE, "2", "EUR", D("7")),
    ]


def test_amounts_of_a_kind_are_added_up_by_either_month_without_those_of_another(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(3, day(2, 1), "new", "APPROVED", payment_status="PAID"),
        history(3, day(20), "changed", "DENIED", payment_status="PAID"),
    )
    at = {"payment__created": day(15, 1)}
    books.conversions(
        paid(1, "100", "10", created=day(2, 1), **at),
        # Cancelled in two parts, in two months, which leaves a balance below 0.
        cancellation(11, 1, "-60", "-6", created=day(20, 2)),
        cancellation(12, 1, "-40", "-3", created=day(20, 3)),
        paid(2, "100", "8", created=day(2, 2), payment__created=day(5, 2)),
        cancellation(13, 2, "-100", "-8", created=day(25, 2)),
        # Denied, and nobody saw when.
        paid(3, "100", "5", created=day(3, 1), status="DENIED", **at),
        paid(4, "100", "7", created=day(3, 1), status="DENIED", **at),
    )
    rows = books.rows(NAME)
    by_order = {JANUARY: (D("9"), D("12")), FEBRUARY: (D("8"), 0), None: (0, 0)}
    by_reversal = {FEBRUARY: (D("14"), 0), MARCH: (D("3"), D("5")), None: (0, D("7"))}
    assert summed(rows, "order_month") == by_order
    assert summed(rows, "reversal_month") == by_reversal
    # The balance: 6, 3 and 8 are due to be set off.
    assert [row["negative_balance"] for row in rows if row["negative_balance"] is not None] == [D("17")]


def summed(rows: list[dict[str, Any]], month: str) -> dict[date | None, tuple[Any, ...]]:
    """What was cancelled and what was denied, by month."""
    names = ("cancelled_after_payment", "denied_after_payment")
    return {
        key: tuple(sum(row[name] for row in rows if row[month] == key and row[name] is not None) for name in names)
        for key in {row[month] for row in rows}
    }


def test_days_and_months_are_those_of_the_reporting_time_zone(database: Path) -> None:
    # An hour apart, but in two months in New York: midnight is at 05:00 UTC.
    paid_at, taken_back_at = (datetime.fromisoformat(f"2025-03-01T0{hour}:30:00+00:00") for hour in (4, 5))
    books = WarehouseBuilder(database, report_timezone="America/New_York")
    books.conversions(
        paid(1, "10", "1", created=paid_at, payment__created=paid_at),
        cancellation(2, 1, "-10", "-1", created=taken_back_at),
        credit(3, "1"),
    )
    row = books.row(NAME, "days_after_payment", "order_month", "reversal_month")
    assert tuple(row.values()) == (1, FEBRUARY, MARCH)


def test_what_is_still_to_be_got_back_comes_first(books: WarehouseBuilder) -> None:
    at = {"payment__created": day(2)}
    books.conversions(
        *(paid(number, "10", "100", created=day(1), **at) for number in (1, 2, 3)),
        cancellation(11, 1, "-10", "-50", payment_status="PAID", payment_id="901", payment__created=day(30)),
        cancellation(12, 2, "-10", "-1"),
        cancellation(13, 3, "-10", "-2"),
    ).build(NAME)
    assert [row["subject"] for row in books.built(NAME, order="rowid")] == ["1", "13", "12", "11"]


def test_an_empty_account_has_nothing_to_get_back(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []
