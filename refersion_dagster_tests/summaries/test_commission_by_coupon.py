"""commission_by_coupon: what each coupon sold, worked out by hand."""

from collections.abc import Mapping
from typing import Any

from refersion_dagster_tests.summaries.builders import (
    D,
    WarehouseBuilder,
    affiliate,
    cancellation,
    credit,
    day,
    order,
    paid,
)

NAME = "commission_by_coupon"


def figures(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_a_coupon_with_every_kind_of_row(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1, name="Ann"))
    save = {"coupon_code": "SAVE10", "affiliate__name": "Ann as the row has it"}
    row = books.conversions(
        order(1, "100", "10", "PENDING", **save),
        order(2, "80", "8", **save),
        paid(3, "20.50", "2.05", **save),
        order(4, "30", "3", "DENIED", **save),
        order(5, "80", "4", "UNQUALIFIED", order_id="order-2", **save),
        cancellation(6, 3, "-20.50", "-2.05", **save),
        order(7, "9", "0.9", "ON_HOLD", **save),
    ).row(NAME)
    assert row == {
        "coupon_code": "SAVE10",
        "currency": "USD",
        "affiliates": 1,
        "affiliate_id": "1",
        "affiliate_name": "Ann",
        "orders": 3,  # 1, 2, 3
        "sales": D("200.50"),  # 100 + 80 + 20.50
        "sales_share": D("1"),
        "cancellations": 1,
        "net_sales": D("80"),  # 80 + 20.50 - 20.50
        "aov": D("66.8333"),  # 200.50 / 3
        "commission": D("18"),  # 10 + 5.95 + 2.05
        "commission_pending": D("10"),
        "commission_due": D("5.95"),  # 8 - 2.05
        "commission_paid": D("2.05"),
        "commission_denied": D("3"),
        "commission_unqualified": D("4"),
        "commission_unknown": D("0.9"),
        "effective_commission_rate": D("0.1"),  # 8 / 80
        "first_order_at": day(1),
        "last_order_at": day(3),
    }


def test_letter_case_and_blanks_make_no_other_coupon_and_currencies_do(books: WarehouseBuilder) -> None:
    found = books.conversions(
        order(1, "10", "1", coupon_code="Save10"),
        order(2, "30", "3", coupon_code=" SAVE10 "),
        order(3, "500", "50", coupon_code="save10", currency="JPY"),
    ).rows(NAME)
    assert [figures(row, "coupon_code", "currency", "sales") for row in found] == [
        ("SAVE10", "JPY", D("500")),
        ("SAVE10", "USD", D("40")),
    ]


def test_all_without_a_coupon_are_one_row_so_that_sums_are_preserved(books: WarehouseBuilder) -> None:
    found = books.conversions(
        order(1, "10", "1", coupon_code="A"),
        order(2, "30", "3", coupon_code=""),
        order(3, "20", "2", affiliate_id="2"),
        credit(4, "7"),
        order(5, "40", "4", coupon_code="(NONE)"),  # what somebody may call a coupon
    ).rows(NAME)
    names = ("coupon_code", "affiliates", "affiliate_id", "sales", "sales_share", "commission")
    assert [figures(row, *names) for row in found] == [
        ("(NONE)", 1, "1", D("40"), D("0.4"), D("4")),
        ("(none)", 2, None, D("50"), D("0.5"), D("12")),
        ("A", 1, "1", D("10"), D("0.1"), D("1")),
    ]


def test_a_coupon_of_several_affiliates_is_nobodys(books: WarehouseBuilder) -> None:
    row = books.conversions(
        order(1, "10", "1", coupon_code="A", affiliate__name="Ann"),
        order(2, "10", "1", "DENIED", coupon_code="A", affiliate_id="2", affiliate__name="Bo"),
    ).row(NAME)
    assert figures(row, "affiliates", "affiliate_id", "affiliate_name") == (2, None, None)


def test_the_affiliate_has_the_conversions_name_where_it_is_in_no_list(books: WarehouseBuilder) -> None:
    row = books.conversions(order(1, "10", "1", coupon_code="A", affiliate__name="Ann")).row(NAME)
    assert figures(row, "affiliate_id", "affiliate_name") == ("1", "Ann")


def test_a_cancellation_that_names_none_belongs_to_its_orders_coupon(books: WarehouseBuilder) -> None:
    found = books.conversions(
        order(1, "10", "1", coupon_code="A"),
        order(2, "10", "1"),
        cancellation(3, 1, "-10", "-1"),
        cancellation(4, 2, "-10", "-1"),
    ).rows(NAME, "coupon_code", "cancellations", "net_sales", "commission")
    assert [tuple(row.values()) for row in found] == [("(none)", 1, D("0"), D("0")), ("A", 1, D("0"), D("0"))]


def test_a_coupon_that_was_only_denied_has_a_row_without_sales(books: WarehouseBuilder) -> None:
    row = books.conversions(order(1, "10", "1", "DENIED", coupon_code="A")).row(NAME)
    names = ("orders", "sales", "sales_share", "aov", "effective_commission_rate", "first_order_at")
    assert figures(row, *names) == (0, D("0"), None, None, None, None)
    assert row["commission_denied"] == D("1")


def test_an_empty_account_has_no_row(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []
