"""channel_cost and channel_cost_total: what the channel costs and brings, worked out by hand."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.settings import InvalidSetting
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster_tests.summaries.builders import D, WarehouseBuilder, cancellation, credit, day, order, paid

NAME = "channel_cost"
TOTAL = "channel_cost_total"


def figures(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_a_month_with_fee_and_subscription(database: Path) -> None:
    books = WarehouseBuilder(database, platform_fee_percent="2.5", subscription="299")
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
        "pending_share": D("0.117647"),  # 200 / 1700
        "approval_rate": D("0.652174"),  # 150 / 230
        "expected_net_sales": D("1130.4348"),  # 1000 + 200 x 0.652174
        "expected_all_in_cost": D("486.1087"),  # 453.5 + 50 x 0.652174
        "expected_all_in_cost_rate": D("0.430019"),
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
    books = WarehouseBuilder(database, platform_fee_percent="3", subscription="EUR=10,USD=99.90")
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


def test_a_fee_and_a_subscription_count_from_their_day_on(database: Path) -> None:
    books = WarehouseBuilder(
        database,
        platform_fee_percent="2; 2025-03-16: 3.5",
        subscription="USD=39; 2025-02-10: USD=199,EUR=20; 2025-04-01: 299",
    )
    found = books.conversions(
        order(1, "100", "10", created=day(15, month=1)),
        order(2, "200", "20", created=day(15, month=3)),
        order(3, "400", "40", created=day(16, month=3)),
        order(4, "50", "5", currency="EUR"),
    ).rows(NAME, "currency", "month", "platform_fee", "subscription")
    assert [(row["currency"], row["month"].month, row["platform_fee"], row["subscription"]) for row in found] == [
        ("EUR", 3, D("1"), D("20")),
        ("EUR", 4, D("0"), D("0")),
        ("USD", 1, D("2"), D("39")),
        ("USD", 2, D("0"), D("39")),
        ("USD", 3, D("18"), D("199")),  # 2 % of 200 and 3.5 % of 400
        ("USD", 4, D("0"), D("299")),
    ]


def test_before_the_first_day_there_is_no_fee(database: Path) -> None:
    books = WarehouseBuilder(database, platform_fee_percent="2025-03-02: 10", subscription="2025-03-01: 5")
    found = books.conversions(order(1, "100", "0"), order(2, "100", "0")).rows(NAME, "platform_fee", "subscription")
    assert found[0] == {"platform_fee": D("10"), "subscription": D("5")}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("3; 2026-13-01: 2", "2026-13-01 is not a date"),
        ("3; 2026-01-01: 2; 2025-01-01: 1", "later ones with the date"),
        ("3; 2", "later ones with the date"),
        ("3; 2026-01-01: two", "a number of 0 or more"),
        ("", "a number of 0 or more"),
    ],
)
def test_a_fee_that_cannot_be_dated_is_refused(given: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=f"REFERSION_PLATFORM_FEE_PERCENT is .*{said}"):
        ReportSettings(platform_fee_percent=given).parameters()


def test_a_month_with_little_pending_has_no_expected_cost(books: WarehouseBuilder) -> None:
    names = (
        "pending_share",
        "approval_rate",
        "expected_net_sales",
        "expected_all_in_cost",
        "expected_all_in_cost_rate",
    )
    row = books.conversions(order(1, "90", "9"), order(2, "10", "1", "PENDING")).rows(NAME)[0]
    assert figures(row, *names) == (D("0.1"), D("1"), None, None, None)


def test_before_anything_was_decided_nothing_is_expected(books: WarehouseBuilder) -> None:
    names = (
        "pending_share",
        "approval_rate",
        "expected_net_sales",
        "expected_all_in_cost",
        "expected_all_in_cost_rate",
    )
    row = books.conversions(order(1, "90", "9", "PENDING")).rows(NAME)[0]
    assert figures(row, *names) == (D("1"), None, None, None, None)


def test_a_fee_is_rounded_half_up_to_four_decimals(database: Path) -> None:
    books = WarehouseBuilder(database, platform_fee_percent="0.5")
    row = books.conversions(order(1, "0.01", "0"), order(2, "0.02", "0", currency="EUR")).rows(NAME, "platform_fee")
    # 0.0001 of 0.02; 0.00005 of 0.01, half up
    assert [found["platform_fee"] for found in row] == [D("0.0001"), D("0"), D("0.0001"), D("0")]


def test_by_default_the_cost_is_commission_alone(books: WarehouseBuilder) -> None:
    row = books.conversions(order(1, "100", "10")).rows(NAME)[0]
    names = ("platform_fee", "subscription", "all_in_cost", "all_in_cost_rate", "roas")
    assert figures(row, *names) == (D("0"), D("0"), D("10"), D("0.1"), D("10"))


def test_a_month_of_cancellations_has_no_rate_and_one_without_cost_no_return(books: WarehouseBuilder) -> None:
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


def test_an_empty_account_has_no_row(books: WarehouseBuilder) -> None:
    assert (books.rows(NAME), books.rows(TOTAL)) == ([], [])
