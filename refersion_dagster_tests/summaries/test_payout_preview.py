"""What would be paid now and what is held back, worked out by hand; why it is, test_commission_liability.py tells."""

from pathlib import Path

import pytest

from refersion_dagster_tests.summaries.builders import (
    D,
    WarehouseBuilder,
    affiliate,
    cancellation,
    credit,
    day,
    history,
    order,
    paid,
    payment,
)

NAME = "payout_preview"
NO_WAY = "no PayPal e-mail and no other way to be paid known"
SPLIT = ("affiliate_id", "currency", "due", "payable_now", "held_back", "block_reason", "missing_to_minimum")


def test_every_column_of_an_affiliate(database: Path) -> None:
    books = WarehouseBuilder(database, minimum_payout="50")
    books.add("affiliates", affiliate(1, status="DISABLED"))
    row = books.conversions(
        order(1, "400", "40", created=day(2)),
        order(2, "300", "30", created=day(12)),
        cancellation(3, 9, "-100", "-10", created=day(1)),
        order(4, "500", "500", "PENDING"),
        paid(5, "600", "600"),
        order(6, "700", "700", "DENIED"),
        order(7, "800", "800", is_test_conversion=True),
        order(8, "900", "900", vanished_at=day(30)),
    ).row(NAME)
    assert row == {
        "affiliate_id": "1",
        "affiliate_name": "Affiliate 1",
        "affiliate_email": "affiliate1@example.com",
        # Whether one who is not active is paid, is not decided here.
        "affiliate_status": "DISABLED",
        "currency": "USD",
        "conversions": 3,
        "due": D("60"),  # 40 + 30 - 10
        "payable_now": D("60"),
        "held_back": D("0"),
        "block_reason": None,
        "held_back_paid_before": D("0"),
        "payment_method": None,
        "not_known": None,
        "minimum_payout": D("50"),
        "missing_to_minimum": D("0"),
        "oldest_unpaid_days": 30,  # March 2 to April 1; what lowers the balance is left out
    }


def test_what_is_paid_and_what_is_held_back_is_all_that_is_due(database: Path) -> None:
    books = WarehouseBuilder(database, minimum_payout="USD=50,EUR=20.5")
    books.add("affiliates", affiliate(1), affiliate(2, paypal_email=None), affiliate(3), affiliate(4))
    rows = books.conversions(
        # 1 reaches the minimum in USD, not in EUR, and has none to reach in JPY.
        order(1, "10", "49.9999"),
        credit(2, "0.0001"),
        order(3, "10", "20.4999", currency="EUR"),
        order(4, "10", "1", currency="JPY"),
        # 2 has no PayPal e-mail.
        order(5, "10", "80", affiliate_id="2"),
        order(6, "10", "8", affiliate_id="2", currency="EUR"),
        # 3 was paid for what was cancelled then, and has 25 in another currency.
        paid(7, "10", "60", affiliate_id="3"),
        cancellation(8, 7, "-10", "-60", affiliate_id="3"),
        order(9, "10", "25", affiliate_id="3", currency="EUR"),
        # 4 comes to nothing.
        order(10, "10", "5", affiliate_id="4"),
        credit(11, "-5", affiliate_id="4"),
        # Refersion lists no 5, and nobody is named at all.
        order(12, "10", "70", affiliate_id="5"),
        order(13, "10", "90", affiliate_id=None),
    ).rows(NAME, *SPLIT)
    assert [tuple(row.values()) for row in rows] == [
        ("(unknown)", "USD", D("90"), D("0"), D("90"), "affiliate not listed by Refersion", D("0")),
        ("1", "EUR", D("20.4999"), D("0"), D("20.4999"), "below the minimum payout", D("0.0001")),
        ("1", "JPY", D("1"), D("1"), D("0"), None, D("0")),
        ("1", "USD", D("50"), D("50"), D("0"), None, D("0")),
        ("2", "EUR", D("8"), D("0"), D("8"), f"below the minimum payout; {NO_WAY}", D("12.5")),
        ("2", "USD", D("80"), D("0"), D("80"), NO_WAY, D("0")),
        ("3", "EUR", D("25"), D("25"), D("0"), None, D("0")),
        # 60 owed and 50 to the minimum.
        ("3", "USD", D("-60"), D("0"), D("-60"), "negative balance", D("110")),
        ("4", "USD", D("0"), D("0"), D("0"), "balance of zero", D("50")),
        ("5", "USD", D("70"), D("0"), D("70"), "affiliate not listed by Refersion", D("0")),
    ]
    assert all(row["payable_now"] + row["held_back"] == row["due"] for row in rows)


