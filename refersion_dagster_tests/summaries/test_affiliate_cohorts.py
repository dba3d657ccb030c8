"""affiliate_cohorts: what affiliates sell in the months after their first sale, worked out by hand."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from refersion_dagster_tests.summaries.builders import D, WarehouseBuilder, cancellation, credit, day, order

NAME = "affiliate_cohorts"


def sold(number: int, whose: int, month: int, total: str, commission: str = "0", **more: Any) -> dict[str, Any]:
    """An order of an affiliate in the middle of a month of 2025; the account is read at noon of 1 April."""
    named = {"created": day(15, month=month), "affiliate_id": f"{whose}", **more}
    return order(number, total, commission, **named)


def figures(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_two_cohorts_over_three_months(books: WarehouseBuilder) -> None:
    found = books.conversions(
        sold(1, 1, 1, "100", "10"),
        sold(2, 2, 1, "50", "5", status="PENDING"),
        sold(3, 3, 1, "51", "6"),
        sold(4, 1, 2, "40", "4"),
        sold(5, 1, 2, "30", "3"),
        cancellation(6, 2, "-50", "-5", created=day(20, month=2), affiliate_id="2"),
        sold(7, 4, 2, "80", "8"),
        sold(8, 2, 3, "60", "6"),
        credit(9, "7.5", created=day(20), affiliate_id="3"),
        sold(10, 4, 3, "9", "0.9", status="DENIED"),
    ).rows(NAME)
    names = (
        *("months_since", "is_complete", "affiliates", "affiliates_active", "active_share", "sales"),
        *("sales_per_affiliate", "cumulative_sales_per_affiliate", "commission", "cumulative_commission"),
    )
    january = [figures(row, *names) for row in found if row["cohort_month"] == date(2025, 1, 1)]
    assert january == [
        # 1, 2, 3 sold 201 in January: 67 each
        (0, True, 3, 3, D("1"), D("201"), D("67"), D("67"), D("21"), D("21")),
        # 1 sold twice; 2's cancellation is no sale, but takes 5 off the commission: 4 + 3 - 5
        (1, True, 3, 1, D("0.333333"), D("70"), D("23.3333"), D("90.3333"), D("2"), D("23")),
        # 2 sold 60; 3 got a credit: 6 + 7.5
        (2, True, 3, 1, D("0.333333"), D("60"), D("20"), D("110.3333"), D("13.5"), D("36.5")),
        (3, False, 3, 0, D("0"), D("0"), D("0"), D("110.3333"), D("0"), D("36.5")),
    ]
    february = [figures(row, *names) for row in found if row["cohort_month"] == date(2025, 2, 1)]
    assert february == [
        (0, True, 1, 1, D("1"), D("80"), D("80"), D("80"), D("8"), D("8")),
        (1, True, 1, 0, D("0"), D("0"), D("0"), D("80"), D("0"), D("8")),
        (2, False, 1, 0, D("0"), D("0"), D("0"), D("80"), D("0"), D("8")),
    ]
    assert [row["month"].month for row in found] == [1, 2, 3, 4, 2, 3, 4]
    assert {row["currency"] for row in found} == {"USD"}


def test_currencies_have_cohorts_of_their_own(books: WarehouseBuilder) -> None:
    found = books.conversions(
        sold(1, 1, 2, "100"), sold(2, 1, 3, "7000", currency="JPY"), sold(3, 2, 3, "3000", currency="JPY")
    ).rows(NAME)
    names = ("currency", "cohort_month", "months_since", "affiliates", "sales")
    assert [figures(row, *names) for row in found] == [
        ("JPY", date(2025, 3, 1), 0, 2, D("10000")),
        ("JPY", date(2025, 3, 1), 1, 2, D("0")),
        ("USD", date(2025, 2, 1), 0, 1, D("100")),
        ("USD", date(2025, 2, 1), 1, 1, D("0")),
        ("USD", date(2025, 2, 1), 2, 1, D("0")),
    ]


def test_a_refused_order_or_a_credit_is_no_first_sale_and_a_credit_before_it_counts_in_its_month(
    books: WarehouseBuilder,
) -> None:
    found = books.conversions(
        sold(1, 1, 1, "10", "1", status="DENIED"),
        credit(2, "25", created=day(20, month=1)),
        sold(3, 1, 3, "40", "4"),
        credit(4, "99", affiliate_id="2"),  # never sold
    ).rows(NAME)
    names = ("cohort_month", "months_since", "commission", "cumulative_commission")
    assert [figures(row, *names) for row in found] == [
        (date(2025, 3, 1), 0, D("29"), D("29")),  # 25 + 4
        (date(2025, 3, 1), 1, D("0"), D("29")),
    ]


def test_months_are_counted_over_the_end_of_a_year_in_the_reporting_time_zone(database: Path) -> None:
    """23:30 UTC of 30 November 2023 is in December in Berlin."""
    books = WarehouseBuilder(database, report_timezone="Europe/Berlin")
    moment = datetime(2023, 11, 30, 23, 30, tzinfo=UTC)
    found = books.conversions(order(1, "10", "1", created=moment)).rows(NAME, "cohort_month", "months_since", "month")
    assert [row["months_since"] for row in found] == list(range(17))  # December 2023 to April 2025
    assert figures(found[0], "cohort_month", "month") == (date(2023, 12, 1), date(2023, 12, 1))
    assert found[16]["month"] == date(2025, 4, 1)


def test_each_cohort_is_as_large_as_commission_monthlys_new_affiliates(books: WarehouseBuilder) -> None:
    books.conversions(
        sold(1, 1, 1, "10"),
        sold(2, 2, 1, "10", currency="EUR"),
        sold(3, 2, 2, "10"),
        sold(4, 3, 2, "10"),
        order(5, "10", "1", affiliate_id=None),
    )
    cohorts = {
        (row["cohort_month"], row["currency"]): row["affiliates"] for row in books.rows(NAME) if not row["months_since"]
    }
    months = {(row["month"], row["currency"]): row["new_affiliates"] for row in books.rows("commission_monthly")}
    assert cohorts == {key: count for key, count in months.items() if count}
    assert cohorts[date(2025, 2, 1), "USD"] == 2


def test_an_empty_account_has_no_row(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []
