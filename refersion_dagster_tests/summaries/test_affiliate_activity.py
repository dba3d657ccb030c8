"""affiliate_activity, affiliate_trends and affiliate_activity_rates: who sells, worked out by hand."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from refersion_dagster_tests.summaries.builders import READ_AT, D, WarehouseBuilder, affiliate, credit, order

NAME = "affiliate_activity"
TRENDS = "affiliate_trends"
RATES = "affiliate_activity_rates"


def ago(days: int) -> datetime:
    """So many days before the account was read, at noon of 1 April 2025."""
    return READ_AT - timedelta(days=days)


def sold(number: int, whose: int, days_ago: int, total: str = "10", status: str = "APPROVED", **more: Any) -> Any:
    """An order of an affiliate, so many days ago."""
    return order(number, total, "1", status, created=ago(days_ago), affiliate_id=f"{whose}", **more)


def figures(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


class TestActivity:
    def test_is_one_word_for_each_affiliate(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", *(affiliate(number) for number in range(1, 8)))
        found = books.conversions(
            sold(1, 1, 40, "30"),
            sold(2, 1, 3, "31"),  # more than in the 28 days before
            sold(3, 2, 40, "30"),
            sold(4, 2, 3, "29"),
            sold(5, 3, 40, "30"),
            sold(6, 3, 3, "30"),
            sold(7, 4, 60),  # for the 60th day without an order
            sold(8, 5, 59),
            sold(9, 6, 3, status="DENIED"),
            credit(10, "5", affiliate_id="6"),
            sold(11, 8, 3, "0.01"),  # an affiliate that is in no list
        ).rows(NAME, "affiliate_id", "activity", "lapsed", "rising", "falling", "never_sold")
        assert [tuple(row.values()) for row in found] == [
            ("1", "rising", False, True, False, False),
            ("2", "falling", False, False, True, False),
            ("3", "selling", False, False, False, False),
            ("4", "lapsed", True, False, False, False),
            ("5", "selling", False, False, False, False),  # quiet in both spans, not lapsed yet
            ("6", "never sold", False, False, False, True),
            ("7", "never sold", False, False, False, True),
            ("8", "rising", False, True, False, False),
        ]

    def test_tells_who_it_is_and_when_they_sold(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1, name="Ann", email="ann@example.com"))
        row = books.conversions(
            sold(1, 1, 95),
            sold(2, 1, 29, status="PENDING"),
            sold(3, 1, 29, order_id="order-2", currency="EUR"),  # the same order credited twice
        ).row(NAME)
        assert row == {
            "affiliate_id": "1",
            "affiliate_name": "Ann",
            "affiliate_email": "ann@example.com",
            "status": "ACTIVE",
            "activity": "falling",  # 10 dollars 29 days ago, none in the 28 days since; the same in euros
            "active_30": True,
            "active_90": True,
            "lapsed": False,
            "rising": False,
            "falling": True,
            "rising_in": None,
            "falling_in": "EUR, USD",
            "never_sold": False,
            "orders": 2,
            "orders_30": 1,
            "first_order_day": date(2024, 12, 27),
            "last_order_day": date(2025, 3, 3),
            "days_since_last_order": 29,
        }

    def test_up_in_one_currency_and_down_in_another_is_neither_rising_nor_falling(
        self, books: WarehouseBuilder
    ) -> None:
        row = books.conversions(
            sold(1, 1, 3, "900"), sold(2, 1, 40, "1", currency="EUR"), sold(3, 1, 2, "9", currency="CHF")
        ).row(NAME)
        names = ("activity", "rising", "falling", "rising_in", "falling_in")
        assert figures(row, *names) == ("selling", False, False, "CHF, USD", "EUR")

    def test_active_are_active_affiliates_with_an_approved_order_of_30_or_90_days(
        self, books: WarehouseBuilder
    ) -> None:
        books.add(
            "affiliates",
            *(affiliate(number) for number in range(1, 6)),
            affiliate(6, status="DISABLED"),
            affiliate(7, status=None),
        )
        found = books.conversions(
            sold(1, 1, 29),
            sold(2, 2, 30),
            sold(3, 3, 89),
            sold(4, 4, 90),
            sold(5, 5, 1, status="PENDING"),
            sold(6, 6, 1),
            sold(7, 7, 1),
            sold(8, 8, 1),
        ).rows(NAME, "affiliate_id", "active_30", "active_90")
        assert [tuple(row.values()) for row in found] == [
            ("1", True, True),
            ("2", False, True),
            ("3", False, True),
            ("4", False, False),
            ("5", False, False),  # not approved yet
            ("6", False, False),  # may not sell any more
            ("7", False, False),
            ("8", False, False),
        ]

    def test_follows_the_settings_and_the_reporting_time_zone(self, database: Path) -> None:
        """Noon UTC of 1 April is 02:00 of 2 April in Kiritimati."""
        books = WarehouseBuilder(database, lapsed_days="10", report_timezone="Pacific/Kiritimati")
        found = books.conversions(
            sold(1, 1, 10) | {"created": ago(10) - timedelta(hours=3)},  # 22 March 23:00 there, 11 days before
            sold(2, 2, 10),  # 23 March 02:00
            sold(3, 3, 9),
        ).rows(NAME, "days_since_last_order", "lapsed")
        assert [tuple(row.values()) for row in found] == [(11, True), (10, True), (9, False)]

    def test_conversions_that_name_nobody_are_no_affiliate(self, books: WarehouseBuilder) -> None:
        books.conversions(order(1, "10", "1", affiliate_id=None))
        assert books.rows(NAME) == []
        assert [row["affiliate_id"] for row in books.rows(TRENDS)] == ["(unknown)"]

    def test_who_sells_most_now_comes_first(self, books: WarehouseBuilder) -> None:
        books.conversions(sold(1, 1, 40), sold(2, 1, 41), sold(3, 2, 3)).build(NAME)
        shown = books.warehouse.query(f"SELECT affiliate_id FROM refersion_summaries.{NAME}")
        assert shown == [("2",), ("1",)]


class TestTrends:
    def test_are_the_last_whole_days_against_as_many_before(self, books: WarehouseBuilder) -> None:
        """The day of the reading, 1 April, is left out; 4 to 31 March against 4 February to 3 March."""
        row = books.conversions(
            sold(1, 1, 0, "1"),
            sold(2, 1, 1, "2"),
            sold(3, 1, 28, "4"),
            sold(4, 1, 29, "8"),
            sold(5, 1, 56, "16"),
            sold(6, 1, 57, "32"),
            sold(7, 1, 2, "64", "DENIED"),
            sold(8, 1, 2, "128", "PENDING"),
        ).row(TRENDS)
        assert row == {
            "affiliate_id": "1",
            "affiliate_name": None,
            "currency": "USD",
            "sales": D("191"),  # everything but the denied 64
            "sales_recent": D("134"),  # 2 + 4 + 128
            "sales_before": D("24"),  # 8 + 16
            "sales_change": D("110"),
            "sales_change_rate": D("4.583333"),  # 110 / 24
            "trend": "rising",
            "recent_from": date(2025, 3, 4),
            "before_from": date(2025, 2, 4),
        }

    def test_are_told_in_words_for_each_currency(self, books: WarehouseBuilder) -> None:
        found = books.conversions(
            sold(1, 1, 3, "10", currency="CHF"),
            sold(2, 1, 40, "10", currency="EUR"),
            sold(3, 1, 3, "10", currency="GBP"),
            sold(4, 1, 40, "10", currency="GBP"),
            sold(5, 1, 70, "10", currency="JPY"),
        ).rows(TRENDS, "currency", "trend", "sales_change", "sales_change_rate")
        assert [tuple(row.values()) for row in found] == [
            ("CHF", "rising", D("10"), None),
            ("EUR", "falling", D("-10"), D("-1")),
            ("GBP", "steady", D("0"), D("0")),
            ("JPY", "quiet", D("0"), None),
        ]

    def test_are_as_long_as_the_setting_says(self, database: Path) -> None:
        books = WarehouseBuilder(database, rising_days="2")
        row = books.conversions(sold(1, 1, 2, "1"), sold(2, 1, 3, "2"), sold(3, 1, 4, "4"), sold(4, 1, 5, "8")).row(
            TRENDS, "sales_recent", "sales_before"
        )
        assert tuple(row.values()) == (D("1"), D("6"))


class TestRates:
    def test_are_over_all_active_affiliates(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", *(affiliate(number) for number in range(1, 7)), affiliate(7, status="PENDING"))
        row = books.conversions(
            sold(1, 1, 3),
            sold(2, 2, 40),
            sold(3, 3, 80),
            sold(4, 4, 100),
            sold(5, 5, 40),
            sold(6, 5, 3),
            sold(7, 8, 3),  # in no list, so not known to be ACTIVE
        ).row(RATES)
        assert row == {
            "today": date(2025, 4, 1),
            "affiliates": 8,
            "affiliates_active": 6,
            "active_30": 2,  # 1, 5
            "active_rate_30": D("0.333333"),
            "active_90": 4,  # 1, 2, 3, 5
            "active_rate_90": D("0.666667"),
            "rising": 1,  # 1
            "falling": 1,  # 2
            "selling": 1,  # 5
            "lapsed": 2,  # 3, 4
            "never_sold": 1,  # 6
        }

    def test_without_active_affiliates_are_not_told(self, books: WarehouseBuilder) -> None:
        row = books.add("affiliates", affiliate(1, status="DENIED")).row(RATES)
        assert figures(row, "affiliates", "affiliates_active", "active_30") == (1, 0, 0)
        assert figures(row, "active_rate_30", "active_rate_90") == (None, None)

    def test_before_the_first_load_there_is_no_row(self, books: WarehouseBuilder) -> None:
        assert books.rows(RATES) == []
