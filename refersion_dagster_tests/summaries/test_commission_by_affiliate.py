"""commission_by_affiliate: each figure worked out by hand, on tables as the source creates them."""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster_tests.location import materialise, query
from refersion_dagster_tests.summaries.raw import Row, insert, selected, summary, writing

NAME = "commission_by_affiliate"
MONEY = (
    "sales",
    "commission_pending",
    "commission_due",
    "commission_paid",
    "commission_denied",
    "commission_unqualified",
)


def D(text: str) -> Decimal:
    return Decimal(text)


def day(number: int) -> datetime:
    return datetime(2025, 3, number, 12, tzinfo=UTC)


def order(number: int, total: str, commission: str, status: str = "APPROVED", **more: Any) -> dict[str, Any]:
    """Conversion `number`, made on that day of March: an order in USD of affiliate 1, unless `more` says otherwise."""
    return {
        "id": f"{number}",
        "order_id": f"order-{number}",
        "type": "AFFILIATE_SITE_CONVERSION",
        "status": status,
        "payment_status": "UNPAID",
        "total": D(total),
        "commission_total": D(commission),
        "currency": "USD",
        "created": day(number),
        "affiliate_id": "1",
        "is_test_conversion": False,
        **more,
    }


def paid(number: int, total: str, commission: str, **more: Any) -> dict[str, Any]:
    return order(number, total, commission, payment_status="PAID", payment_id="900", payment__created=day(30), **more)


def cancellation(number: int, of: int, total: str, commission: str, **more: Any) -> dict[str, Any]:
    named = {"type": "CANCELLATION_AFFILIATE_SITE_CONVERSION", "order_id": f"order-{of}"}
    return order(number, total, commission, **(named | more))


def credit(number: int, commission: str, **more: Any) -> dict[str, Any]:
    return order(number, "0", commission, **({"type": "MANUAL_CREDIT_BY_CLIENT", "order_id": None} | more))


def built(database: Path, conversions: Sequence[Row], affiliates: Sequence[Row] = ()) -> list[dict[str, Any]]:
    """The summary's rows, built by its asset as a run does, by affiliate and currency."""
    with writing(database) as connection:
        insert(connection, "conversions", *conversions)
        insert(connection, "affiliates", *affiliates)
    outcome = materialise(RefersionResource(), Warehouse(duckdb_path=str(database)), f"summaries/{NAME}")
    assert outcome.success, outcome.failure
    with writing(database) as connection:
        return selected(
            connection, f"SELECT * FROM refersion_summaries.{NAME} ORDER BY affiliate_id NULLS LAST, currency"
        )


def one(database: Path, *conversions: Row, affiliates: Sequence[Row] = ()) -> dict[str, Any]:
    """The summary's only row."""
    (row,) = built(database, conversions, affiliates)
    return row


def figures(row: Row, *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names or MONEY)


class TestByHand:
    def test_one_affiliate_with_every_kind_of_row(self, database: Path) -> None:
        row = one(
            database,
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
            affiliates=[{"id": "1", "name": "Ann Ånæ", "email": "ann@example.com"}],
        )
        assert row == {
            "affiliate_id": "1",
            "affiliate_name": "Ann Ånæ",
            "affiliate_email": "ann@example.com",
            "currency": "USD",
            "orders": 5,  # 1, 2, 3, 4, 5
            "sales": D("490.10"),  # 100 + 50 + 80.10 + 200 + 60
            "commission_pending": D("15.00"),  # 10 + 5
            "commission_due": D("22.51"),  # 8.01 - 6.00 + 25.00 - 4.50
            "commission_paid": D("26.00"),  # 20 + 6
            "commission_denied": D("99.90"),
            "commission_unqualified": D("10.00"),
            "aov": D("98.02"),  # 490.10 / 5
            "first_order_at": day(1),
            "last_order_at": day(5),
        }

    def test_currencies_are_never_added_up(self, database: Path) -> None:
        rows = built(
            database,
            [
                order(1, "100.00", "10.00"),
                order(2, "70.00", "7.00", currency="EUR"),
                order(3, "30.00", "3.00", "PENDING", currency="EUR"),
                paid(4, "15.00", "1.50", affiliate_id="2", currency="EUR"),
            ],
        )
        names = ("affiliate_id", "currency", "orders", "sales", "commission_pending", "commission_due")
        assert [figures(row, *names, "commission_paid", "aov") for row in rows] == [
            ("1", "EUR", 2, D("100"), D("3"), D("7"), D("0"), D("50")),
            ("1", "USD", 1, D("100"), D("0"), D("10"), D("0"), D("100")),
            ("2", "EUR", 1, D("15"), D("0"), D("0"), D("1.5"), D("15")),
        ]


