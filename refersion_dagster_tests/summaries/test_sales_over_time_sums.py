"""Sales by day, month and cohort: whatever the rows, sums and figures are what the definitions make of them."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from refersion_dagster_tests.summaries.builders import READ_AT, Row, WarehouseBuilder, affiliate
from refersion_dagster_tests.summaries.definitions import (
    APPROVED,
    CONVERSIONS,
    FOUND_AS_IT_IS,
    LISTED,
    SOLD,
    Figures,
    added_up,
    affiliate_of,
    assert_sums_are_preserved,
    counted,
    counts,
    is_net,
    is_sale,
    local,
    start_again,
    state,
)

NAMES = ("commission_daily", "commission_monthly", "affiliate_cohorts", "channel_cost", "channel_cost_total")
# A zone without summer time, so that local times are easily reckoned.
ZONE, HOURS = "Asia/Tokyo", 9
TODAY = local(READ_AT, HOURS).date()


@pytest.fixture(scope="module")
def books(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseBuilder]:
    database = Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("any")))
    books = WarehouseBuilder(database, report_timezone=ZONE, platform_fee_percent="2.5", subscription="99")
    books.add("affiliates", *(affiliate(int(number), email=email) for email, number in LISTED.items()))
    with books.warehouse.write_lock(print):
        yield books


def day(row: Row) -> date:
    return local(row["created"], HOURS).date()


def month(row: Row) -> date:
    return day(row).replace(day=1)


def non_zero(rows: list[dict[str, Any]], column: str, *by: str) -> Figures:
    return {tuple(row[name] for name in by): row[column] for row in rows if row[column]}


@pytest.mark.exhaustive
@given(conversions=CONVERSIONS)
@settings(max_examples=20, phases=FOUND_AS_IT_IS, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_rows(books: WarehouseBuilder, conversions: list[dict[str, Any]]) -> None:
    start_again(books, conversions)
    books.build(*NAMES)
    assert_sums_are_preserved(books, NAMES, conversions)
    assert_days_are_as_defined(books, conversions)
    assert_months_are_as_defined(books, conversions)
    assert_cohorts_are_as_defined(books, conversions)
    assert_costs_are_as_defined(books, conversions)


def assert_days_are_as_defined(books: WarehouseBuilder, conversions: list[dict[str, Any]]) -> None:
    days = books.built("commission_daily")
    for currency in {row["currency"] for row in filter(counts, conversions)}:
        booked = [day(row) for row in conversions if counts(row) and row["currency"] == currency]
        found = [row["day"] for row in days if row["currency"] == currency]
        assert found == [date.fromordinal(at) for at in range(min(booked).toordinal(), TODAY.toordinal() + 1)]
    assert len({row["currency"] for row in days}) == len({row["currency"] for row in filter(counts, conversions)})
    ids = counted(conversions, LISTED, of_affiliate=False)
    sales = added_up(conversions, lambda row: row["total"] if is_sale(row) and row["id"] in ids else Decimal(0), of_day)
    assert non_zero(days, "sales", "day", "currency") == sales
    orders = added_up(conversions, lambda row: Decimal(is_sale(row) and row["id"] in ids), of_day)
    assert non_zero(days, "orders", "day", "currency") == orders


def of_day(row: Row) -> tuple[date, str]:
    return day(row), row["currency"]


def of_month(row: Row) -> tuple[date, str]:
    return month(row), row["currency"]


def assert_months_are_as_defined(books: WarehouseBuilder, conversions: list[dict[str, Any]]) -> None:
    months = books.built("commission_monthly")
    ids = counted(conversions, LISTED, of_affiliate=False)
    net = added_up(conversions, lambda row: row["total"] if is_net(row) and row["id"] in ids else Decimal(0), of_month)
    assert non_zero(months, "net_sales", "month", "currency") == net
    commission = added_up(
        conversions, lambda row: row["commission_total"] if state(row) in SOLD else Decimal(0), of_month
    )
    assert non_zero(months, "commission_of_orders_made", "month", "currency") == commission
    # Each change is the difference of two rows of the table; the changes lead from the first month to the last.
    for currency in {row["currency"] for row in months}:
        over = [row for row in months if row["currency"] == currency and row["is_complete"]]
        changes = sum((row["sales_change"] for row in over[1:]), Decimal(0))
        assert not over or changes == over[-1]["sales"] - over[0]["sales"]


def assert_cohorts_are_as_defined(books: WarehouseBuilder, conversions: list[dict[str, Any]]) -> None:
    first: dict[tuple[str, str], date] = {}
    for row in filter(is_sale, filter(counts, conversions)):
        key = (row["currency"], affiliate_of(row, LISTED))
        first[key] = min(month(row), first.get(key, month(row)))
    sizes: dict[tuple[str, date], int] = defaultdict(int)
    for (currency, _), began in first.items():
        sizes[currency, began] += 1
    cohorts = books.built("affiliate_cohorts")
    assert {(row["currency"], row["cohort_month"]): row["affiliates"] for row in cohorts} == sizes
    earned: Figures = defaultdict(Decimal)
    for row in conversions:
        key = (row["currency"], affiliate_of(row, LISTED))
        if counts(row) and state(row) in SOLD and key in first:
            earned[row["currency"], first[key]] += row["commission_total"]
    last = {(row["currency"], row["cohort_month"]): row["cumulative_commission"] for row in cohorts}
    assert last == {key: earned[key] for key in sizes}


def assert_costs_are_as_defined(books: WarehouseBuilder, conversions: list[dict[str, Any]]) -> None:
    costs = books.built("channel_cost")
    commission = added_up(
        conversions, lambda row: row["commission_total"] if state(row) in APPROVED else Decimal(0), of_month
    )
    assert non_zero(costs, "commission", "month", "currency") == commission
    for row in costs:
        fee = (row["sales"] * Decimal("0.025")).quantize(Decimal("0.0001"), ROUND_HALF_UP)
        assert row["platform_fee"] == fee
        assert row["all_in_cost"] == row["commission"] + fee + row["subscription"]
    for total in books.built("channel_cost_total"):
        months = [row for row in costs if row["currency"] == total["currency"]]
        for column in ("sales", "net_sales", "commission", "platform_fee", "subscription", "all_in_cost"):
            assert total[column] == sum(row[column] for row in months)
        assert total["months"] == len(months)
