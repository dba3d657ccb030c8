"""Clicks, conversion rate and earnings per click: what they count, and NULL where clicks are not known."""

from decimal import Decimal as D
from typing import Any

import pytest

from refersion_dagster_tests.summaries.builders import (
    WarehouseBuilder,
    affiliate,
    cancellation,
    click,
    credit,
    day,
    order,
)

COLUMNS = ("currency", "clicks", "conversion_rate", "epc")
BY = [("commission_by_affiliate", "affiliate_id"), ("commission_by_offer", "offer_id")]
UNKNOWN = (None, None, None)


def with_orders(books: WarehouseBuilder) -> WarehouseBuilder:
    """Two affiliates of one offer each; of the first, two orders that a click led to and what no click did."""
    of = {"offer__id": "10"}
    other = {"affiliate_id": "2", "offer__id": "20"}
    books.add("affiliates", affiliate(1), affiliate(2))
    books.add("offers", {"id": "10", "name": "Ten"}, {"id": "20", "name": "Twenty"})
    return books.conversions(
        order(2, "100", "10", **of),
        order(3, "50", "5", "PENDING", currency="EUR", **of),
        cancellation(4, 2, "-100", "-4", **of),
        order(5, "70", "7", type="CONVERSION_TRIGGER_COUPON", **of),
        order(6, "80", "8", is_recurring=True, **of),
        order(7, "90", "9", "DENIED", **of),
        order(8, "60", "6", created=day(1, 2), **of),  # before clicks are known
        credit(9, "3", **of),
        order(10, "20", "2", **other),
    )


def figures(books: WarehouseBuilder, table: str, key: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {
        (row[key], row["currency"]): tuple(row[name] for name in COLUMNS[1:])
        for row in books.rows(table, key, *COLUMNS)
    }


@pytest.mark.parametrize(("table", "key"), BY)
def test_they_count_what_clicks_led_to_since_clicks_are_known(books: WarehouseBuilder, table: str, key: str) -> None:
    gone = click(9, vanished_at=day(20))
    with_orders(books).add("clicks", *(click(number) for number in range(1, 9)), gone)
    first, second = ("1", "2") if key == "affiliate_id" else ("10", "20")
    # Two orders of eight clicks in all currencies; 10 less 4 of commission in USD, 5 in EUR.
    assert figures(books, table, key) == {
        (first, "USD"): (8, D("0.25"), D("0.75")),
        (first, "EUR"): (8, D("0.25"), D("0.625")),
        (second, "USD"): (0, None, None),
    }


@pytest.mark.parametrize(("table", "key"), BY)
@pytest.mark.parametrize("nobodys", [True, False], ids=["clicks that do not say whose", "no clicks"])
def test_where_clicks_are_not_known_there_is_no_figure(
    books: WarehouseBuilder, table: str, key: str, nobodys: bool
) -> None:
    with_orders(books)
    if nobodys:
        books.add("clicks", click(1, **{key: None}))
    assert set(figures(books, table, key).values()) == {UNKNOWN}


def test_of_an_affiliate_without_a_number_clicks_are_not_known(books: WarehouseBuilder) -> None:
    books.conversions(order(2, "100", "10", affiliate_id=None)).add("clicks", click(1))
    assert figures(books, "commission_by_affiliate", "affiliate_id") == {("(unknown)", "USD"): UNKNOWN}