class TestOrders:
    def test_duplicates_on_one_order_id_are_one_order(self, database: Path) -> None:
        """A link and a coupon both credited: both are sales rows of Refersion, on one order."""
        row = one(
            database,
            order(1, "40.00", "4.00", order_id="A"),
            order(2, "40.00", "2.00", order_id="A", type="CONVERSION_TRIGGER_COUPON"),
            order(3, "10.00", "1.00", order_id="B"),
        )
        assert figures(row, "orders", "sales", "aov", "commission_due") == (2, D("90"), D("45"), D("7"))

    def test_orders_without_an_order_id_are_one_each(self, database: Path) -> None:
        row = one(database, order(1, "10", "1", order_id=None), order(2, "20", "2", order_id=None))
        assert figures(row, "orders", "aov") == (2, D("15"))

    def test_denied_and_unqualified_ones_are_no_sales(self, database: Path) -> None:
        row = one(database, order(1, "10", "1", "DENIED"), order(2, "20", "2", "UNQUALIFIED"))
        assert figures(row, "orders", "sales", "aov", "first_order_at", "last_order_at") == (
            0,
            D("0"),
            None,
            None,
            None,
        )
        assert figures(row, "commission_denied", "commission_unqualified") == (D("1"), D("2"))

    def test_a_cancellation_is_none_and_leaves_gross_sales_as_they_were(self, database: Path) -> None:
        row = one(database, order(1, "10", "1"), cancellation(2, 1, "-10", "-1"))
        assert figures(row, "orders", "sales", "commission_due", "last_order_at") == (1, D("10"), D("0"), day(1))

    @pytest.mark.parametrize("kind", ["CANCELLATION_CONVERSION_TRIGGER_COUPON", "MANUAL_CREDIT_BY_CLIENT"])
    def test_the_type_decides_even_where_the_total_is_positive(self, database: Path, kind: str) -> None:
        row = one(database, order(1, "10", "1", type=kind))
        assert figures(row, "orders", "sales", "commission_due") == (0, D("0"), D("1"))

    def test_a_type_that_only_looks_like_a_cancellation_is_an_order(self, database: Path) -> None:
        row = one(database, order(1, "10", "1", type="CANCELLATIONXFEE"), order(2, "10", "1", type=None))
        assert row["orders"] == 2

    def test_manual_credits_alone_are_commission_without_orders(self, database: Path) -> None:
        row = one(database, credit(1, "12.50"), credit(2, "-20.00"), credit(3, "1.00", status="PENDING"))
        assert figures(row, "orders", "sales", "aov") == (0, D("0"), None)
        assert figures(row, "commission_due", "commission_pending") == (D("-7.50"), D("1.00"))


class TestPaid:
    @pytest.mark.parametrize(
        "sign",
        [
            {"payment_status": "PAID"},
            {"payment_id": "900"},
            {"payment__id": "900"},
            {"payment__created": day(30)},
        ],
    )
    def test_by_the_status_or_by_a_payment_on_the_row(self, database: Path, sign: dict[str, Any]) -> None:
        """Accounts differ in which of these they offer."""
        row = one(database, order(1, "10", "1") | {"payment_status": None} | sign)
        assert figures(row, "commission_due", "commission_paid") == (D("0"), D("1"))

    def test_not_without_any_of_them(self, database: Path) -> None:
        row = one(database, order(1, "10", "1", payment_status=None))
        assert figures(row, "commission_due", "commission_paid") == (D("1"), D("0"))

    def test_a_cancellation_before_payment_takes_the_order_out_of_what_is_due(self, database: Path) -> None:
        row = one(database, order(1, "10", "1"), cancellation(2, 1, "-10", "-1"))
        assert figures(row, "commission_due", "commission_paid") == (D("0"), D("0"))

    def test_a_cancellation_after_payment_leaves_the_affiliate_owing(self, database: Path) -> None:
        row = one(database, paid(1, "10", "1"), cancellation(2, 1, "-10", "-1"))
        assert figures(row, "commission_due", "commission_paid") == (D("-1"), D("1"))


class TestAverageOrderValue:
    @pytest.mark.parametrize(
        ("totals", "average"),
        [
            (("10.00", "10.00", "10.01"), "10.0033"),  # 30.01 / 3 = 10.00333…
            (("0.01", "0.01", "0.03"), "0.0167"),  # 0.05 / 3 = 0.01666…
            (("0.0001", "0.0002"), "0.0002"),  # 0.00015, half up
            (("99999999.99", "0.02"), "50000000.0050"),  # 100000000.01 / 2
            (("900719925474.0993",), "900719925474.0993"),  # more digits than binary floating point holds
        ],
    )
    def test_is_rounded_half_up_to_four_decimals(self, database: Path, totals: Sequence[str], average: str) -> None:
        row = one(database, *(order(at, total, "0") for at, total in enumerate(totals, start=1)))
        assert row["aov"] == D(average)


class TestAffiliates:
    def test_one_without_an_id_goes_by_the_e_mail_whatever_its_case(self, database: Path) -> None:
        rows = built(
            database,
            [
                order(1, "10", "1", affiliate_id=None, affiliate__email="Bo@Example.com", affiliate__name="Bo"),
                order(2, "20", "2", affiliate_id=None, affiliate__email="bo@example.com", affiliate__name="Bo"),
            ],
        )
        names = ("affiliate_id", "affiliate_name", "affiliate_email", "sales")
        assert [figures(row, *names) for row in rows] == [("bo@example.com", "Bo", "bo@example.com", D("30"))]

    def test_the_affiliate_object_stands_in_for_the_id(self, database: Path) -> None:
        row = one(database, order(1, "10", "1"), order(2, "20", "2", affiliate_id=None, affiliate__id="1"))
        assert figures(row, "affiliate_id", "sales") == ("1", D("30"))

    def test_rows_of_no_affiliate_at_all_are_kept(self, database: Path) -> None:
        row = one(database, order(1, "10", "1", affiliate_id=None))
        assert figures(row, "affiliate_id", "affiliate_name", "commission_due") == (None, None, D("1"))

    def test_one_that_is_not_in_the_list_has_the_name_of_its_latest_conversion(self, database: Path) -> None:
        rows = built(
            database,
            [
                order(1, "10", "1", affiliate__name="Zoe Old", affiliate__email="old@example.com"),
                order(2, "20", "2", affiliate__name="Ann New", affiliate__email="new@example.com", currency="EUR"),
            ],
        )
        assert {figures(row, "affiliate_name", "affiliate_email") for row in rows} == {("Ann New", "new@example.com")}

    def test_one_without_conversions_has_no_row(self, database: Path) -> None:
        assert built(database, [], [{"id": "1", "name": "Ann"}]) == []


class TestTypes:
    def test_money_stays_decimal(self, database: Path) -> None:
        row = one(database, order(1, "10", "1"))
        assert {type(row[name]) for name in (*MONEY, "aov")} == {Decimal}
        declared = query(
            database, f"SELECT data_type FROM duckdb_columns() WHERE table_name = '{NAME}' AND column_name = 'sales'"
        )
        assert declared == [("DECIMAL(38,4)",)]

    def test_a_row_is_an_affiliate_and_a_currency(self, database: Path) -> None:
        assert summary(NAME).header.primary_key == ["affiliate_id", "currency"]


amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=4, allow_nan=False, allow_infinity=False)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(["PENDING", "APPROVED", "DENIED", "UNQUALIFIED"]),
            "payment_status": st.sampled_from(["PAID", "UNPAID", None]),
            "payment_id": st.sampled_from([None, "900"]),
            "type": st.sampled_from(
                ["AFFILIATE_SITE_CONVERSION", "CANCELLATION_CONVERSION_TRIGGER_SKU", "MANUAL_CREDIT_BY_CLIENT", None]
            ),
            "currency": st.sampled_from(["USD", "EUR", "GBP"]),
            "affiliate_id": st.sampled_from(["1", "2", None]),
            "affiliate__id": st.sampled_from(["1", "3", None]),
            "affiliate__email": st.sampled_from(["a@example.com", "A@example.com", None]),
            "order_id": st.sampled_from(["A", "B", None]),
            "total": amounts,
            "commission_total": amounts,
            "is_test_conversion": st.sampled_from([True, False, None]),
        }
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def connection(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with writing(Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("any")))) as connection:
        yield connection


class TestWhateverTheRows:
    @given(conversions=rows, listed=st.sets(st.sampled_from(["1", "2", "3", "a@example.com"])))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_per_currency_the_affiliates_add_up_to_the_raw_rows(
        self, connection: duckdb.DuckDBPyConnection, conversions: list[dict[str, Any]], listed: set[str]
    ) -> None:
        connection.begin()
        try:
            numbered = [{"id": str(at), "created": day(1 + at), **row} for at, row in enumerate(conversions)]
            insert(connection, "conversions", *numbered)
            insert(connection, "affiliates", *({"id": one} for one in listed))
            found = selected(connection, summary(NAME).select)
        finally:
            connection.rollback()

        keys = [(row["affiliate_id"], row["currency"]) for row in found]
        assert len(keys) == len(set(keys))
        summed: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for row in found:
            for name in MONEY[1:]:
                summed[row["currency"], name] += row[name]
        expected: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for row in conversions:
            if row["is_test_conversion"]:
                continue
            is_paid = row["payment_status"] == "PAID" or row["payment_id"]
            state = {"APPROVED": "paid" if is_paid else "due"}.get(row["status"], row["status"].lower())
            expected[row["currency"], f"commission_{state}"] += row["commission_total"]
        assert {key: amount for key, amount in summed.items() if amount} == {
            key: amount for key, amount in expected.items() if amount
        }