def test_without_a_minimum_everything_above_zero_is_paid(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1))
    row = books.conversions(order(1, "0.01", "0.0001")).row(NAME, *SPLIT)
    assert tuple(row.values()) == ("1", "USD", D("0.0001"), D("0.0001"), D("0"), None, D("0"))


def test_it_is_not_known_what_is_paid_where_the_account_shows_no_paypal_emails(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1, paypal_email=None), affiliate(2, paypal_email=None))
    books.add("payments", payment(900, "1", 1, affiliate__id="2", payment_method="MARK_AS_PAID"))
    books.add("payments", payment(901, "1", 1, affiliate__id="3", payment_method="PAYPAL"))
    rows = books.conversions(order(1, "10", "1"), order(2, "10", "2", affiliate_id="2")).rows(NAME, *SPLIT, "not_known")
    assert [(row["payable_now"], row["held_back"], row["not_known"]) for row in rows] == [
        (None, None, "PayPal e-mail not shown by Refersion"),
        (D("2"), D("0"), None),  # paid without PayPal
    ]


@pytest.mark.parametrize(
    ("pay_again", "payable", "because"),
    [
        ("", "100", "paid once before and taken back: 900, conversion:3"),
        ("900", "110", "paid once before and taken back: conversion:3"),
        ("conversion:3, 900", "115", None),
        ("conversion:1,90", "110", "paid once before and taken back: conversion:3"),
    ],
)
def test_what_was_paid_once_is_held_back_until_a_person_decides(
    database: Path, pay_again: str, payable: str, because: str | None
) -> None:
    books = WarehouseBuilder(database, minimum_payout="50", pay_again=pay_again)
    books.add("affiliates", affiliate(1))
    books.add("payments", payment(900, "10", 1))
    books.add(
        "conversion_history",
        history(1, day(20), "new", "APPROVED", payment_status="PAID", payment_id="900"),
        history(1, day(25), "changed", "APPROVED"),
        history(2, day(20), "new", "APPROVED"),
        # An account, or an older history, that names no payment.
        history(3, day(20), "new", "APPROVED", payment_status="PAID"),
        history(3, day(25), "changed", "APPROVED"),
    )
    row = books.conversions(order(1, "10", "10"), order(2, "10", "100"), order(3, "10", "5")).row(NAME)
    assert (row["due"], row["payable_now"], row["block_reason"]) == (D("115"), D(payable), because)
    assert row["held_back"] == row["held_back_paid_before"] == D("115") - D(payable)


def test_who_has_nothing_due_is_left_out(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1))
    rows = books.conversions(order(1, "10", "1", "PENDING"), paid(2, "10", "1", affiliate_id="2")).rows(NAME)
    assert rows == []


def test_an_age_is_not_made_up_where_the_affiliate_only_owes(books: WarehouseBuilder) -> None:
    row = books.conversions(cancellation(1, 9, "-10", "-1", created=day(1, 1))).row(NAME, "due", "oldest_unpaid_days")
    assert row == {"due": D("-1"), "oldest_unpaid_days": None}


def test_who_is_paid_the_most_comes_first(books: WarehouseBuilder) -> None:
    books.add("affiliates", *(affiliate(number) for number in (1, 2)))
    books.conversions(
        order(1, "10", "5"),
        order(2, "10", "9", affiliate_id="2"),
        order(3, "10", "70", affiliate_id="3"),
        cancellation(4, 9, "-10", "-1", affiliate_id="4"),
    ).build(NAME)
    assert [row["affiliate_id"] for row in books.built(NAME, order="rowid")] == ["2", "1", "3", "4"]


def test_an_empty_account_has_no_row(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []
