"""commission_monthly: each month's figures and how they compare, worked out by hand."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from refersion_dagster_tests.summaries.builders import D, WarehouseBuilder, cancellation, credit, day, order, paid

NAME = "commission_monthly"


def figures(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def in_month(number: int, month: int, total: str, commission: str = "0", **more: Any) -> dict[str, Any]:
    """An order of the middle of a month of 2025; the account is read at noon of 1 April."""
    return order(number, total, commission, **{"created": day(15, month=month), **more})


def test_a_month_with_every_kind_of_row(books: WarehouseBuilder) -> None:
    march, april = books.conversions(
        order(1, "100", "10", "PENDING"),
        order(2, "80", "8"),
        paid(3, "20", "2", affiliate_id="2"),
        order(4, "80", "4", order_id="order-2", affiliate_id="3"),
        order(5, "30", "3", "DENIED", affiliate_id="4"),
        order(6, "40", "4", "UNQUALIFIED"),
        cancellation(7, 3, "-20", "-2"),
        credit(8, "6"),
        order(9, "9", "0.9", "ON_HOLD"),
        order(10, "5000", "500", is_test_conversion=True),
    ).rows(NAME)
    commission = {
        "commission": D("28"),  # 10 + 16 + 2
        "commission_pending": D("10"),
        "commission_due": D("16"),  # 8 + 4 - 2 + 6
        "commission_paid": D("2"),
        "commission_denied": D("3"),
        "commission_unqualified": D("4"),
        "commission_unknown": D("0.9"),
    }
    assert march == {
        "month": date(2025, 3, 1),
        "currency": "USD",
        "is_complete": True,
        "conversions": 9,
        "affiliates": 3,
        "new_affiliates": 3,
        "orders": 3,  # 1, 2 (twice), 3
        "sales": D("200"),  # 100 + 80 + 20
        "sales_change": None,
        "sales_change_rate": None,
        "net_sales": D("80"),  # 80 + 20 - 20
        "aov": D("66.6667"),  # 200 / 3
        "cancellations": 1,
        "commission_change": None,
        "commission_change_rate": None,
        **{f"{name}_of_orders_made": amount for name, amount in commission.items()},
    }
    # The month in which the account was read has not brought anything yet.
    assert figures(april, "month", "is_complete", "conversions", "sales", "aov") == (
        date(2025, 4, 1),
        False,
        0,
        D("0"),
        None,
    )


class TestChange:
    def test_is_against_the_month_before_in_the_same_currency(self, books: WarehouseBuilder) -> None:
        found = books.conversions(
            in_month(1, 1, "200", "20"),
            in_month(2, 2, "250", "15"),
            in_month(3, 3, "100", "15"),
            in_month(4, 2, "7000", "700", currency="JPY"),
            in_month(5, 3, "7000", "1400", currency="JPY"),
        ).rows(NAME, order="currency, month")
        names = ("sales_change", "sales_change_rate", "commission_change", "commission_change_rate")
        assert [(row["currency"], row["month"].month, *figures(row, *names)) for row in found] == [
            ("JPY", 2, None, None, None, None),
            ("JPY", 3, D("0"), D("0"), D("700"), D("1")),
            ("JPY", 4, None, None, None, None),
            ("USD", 1, None, None, None, None),
            ("USD", 2, D("50"), D("0.25"), D("-5"), D("-0.25")),
            ("USD", 3, D("-150"), D("-0.6"), D("0"), D("0")),
            ("USD", 4, None, None, None, None),  # not over: 0 so far would read as a loss of everything
        ]

    def test_over_a_month_without_sales_is_an_amount_without_a_rate(self, books: WarehouseBuilder) -> None:
        found = books.conversions(in_month(1, 1, "200", "20"), in_month(2, 3, "50", "5")).rows(NAME)
        names = ("sales", "sales_change", "sales_change_rate", "commission_change", "commission_change_rate")
        assert [figures(row, *names) for row in found[:3]] == [
            (D("200"), None, None, None, None),
            (D("0"), D("-200"), D("-1"), D("-20"), D("-1")),
            (D("50"), D("50"), None, D("5"), None),
        ]

    def test_of_commission_has_no_rate_after_a_month_below_zero(self, books: WarehouseBuilder) -> None:
        found = books.conversions(
            credit(1, "-10", created=day(15, month=2)),
            in_month(2, 3, "50", "5"),
        ).rows(NAME)
        assert figures(found[1], "commission_change", "commission_change_rate") == (D("15"), None)


class TestNewAffiliates:
    def test_are_those_whose_first_order_in_the_currency_it_was(self, books: WarehouseBuilder) -> None:
        found = books.conversions(
            in_month(1, 1, "10"),
            in_month(2, 2, "10", affiliate_id="2"),
            in_month(3, 2, "10"),
            in_month(4, 3, "10", affiliate_id="2"),
            in_month(5, 3, "10", affiliate_id="2", currency="EUR"),
        ).rows(NAME, order="currency, month")
        assert [figures(row, "currency", "affiliates", "new_affiliates") for row in found] == [
            ("EUR", 1, 1),
            ("EUR", 0, 0),
            ("USD", 1, 1),
            ("USD", 2, 1),
            ("USD", 1, 0),
            ("USD", 0, 0),
        ]

    def test_have_an_order_that_was_not_refused(self, books: WarehouseBuilder) -> None:
        found = books.conversions(
            in_month(1, 2, "10", status="DENIED"),
            credit(2, "5", created=day(20, month=2)),
            in_month(3, 3, "10", status="PENDING"),
        ).rows(NAME)
        assert [row["new_affiliates"] for row in found] == [0, 1, 0]


class TestMonths:
    def test_are_those_of_the_reporting_time_zone(self, database: Path) -> None:
        """In Berlin 1 March begins at 23:00 UTC, and 1 April, after the clock went on, at 22:00 UTC."""
        moments = ["2025-02-28T22:59:59", "2025-02-28T23:00:00", "2025-03-31T21:59:59", "2025-03-31T22:00:00"]
        books = WarehouseBuilder(database, report_timezone="Europe/Berlin")
        found = books.conversions(
            *(
                order(at, "10", "1", created=datetime.fromisoformat(moment).replace(tzinfo=UTC))
                for at, moment in enumerate(moments)
            )
        ).rows(NAME, "month", "orders", "is_complete")
        assert [tuple(row.values()) for row in found] == [
            (date(2025, 2, 1), 1, True),
            (date(2025, 3, 1), 2, True),
            (date(2025, 4, 1), 1, False),
        ]

    def test_go_on_over_the_end_of_a_year(self, books: WarehouseBuilder) -> None:
        found = books.conversions(
            order(1, "10", "1", created=datetime(2024, 11, 30, 23, 59, 59, tzinfo=UTC)), in_month(2, 1, "20")
        ).rows(NAME, "month", "orders")
        assert [(row["month"].month, row["orders"]) for row in found] == [
            (11, 1),
            (12, 0),
            (1, 1),
            (2, 0),
            (3, 0),
            (4, 0),
        ]


def test_an_empty_account_has_no_row(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []
