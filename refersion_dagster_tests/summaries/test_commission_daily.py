"""commission_daily: each day's figures, worked out by hand."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from refersion_dagster_tests.summaries.builders import D, WarehouseBuilder, cancellation, credit, day, order, paid

NAME = "commission_daily"


def figures(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_a_day_with_every_kind_of_row(books: WarehouseBuilder) -> None:
    """Read at noon of that very day."""
    noon = {"created": day(31), "read_at": day(31)}
    row = books.conversions(
        order(1, "100", "10", "PENDING", **noon),
        order(2, "80", "8", **noon),
        paid(3, "20", "2", affiliate_id="2", **noon),
        order(4, "80", "4", order_id="order-2", affiliate_id="3", **noon),
        order(5, "30", "3", "DENIED", **noon),
        order(6, "40", "4", "UNQUALIFIED", **noon),
        cancellation(7, 3, "-20", "-2", **noon),
        credit(8, "6", **noon),
        order(9, "9", "0.9", "ON_HOLD", **noon),
        order(10, "5000", "500", is_test_conversion=True, **noon),
    ).row(NAME)
    commission = {
        "commission": D("28"),  # 10 + 16 + 2
        "commission_pending": D("10"),
        "commission_due": D("16"),  # 8 + 4 - 2 + 6
        "commission_paid": D("2"),
        "commission_denied": D("3"),
        "commission_unqualified": D("4"),
        "commission_unknown": D("0.9"),
    }
    assert row == {
        "day": date(2025, 3, 31),
        "currency": "USD",
        "is_complete": False,
        "conversions": 9,
        "affiliates": 3,
        "orders": 3,  # 1, 2 (twice), 3
        "sales": D("200"),  # 100 + 80 + 20
        "net_sales": D("80"),  # 80 + 20 - 20
        "aov": D("66.6667"),  # 200 / 3
        "cancellations": 1,
        **{f"{name}_of_orders_made": amount for name, amount in commission.items()},
    }


def test_days_without_orders_are_zeros_from_each_currencys_first_day_to_the_last_reading(
    books: WarehouseBuilder,
) -> None:
    read = {"read_at": day(31, hour=1)}
    found = books.conversions(
        order(26, "10", "1", **read),
        order(28, "20.5", "2", **read),
        order(30, "3000", "300", currency="JPY", **read),
    ).rows(NAME)
    names = ("day", "currency", "orders", "sales", "is_complete")
    assert [figures(row, *names) for row in found] == [
        (date(2025, 3, 26), "USD", 1, D("10"), True),
        (date(2025, 3, 27), "USD", 0, D("0"), True),
        (date(2025, 3, 28), "USD", 1, D("20.5"), True),
        (date(2025, 3, 29), "USD", 0, D("0"), True),
        (date(2025, 3, 30), "JPY", 1, D("3000"), True),
        (date(2025, 3, 30), "USD", 0, D("0"), True),
        (date(2025, 3, 31), "JPY", 0, D("0"), False),
        (date(2025, 3, 31), "USD", 0, D("0"), False),
    ]
    empty = found[1]
    assert empty["aov"] is None
    assert all(empty[name] == 0 for name in empty if name.startswith("commission") or name in ("net_sales",))


def test_a_conversion_that_is_newer_than_the_reading_has_its_day_too(books: WarehouseBuilder) -> None:
    """A merchant's clock may be ahead."""
    found = books.conversions(order(30, "10", "1", read_at=day(29, hour=23))).rows(NAME, "day", "is_complete")
    assert [tuple(row.values()) for row in found] == [(date(2025, 3, 30), False)]


class TestDays:
    def test_are_those_of_the_reporting_time_zone(self, database: Path) -> None:
        """In New York the clock goes on on 9 March 2025: midnight is at 05:00 UTC before, at 04:00 UTC after."""
        moments = [
            datetime(2025, 3, 9, 4, 59, 59, tzinfo=UTC),  # 8 March 23:59:59
            datetime(2025, 3, 9, 5, 0, 0, tzinfo=UTC),  # 9 March 00:00:00
            datetime(2025, 3, 10, 3, 59, 59, tzinfo=UTC),  # 9 March 23:59:59
            datetime(2025, 3, 10, 4, 0, 0, tzinfo=UTC),  # 10 March 00:00:00
        ]
        books = WarehouseBuilder(database, report_timezone="America/New_York")
        found = books.conversions(
            *(order(at, "10", "1", created=moment, read_at=moments[-1]) for at, moment in enumerate(moments))
        ).rows(NAME, "day", "orders")
        assert [tuple(row.values()) for row in found] == [
            (date(2025, 3, 8), 1),
            (date(2025, 3, 9), 2),
            (date(2025, 3, 10), 1),
        ]

    def test_are_all_there_where_a_day_has_no_midnight(self, database: Path) -> None:
        """In Beirut the clock goes on at midnight: 30 March 2025 begins at 01:00."""
        books = WarehouseBuilder(database, report_timezone="Asia/Beirut")
        last = datetime(2025, 4, 2, 12, tzinfo=UTC)
        found = books.conversions(order(28, "10", "1", read_at=last)).rows(NAME, "day")
        assert [row["day"] for row in found] == [date(2025, 3, 28) + timedelta(days=at) for at in range(6)]

    def test_go_over_the_end_of_a_leap_february(self, books: WarehouseBuilder) -> None:
        found = books.conversions(
            order(1, "10", "1", created=datetime(2024, 2, 28, tzinfo=UTC), read_at=datetime(2024, 3, 1, tzinfo=UTC))
        ).rows(NAME, "day")
        assert [row["day"] for row in found] == [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]


def test_an_empty_account_has_no_row(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []


def test_the_last_day_comes_first(books: WarehouseBuilder) -> None:
    books.conversions(order(29, "10", "1", read_at=day(31))).build(NAME)
    shown = books.warehouse.query(f"SELECT day FROM refersion_summaries.{NAME}")
    assert [row[0].day for row in shown] == [31, 30, 29]
