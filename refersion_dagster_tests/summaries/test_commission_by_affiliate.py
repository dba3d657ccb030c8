"""commission_by_affiliate: each figure worked out by hand."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    D,
    WarehouseBuilder,
    affiliate,
    cancellation,
    credit,
    day,
    order,
    paid,
    summary_of,
)

NAME = "commission_by_affiliate"


def rows(books: WarehouseBuilder, *conversions: Mapping[str, Any]) -> list[dict[str, Any]]:
    return books.conversions(*conversions).rows(NAME)


def one(books: WarehouseBuilder, *conversions: Mapping[str, Any]) -> dict[str, Any]:
    return books.conversions(*conversions).row(NAME)


def figures(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


class TestByHand:
    def test_one_affiliate_with_every_kind_of_row(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1, name="Ann Ånæ", email="ann@example.com"))
        row = one(
            books,
            order(1, "100.00", "10.00", "PENDING"),
            order(2, "50.00", "5.00", "PENDING"),
            order(3, "80.10", "8.01"),
            paid(4, "200.00", "20.00"),
            paid(5, "60.00", "6.00"),
            order(6, "999.00", "99.90", "DENIED"),
            # The second conversion on an order that counts already does not count.
            order(7, "100.00", "10.00", "UNQUALIFIED", order_id="order-1"),
            # Order 5 is cancelled after it was paid: 6.00 come off what is owed next.
            cancellation(8, 5, "-60.00", "-6.00"),
            credit(9, "25.00"),
            credit(10, "-4.50"),
            order(11, "5000.00", "500.00", is_test_conversion=True),
            order(12, "7.00", "0.70", "ON_HOLD"),
        )
        assert row == {
            "affiliate_id": "1",
            "affiliate_name": "Ann Ånæ",
            "affiliate_email": "ann@example.com",
            "currency": "USD",
            "sales_rank": 1,
            "commission_rank": 1,
            "orders": 5,  # 1, 2, 3, 4, 5
            "sales": D("490.10"),  # 100 + 50 + 80.10 + 200 + 60
            "sales_share": D("1"),
            "sales_pending": D("150.00"),  # 100 + 50
            "cancellations": 1,
            "cancelled_sales": D("-60.00"),
            "net_sales": D("280.10"),  # 80.10 + 200 + 60 - 60
            "aov": D("98.02"),  # 490.10 / 5
            "commission": D("63.51"),  # 15.00 pending + 22.51 due + 26.00 paid
            "commission_share": D("1"),
            "commission_pending": D("15.00"),  # 10 + 5
            "commission_due": D("22.51"),  # 8.01 - 6.00 + 25.00 - 4.50
            "commission_paid": D("26.00"),  # 20 + 6
            "commission_denied": D("99.90"),
            "commission_unqualified": D("10.00"),
            "commission_unknown": D("0.70"),
            "manual_credits": D("20.50"),  # 25.00 - 4.50
            "effective_commission_rate": D("0.100000"),  # (8.01 + 20 + 6 - 6) / 280.10 = 28.01 / 280.10
            "conversions_pending": 2,
            "conversions_approved": 3,  # 3, 4, 5
            "conversions_denied": 1,  # 6
            "conversions_unqualified": 1,  # 7
            "approval_rate": D("0.750000"),  # 3 / 4
            "approval_rate_by_value": D("0.253977"),  # 34.01 / (34.01 + 99.90) = 34.01 / 133.91
            "quality_rate": D("0.600000"),  # 3 / 5
            "clicks": None,
            "conversion_rate": None,
            "epc": None,
            "first_order_at": day(1),
            "last_order_at": day(5),
        }

    def test_currencies_are_never_added_up(self, books: WarehouseBuilder) -> None:
        found = rows(
            books,
            order(1, "100.00", "10.00"),
            order(2, "70.00", "7.00", currency="EUR"),
            order(3, "30.00", "3.00", "PENDING", currency="EUR"),
            paid(4, "15.00", "1.50", affiliate_id="2", currency="EUR"),
        )
        names = ("affiliate_id", "currency", "orders", "sales", "commission_pending", "commission_due")
        assert [figures(row, *names, "commission_paid", "aov") for row in found] == [
            ("1", "EUR", 2, D("100"), D("3"), D("7"), D("0"), D("50")),
            ("1", "USD", 1, D("100"), D("0"), D("10"), D("0"), D("100")),
            ("2", "EUR", 1, D("15"), D("0"), D("0"), D("1.5"), D("15")),
        ]


class TestOrders:
    def test_duplicates_on_one_order_id_are_one_order(self, books: WarehouseBuilder) -> None:
        """A link and a coupon both credited: both are sales rows of Refersion, on one purchase."""
        row = one(
            books,
            order(1, "40.00", "4.00", order_id="A"),
            order(2, "40.00", "2.00", order_id="A", type="CONVERSION_TRIGGER_COUPON"),
            order(3, "10.00", "1.00", order_id="B"),
        )
        assert figures(row, "orders", "sales", "aov", "commission_due") == (2, D("50"), D("25"), D("7"))

    def test_orders_without_an_order_id_are_one_each(self, books: WarehouseBuilder) -> None:
        row = one(books, order(1, "10", "1", order_id=None), order(2, "20", "2", order_id=None))
        assert figures(row, "orders", "aov") == (2, D("15"))

    def test_denied_and_unqualified_ones_are_no_sales(self, books: WarehouseBuilder) -> None:
        row = one(books, order(1, "10", "1", "DENIED"), order(2, "20", "2", "UNQUALIFIED"))
        assert figures(row, "orders", "sales", "aov", "first_order_at", "last_order_at") == (
            0,
            D("0"),
            None,
            None,
            None,
        )
        assert figures(row, "commission_denied", "commission_unqualified") == (D("1"), D("2"))

    def test_a_cancellation_is_none_and_leaves_gross_sales_as_they_were(self, books: WarehouseBuilder) -> None:
        row = one(books, order(1, "10", "1"), cancellation(2, 1, "-10", "-1"))
        assert figures(row, "orders", "sales", "commission_due", "last_order_at") == (1, D("10"), D("0"), day(1))

    def test_the_type_decides_even_where_the_total_is_positive(self, books: WarehouseBuilder) -> None:
        kinds = ("CANCELLATION_CONVERSION_TRIGGER_COUPON", "MANUAL_CREDIT_BY_CLIENT")
        found = rows(books, *(order(at, "10", "1", type=kind, affiliate_id=kind) for at, kind in enumerate(kinds, 1)))
        names = ("affiliate_id", "orders", "sales", "commission_due")
        orders = [(0, D("0")), (1, D("10"))]  # a manual credit with a total is a sale credited by hand
        assert {row["affiliate_id"]: figures(row, *names[1:]) for row in found} == {
            kind: (*sold, D("1")) for kind, sold in zip(kinds, orders, strict=True)
        }

    def test_a_type_that_only_looks_like_a_cancellation_is_an_order(self, books: WarehouseBuilder) -> None:
        row = one(books, order(1, "10", "1", type="CANCELLATIONXFEE"), order(2, "10", "1", type=None))
        assert row["orders"] == 2

    def test_manual_credits_alone_are_commission_without_orders(self, books: WarehouseBuilder) -> None:
        row = one(books, credit(1, "12.50"), credit(2, "-20.00"), credit(3, "1.00", status="PENDING"))
        assert figures(row, "orders", "sales", "aov", "manual_credits") == (0, D("0"), None, D("-6.50"))
        assert figures(row, "commission_due", "commission_pending") == (D("-7.50"), D("1.00"))

    def test_neither_tests_nor_rows_that_vanished_count(self, books: WarehouseBuilder) -> None:
        row = one(
            books,
            order(1, "10", "1"),
            order(2, "20", "2", is_test_conversion=True),
            order(3, "40", "4", vanished_at=READ_AT),
        )
        assert figures(row, "orders", "sales", "commission_due") == (1, D("10"), D("1"))


class TestNetSales:
    def test_are_approved_orders_less_approved_cancellations(self, books: WarehouseBuilder) -> None:
        row = one(
            books,
            order(1, "100", "10"),
            order(2, "50", "5", "PENDING"),
            order(3, "25", "2.5", "DENIED"),
            cancellation(4, 1, "-100", "-10"),
            cancellation(5, 2, "-50", "-5", status="PENDING"),
            credit(6, "7"),
        )
        # 100 - 100; the pending order and its pending cancellation are not in yet.
        assert figures(row, "sales", "sales_pending", "cancellations", "cancelled_sales", "net_sales") == (
            D("150"),
            D("50"),
            1,
            D("-100"),
            D("0"),
        )
        assert row["effective_commission_rate"] is None

    def test_a_manual_credits_own_total_is_none(self, books: WarehouseBuilder) -> None:
        row = one(books, order(1, "100", "10"), credit(2, "5") | {"total": D("40")})
        assert figures(row, "net_sales", "sales", "effective_commission_rate") == (D("100"), D("100"), D("0.1"))


class TestPaid:
    def test_by_the_status_or_by_a_payment_on_the_row_and_not_without_any(self, books: WarehouseBuilder) -> None:
        """Accounts differ in which of these they offer."""
        signs = (
            {"payment_status": "PAID"},
            {"payment_id": "900"},
            {"payment__id": "900"},
            {"payment__created": day(30)},
        )
        found = rows(
            books,
            *(
                order(at, "10", "1", affiliate_id=f"{at}") | {"payment_status": None} | sign
                for at, sign in enumerate((*signs, {}), 1)
            ),
        )
        assert [figures(row, "commission_due", "commission_paid") for row in found] == [
            *[(D("0"), D("1"))] * 4,
            (D("1"), D("0")),
        ]

    def test_a_cancellation_before_payment_takes_the_order_out_of_what_is_due(self, books: WarehouseBuilder) -> None:
        row = one(books, order(1, "10", "1"), cancellation(2, 1, "-10", "-1"))
        assert figures(row, "commission_due", "commission_paid") == (D("0"), D("0"))

    def test_a_cancellation_after_payment_leaves_the_affiliate_owing(self, books: WarehouseBuilder) -> None:
        row = one(books, paid(1, "10", "1"), cancellation(2, 1, "-10", "-1"))
        assert figures(row, "commission_due", "commission_paid") == (D("-1"), D("1"))


class TestAverageOrderValue:
    def test_is_rounded_half_up_to_four_decimals(self, books: WarehouseBuilder) -> None:
        cases: list[tuple[tuple[str, ...], str]] = [
            (("10.00", "10.00", "10.01"), "10.0033"),  # 30.01 / 3 = 10.00333…
            (("0.01", "0.01", "0.03"), "0.0167"),  # 0.05 / 3 = 0.01666…
            (("0.0001", "0.0002"), "0.0002"),  # 0.00015, half up
            (("99999999.99", "0.02"), "50000000.0050"),  # 100000000.01 / 2
            (("900719925474.0993",), "900719925474.0993"),  # more digits than binary floating point holds
            (("900719925474.0991", "0.0002", "0.0002"), "300239975158.0332"),  # 900719925474.0995 / 3 = ….03316…
            (("1234", "1235"), "1234.5"),  # whole amounts, as yen are
        ]
        found = rows(
            books,
            *(
                order(at * 3 + number, total, "0", affiliate_id=f"{at}", created=day(1))
                for at, (totals, _) in enumerate(cases)
                for number, total in enumerate(totals)
            ),
        )
        assert [row["aov"] for row in found] == [D(average) for _, average in cases]


class TestRanks:
    def test_are_within_a_currency_and_equal_figures_share_a_place(self, books: WarehouseBuilder) -> None:
        found = rows(
            books,
            order(1, "50", "1"),
            order(2, "80", "8", affiliate_id="2"),
            order(3, "50", "9", affiliate_id="3"),
            order(4, "10", "1", affiliate_id="4", currency="EUR"),
            order(5, "20", "0", "DENIED", affiliate_id="5"),
        )
        names = ("affiliate_id", "currency", "sales_rank", "commission_rank")
        assert [figures(row, *names) for row in found] == [
            ("1", "USD", 2, 3),
            ("2", "USD", 1, 2),
            ("3", "USD", 2, 1),
            ("4", "EUR", 1, 1),
            ("5", "USD", 4, 4),
        ]

    def test_the_first_of_each_currency_come_first(self, books: WarehouseBuilder) -> None:
        books.conversions(
            order(1, "10", "1"),
            order(2, "90", "9", affiliate_id="2"),
            order(3, "5", "1", affiliate_id="1", currency="EUR"),
            order(4, "7", "1", affiliate_id="3", currency="EUR"),
        ).build(NAME)
        shown = books.warehouse.query(f"SELECT affiliate_id, currency FROM refersion_summaries.{NAME}")
        assert shown == [("3", "EUR"), ("2", "USD"), ("1", "EUR"), ("1", "USD")]


class TestShares:
    def test_are_parts_of_the_sum_in_the_currency(self, books: WarehouseBuilder) -> None:
        found = rows(
            books,
            order(1, "30", "3"),
            order(2, "60", "9", "PENDING", affiliate_id="2"),
            paid(3, "90", "6", affiliate_id="3"),
            order(4, "1000", "100", currency="EUR"),
        )
        assert [figures(row, "affiliate_id", "currency", "sales_share", "commission_share") for row in found] == [
            ("1", "EUR", D("1"), D("1")),
            ("1", "USD", D("0.166667"), D("0.166667")),  # 30 / 180; 3 / 18
            ("2", "USD", D("0.333333"), D("0.5")),
            ("3", "USD", D("0.5"), D("0.333333")),
        ]

    def test_of_a_negative_balance_are_negative_and_all_still_add_up_to_one(self, books: WarehouseBuilder) -> None:
        found = rows(books, order(1, "100", "10"), cancellation(2, 9, "-20", "-2", affiliate_id="2"))
        assert [row["commission_share"] for row in found] == [D("1.25"), D("-0.25")]  # 10 / 8, -2 / 8

    def test_of_commission_are_not_told_where_there_is_none_to_share(self, books: WarehouseBuilder) -> None:
        """All comes to nothing in euros and to less in dollars."""
        found = rows(
            books,
            order(1, "0.01", "2", currency="EUR"),
            cancellation(2, 9, "-20", "-2", affiliate_id="2", currency="EUR"),
            order(3, "0.01", "2"),
            cancellation(4, 9, "-20", "-10", affiliate_id="2"),
        )
        assert {row["commission_share"] for row in found} == {None}
        assert [row["sales_share"] for row in found] == [D("1"), D("1"), D("0"), D("0")]

    def test_of_sales_are_not_told_where_nothing_was_sold(self, books: WarehouseBuilder) -> None:
        assert one(books, credit(1, "5"))["sales_share"] is None


class TestRates:
    def test_pending_rows_are_left_out_of_the_approval_rate_and_shown_beside_it(self, books: WarehouseBuilder) -> None:
        row = one(
            books,
            order(1, "10", "1"),
            paid(2, "10", "2"),
            order(3, "10", "5", "DENIED"),
            order(4, "10", "4", "UNQUALIFIED"),
            order(5, "10", "8", "PENDING"),
            order(6, "10", "9", "ON_HOLD"),
            credit(7, "100"),
            cancellation(8, 2, "-10", "-2"),
        )
        names = ("conversions_pending", "conversions_approved", "conversions_denied", "conversions_unqualified")
        assert figures(row, *names) == (1, 2, 1, 1)
        # 2 of 3, (1 + 2) of (1 + 2 + 5); the unqualified one was never pending: 2 of 4.
        assert figures(row, "approval_rate", "approval_rate_by_value", "quality_rate") == (
            D("0.666667"),
            D("0.375"),
            D("0.5"),
        )

    def test_are_not_told_without_a_base(self, books: WarehouseBuilder) -> None:
        row = one(books, order(1, "10", "1", "PENDING"), credit(2, "5"))
        names = ("approval_rate", "approval_rate_by_value", "effective_commission_rate")
        assert figures(row, *names) == (None, None, None)

    def test_the_effective_rate_leaves_manual_credits_and_pending_orders_out(self, books: WarehouseBuilder) -> None:
        row = one(
            books,
            order(1, "100", "12"),
            paid(2, "50", "6"),
            cancellation(3, 2, "-50", "-6"),
            order(4, "100", "50", "PENDING"),
            credit(5, "77"),
        )
        assert row["effective_commission_rate"] == D("0.12")  # (12 + 6 - 6) / (100 + 50 - 50)

    def test_of_absurd_rows_do_not_stop_the_table(self, books: WarehouseBuilder) -> None:
        row = one(books, order(1, "0.0001", "50000000000000"))
        assert abs(row["effective_commission_rate"] - D("5e17")) < 1000  # so far out a fraction has 15 exact digits


class TestAffiliates:
    def test_one_without_an_id_goes_by_the_e_mail_whatever_its_case(self, books: WarehouseBuilder) -> None:
        found = rows(
            books,
            order(1, "10", "1", affiliate_id=None, affiliate__email="Bo@Example.com", affiliate__name="Bo"),
            order(2, "20", "2", affiliate_id=None, affiliate__email="bo@example.com", affiliate__name="Bo"),
        )
        names = ("affiliate_id", "affiliate_name", "affiliate_email", "sales")
        assert [figures(row, *names) for row in found] == [("bo@example.com", "Bo", "bo@example.com", D("30"))]

    def test_the_affiliate_object_stands_in_for_the_id(self, books: WarehouseBuilder) -> None:
        row = one(books, order(1, "10", "1"), order(2, "20", "2", affiliate_id=None, affiliate__id="1"))
        assert figures(row, "affiliate_id", "sales") == ("1", D("30"))

    def test_rows_of_no_affiliate_at_all_are_kept(self, books: WarehouseBuilder) -> None:
        row = one(books, order(1, "10", "1", affiliate_id=None))
        assert figures(row, "affiliate_id", "affiliate_name", "commission_due") == ("(unknown)", None, D("1"))

    def test_one_that_is_not_in_the_list_has_the_name_of_its_latest_conversion(self, books: WarehouseBuilder) -> None:
        found = rows(
            books,
            order(1, "10", "1", affiliate__name="Zoe Old", affiliate__email="old@example.com"),
            order(2, "20", "2", affiliate__name="Ann New", affiliate__email="new@example.com", currency="EUR"),
        )
        assert {figures(row, "affiliate_name", "affiliate_email") for row in found} == {("Ann New", "new@example.com")}

    def test_one_without_conversions_has_no_row(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1))
        assert books.rows(NAME) == []


class TestTypes:
    def test_money_stays_decimal(self, books: WarehouseBuilder) -> None:
        row = one(books, order(1, "10", "1"))
        money = ("sales", "net_sales", "aov", "commission", "commission_due", "manual_credits")
        assert {type(row[name]) for name in money} == {Decimal}
        with books.warehouse.session() as session:
            declared = dict(session.columns("refersion_summaries", NAME))
        assert {declared[name] for name in money} == {"decimal(38,4)"}

    def test_a_row_is_an_affiliate_and_a_currency(self) -> None:
        assert summary_of(NAME).header.primary_key == ["affiliate_id", "currency"]
