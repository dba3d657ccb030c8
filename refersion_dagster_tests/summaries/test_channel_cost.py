"""channel_cost and channel_cost_total: what the channel costs and brings, worked out by hand."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from refersion_dagster_tests.summaries.hand_made import Books, D, cancellation, credit, day, order, paid

NAME = "channel_cost"
TOTAL = "channel_cost_total"


def figures(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_a_month_with_fee_and_subscription(database: Path) -> None:
    books = Books(database, platform_fee_percent="2.5", subscription="299")
    march, april = books.conversions(
        order(1, "1000", "100"),
        paid(2, "500", "50"),
        order(3, "200", "20", "PENDING"),
        cancellation(4, 2, "-500", "-50"),
        credit(5, "12"),
        credit(6, "30", status="PENDING"),
        order(7, "800", "80", "DENIED"),
        order(8, "900", "90", is_test_conversion=True),
    ).rows(NAME)
    assert march == {
        "currency": "USD",
        "month": date(2025, 3, 1),
        "is_complete": True,
        "sales": D("1700"),  # 1000 + 500 + 200
        "sales_pending": D("200"),
        "net_sales": D("1000"),  # 1000 + 500 - 500
        "commission": D("112"),  # 100 + 50 - 50 + 12
        "manual_credits": D("12"),
        "commission_pending": D("50"),  # 20 + 30
        "platform_fee": D("42.5"),  # 2.5 % of 1700
        "subscription": D("299"),
        "all_in_cost": D("453.5"),  # 112 + 42.5 + 299
        "all_in_cost_rate": D("0.4535"),  # 453.5 / 1000
        "roas": D("2.205072"),  # 1000 / 453.5
    }
    # The running month has cost its subscription and brought nothing yet.
    names = ("month", "is_complete", "net_sales", "all_in_cost", "all_in_cost_rate", "roas")
    assert figures(april, *names) == (date(2025, 4, 1), False, D("0"), D("299"), None, D("0"))
    assert books.row(TOTAL) == {
        "currency": "USD",
        "first_month": date(2025, 3, 1),
        "last_month": date(2025, 4, 1),
        "months": 2,
        "sales": D("1700"),
        "sales_pending": D("200"),
        "net_sales": D("1000"),
        "commission": D("112"),
        "manual_credits": D("12"),
        "commission_pending": D("50"),
        "platform_fee": D("42.5"),
        "subscription": D("598"),  # March and April
        "all_in_cost": D("752.5"),  # 112 + 42.5 + 598
        "all_in_cost_rate": D("0.7525"),
        "roas": D("1.328904"),  # 1000 / 752.5
    }


def test_each_currency_has_its_own_terms_and_every_month_its_subscription(database: Path) -> None:
    books = Books(database, platform_fee_percent="3", subscription="EUR=10,USD=99.90")
    found = books.conversions(
        order(1, "100", "10", created=day(15, month=1)),
        order(2, "200", "20", created=day(15, month=3)),
        order(3, "5000", "500", currency="JPY"),
        order(4, "50", "5", currency="EUR"),
    ).rows(NAME)
    names = ("currency", "sales", "platform_fee", "subscription", "all_in_cost")
    assert [(row["month"].month, *figures(row, *names)) for row in found] == [
        (3, "EUR", D("50"), D("1.5"), D("10"), D("16.5")),
        (4, "EUR", D("0"), D("0"), D("10"), D("10")),
        (3, "JPY", D("5000"), D("150"), D("0"), D("650")),
        (4, "JPY", D("0"), D("0"), D("0"), D("0")),
        (1, "USD", D("100"), D("3"), D("99.9"), D("112.9")),
        (2, "USD", D("0"), D("0"), D("99.9"), D("99.9")),
        (3, "USD", D("200"), D("6"), D("99.9"), D("125.9")),
        (4, "USD", D("0"), D("0"), D("99.9"), D("99.9")),
    ]
    # USD: 30 commission, 9 fee and 4 x 99.90 on 300 of sales.
    totals = books.rows(TOTAL, "currency", "months", "net_sales", "all_in_cost", "all_in_cost_rate")
    assert [tuple(row.values()) for row in totals] == [
        ("EUR", 2, D("50"), D("26.5"), D("0.53")),
        ("JPY", 2, D("5000"), D("650"), D("0.13")),
        ("USD", 4, D("300"), D("438.6"), D("1.462")),
    ]


def test_a_fee_is_rounded_half_up_to_four_decimals(database: Path) -> None:
    books = Books(database, platform_fee_percent="0.5")
    row = books.conversions(order(1, "0.01", "0"), order(2, "0.02", "0", currency="EUR")).rows(NAME, "platform_fee")
    # 0.0001 of 0.02; 0.00005 of 0.01, half up
    assert [found["platform_fee"] for found in row] == [D("0.0001"), D("0"), D("0.0001"), D("0")]


def test_by_default_the_cost_is_commission_alone(books: Books) -> None:
    row = books.conversions(order(1, "100", "10")).rows(NAME)[0]
    names = ("platform_fee", "subscription", "all_in_cost", "all_in_cost_rate", "roas")
    assert figures(row, *names) == (D("0"), D("0"), D("10"), D("0.1"), D("10"))


def test_a_month_of_cancellations_has_no_rate_and_one_without_cost_no_return(books: Books) -> None:
    found = books.conversions(
        cancellation(1, 9, "-50", "-5"),
        order(2, "100", "0", currency="EUR"),
    ).rows(NAME, "currency", "net_sales", "all_in_cost", "all_in_cost_rate", "roas")
    assert [tuple(row.values()) for row in found] == [
        ("EUR", D("100"), D("0"), D("0"), None),
        ("EUR", D("0"), D("0"), None, None),
        ("USD", D("-50"), D("-5"), None, None),
        ("USD", D("0"), D("0"), None, None),
    ]


def test_an_empty_account_has_no_row(books: Books) -> None:
    assert (books.rows(NAME), books.rows(TOTAL)) == ([], [])
