"""commission_by_offer: what an offer costs beside what it promises, worked out by hand."""

from collections.abc import Mapping
from typing import Any

from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    D,
    WarehouseBuilder,
    cancellation,
    credit,
    day,
    order,
    paid,
)

NAME = "commission_by_offer"
TEN = {"offer__id": "10", "offer__name": "Ten", "offer__type": "PERCENT_OF_SALE", "offer__amount": D("10")}
FLAT = {"offer__id": "5", "offer__name": "Flat five", "offer__type": "FLAT_RATE", "offer__amount": D("5")}


def offer(number: int, name: str, type_: str, commission: str) -> dict[str, Any]:
    return {"id": f"{number}", "name": name, "type": type_, "commission": D(commission), "read_at": READ_AT}


def figures(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_an_offer_with_every_kind_of_row(books: WarehouseBuilder) -> None:
    books.add("offers", offer(10, "Ten percent", "PERCENT_OF_SALE", "10"))
    row = books.conversions(
        order(1, "100", "10", "PENDING", **TEN),
        order(2, "80", "8", **TEN),
        paid(3, "20", "3", affiliate_id="2", **TEN),  # more than the offer promises
        order(4, "30", "3", "DENIED", affiliate_id="3", **TEN),
        order(5, "80", "4", "UNQUALIFIED", order_id="order-2", **TEN),
        cancellation(6, 3, "-20", "-3", affiliate_id="2", **TEN),
        credit(7, "6", **TEN),
        order(8, "9", "0.9", "ON_HOLD", **TEN),
        order(9, "5000", "500", is_test_conversion=True, **TEN),
    ).row(NAME)
    assert row == {
        "offer_id": "10",
        "offer_name": "Ten percent",
        "currency": "USD",
        "offer_type": "PERCENT_OF_SALE",
        "nominal_rate": D("0.1"),
        "nominal_rate_at_order": D("0.1"),
        "nominal_amount": None,
        "effective_commission_rate": D("0.1"),  # (8 + 3 - 3) / (80 + 20 - 20)
        "affiliates": 2,  # 1, 2; affiliate 3's order was denied
        "orders": 3,  # 1, 2, 3
        "sales": D("200"),  # 100 + 80 + 20
        "sales_share": D("1"),
        "cancellations": 1,
        "net_sales": D("80"),  # 80 + 20 - 20
        "aov": D("66.6667"),  # 200 / 3
        "commission": D("24"),  # 10 + 11 + 3
        "commission_pending": D("10"),
        "commission_due": D("11"),  # 8 - 3 + 6
        "commission_paid": D("3"),
        "commission_denied": D("3"),
        "commission_unqualified": D("4"),
        "commission_unknown": D("0.9"),
        "manual_credits": D("6"),
        "clicks": None,
        "conversion_rate": None,
        "epc": None,
        "conversions_pending": 1,
        "approval_rate": D("0.666667"),  # 2 / 3
        "approval_rate_by_value": D("0.785714"),  # (8 + 3) / (8 + 3 + 3)
        "quality_rate": D("0.5"),  # 2 / 4
    }


def test_currencies_are_never_added_up(books: WarehouseBuilder) -> None:
    found = books.conversions(
        order(1, "100", "10", **TEN),
        order(2, "2000", "200", **TEN, currency="JPY"),
        order(3, "300", "5", **FLAT),
    ).rows(NAME)
    assert [figures(row, "offer_id", "currency", "sales", "sales_share") for row in found] == [
        ("10", "JPY", D("2000"), D("1")),
        ("10", "USD", D("100"), D("0.25")),  # 100 / 400
        ("5", "USD", D("300"), D("0.75")),
    ]


class TestTerms:
    def test_that_changed_are_told_as_they_are_and_as_they_were(self, books: WarehouseBuilder) -> None:
        books.add("offers", offer(10, "Ten", "PERCENT_OF_SALE", "10"))
        row = books.conversions(
            order(1, "300", "45", **TEN | {"offer__amount": D("15")}),
            order(2, "100", "10", **TEN),
            order(3, "900", "9", "PENDING", **TEN | {"offer__amount": D("1")}),  # counts once it is approved
        ).row(NAME)
        # (300 x 15 + 100 x 10) / 400 = 13.75 %, which is what was paid: 55 / 400.
        names = ("nominal_rate", "nominal_rate_at_order", "effective_commission_rate")
        assert figures(row, *names) == (D("0.1"), D("0.1375"), D("0.1375"))

    def test_of_a_flat_rate_are_an_amount(self, books: WarehouseBuilder) -> None:
        books.add("offers", offer(5, "Flat five", "FLAT_RATE", "5"))
        row = books.conversions(order(1, "40", "5", **FLAT), order(2, "60", "5", **FLAT)).row(NAME)
        names = ("nominal_rate", "nominal_rate_at_order", "nominal_amount", "effective_commission_rate")
        assert figures(row, *names) == (None, None, D("5"), D("0.1"))  # 10 / 100

    def test_of_an_offer_that_is_gone_are_those_of_its_latest_conversion(self, books: WarehouseBuilder) -> None:
        row = books.conversions(
            order(1, "10", "1", **TEN | {"offer__name": "Old name", "offer__amount": D("20")}),
            order(2, "10", "1", **TEN | {"offer__amount": D("12.5")}),
            cancellation(3, 2, "-10", "-1"),  # names no offer
        ).row(NAME)
        names = ("offer_id", "offer_name", "offer_type", "nominal_rate")
        assert figures(row, *names) == ("10", "Ten", "PERCENT_OF_SALE", D("0.125"))

    def test_are_not_told_where_the_account_shows_none(self, books: WarehouseBuilder) -> None:
        row = books.conversions(order(1, "10", "1", offer__id="7")).row(NAME)
        names = ("offer_id", "offer_name", "offer_type", "nominal_rate", "nominal_rate_at_order", "nominal_amount")
        assert figures(row, *names) == ("7", None, None, None, None, None)
        assert row["effective_commission_rate"] == D("0.1")


class TestWhichOffer:
    def test_is_the_name_where_there_is_no_id_and_none_where_there_is_neither(self, books: WarehouseBuilder) -> None:
        found = books.conversions(order(1, "10", "1", offer__name="Ten"), order(2, "20", "2"), credit(3, "4")).rows(
            NAME
        )
        assert [figures(row, "offer_id", "offer_name", "sales", "commission") for row in found] == [
            ("(none)", None, D("20"), D("6")),
            ("Ten", "Ten", D("10"), D("1")),
        ]

    def test_of_a_cancellation_that_names_none_is_its_orders(self, books: WarehouseBuilder) -> None:
        found = books.conversions(
            order(1, "10", "1", **TEN),
            order(2, "10", "1", **FLAT),
            cancellation(3, 2, "-10", "-1"),
            cancellation(4, 99, "-7", "-1"),
        ).rows(NAME, "offer_id", "cancellations", "net_sales")
        assert [tuple(row.values()) for row in found] == [
            ("(none)", 1, D("-7")),
            ("10", 0, D("10")),
            ("5", 1, D("0")),
        ]


def test_offers_that_never_sold_and_empty_accounts_have_no_row(books: WarehouseBuilder) -> None:
    books.add("offers", offer(10, "Ten", "PERCENT_OF_SALE", "10"))
    assert books.rows(NAME) == []


def test_the_offer_that_sells_most_comes_first(books: WarehouseBuilder) -> None:
    books.conversions(order(1, "10", "1", **TEN), order(2, "90", "5", **FLAT, created=day(1))).build(NAME)
    assert books.warehouse.query(f"SELECT offer_id FROM refersion_summaries.{NAME}") == [("5",), ("10",)]
