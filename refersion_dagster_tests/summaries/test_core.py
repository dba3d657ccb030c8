"""The core tables: each row's kind, state and dates, and both ids of an affiliate, worked out by hand."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    D,
    WarehouseBuilder,
    affiliate,
    cancellation,
    credit,
    day,
    history,
    order,
    paid,
    payment,
    totals,
)


class TestKind:
    @pytest.mark.parametrize(
        ("row", "kind"),
        limit_cases(
            [
                (order(1, "10", "1"), "order"),
                (order(1, "10", "1", type=None), "order"),
                (order(1, "0.01", "0"), "order"),
                (order(1, "10", "1", type="CANCELLATIONXFEE"), "order"),
                (cancellation(1, 2, "-10", "-1"), "cancellation"),
                (order(1, "10", "1", type="CANCELLATION_CONVERSION_TRIGGER_COUPON"), "cancellation"),
                (order(1, "-10", "-1"), "cancellation"),
                (order(1, "0", "-1"), "cancellation"),  # a negative commission on an order
                (order(1, "0", "-1", type=None, order_id=None), "manual credit"),
                (credit(1, "5"), "manual credit"),
                (credit(1, "5", order_id="order-9"), "manual credit"),
                (credit(1, "-5", order_id="order-9"), "manual credit"),
                (credit(1, "0"), "manual credit"),
                (order(1, "0", "5", type=None, order_id=None), "manual credit"),
                (order(1, "10", "1", type="MANUAL_CREDIT_BY_CLIENT", order_id=None), "manual credit"),
                # A tracked sale credited by hand, and a free order on a flat rate.
                (order(1, "10", "1", type="MANUAL_CREDIT_BY_CLIENT"), "order"),
                (order(1, "0", "5"), "order"),
                (order(1, "0", "5", order_id=None), "order"),
                # An account that shows no type: an order id tells that it was tracked.
                (order(1, "0", "5", type=None), "order"),
                (order(1, "-10", "-1", type="MANUAL_CREDIT_BY_CLIENT"), "cancellation"),
                (order(1, "-1", "-1", type="CANCELLATION_MANUAL_CREDIT_BY_CLIENT"), "cancellation"),
                (order(1, "0", "0"), "empty"),
            ],
            8,
        ),
    )
    def test_follows_the_definitions(self, books: WarehouseBuilder, row: dict[str, Any], kind: str) -> None:
        assert books.conversions(row).row("conversions")["conversion_kind"] == kind

    def test_a_sale_credited_by_hand_is_marked(self, books: WarehouseBuilder) -> None:
        rows = books.conversions(
            order(1, "10", "1", type="MANUAL_CREDIT_BY_CLIENT"), order(2, "10", "1"), credit(3, "5")
        ).rows("conversions")
        assert [row["is_credited_by_hand"] for row in rows] == [True, False, False]


class TestPurchase:
    def test_is_one_however_many_affiliates_are_credited_and_each_renewal_is_another(
        self, books: WarehouseBuilder
    ) -> None:
        one = {"order_id": "A"}
        renewal = {**one, "is_recurring": True}
        rows = books.conversions(
            order(1, "100", "10", "PENDING", **one),
            order(2, "90", "9", affiliate_id="2", **one),  # approved, so that this one counts
            order(3, "80", "8", affiliate_id="2", **one),  # of the same affiliate again
            order(4, "95", "9", "DENIED", affiliate_id="3", **one),
            order(5, "30", "3", created=day(5), **renewal),
            order(6, "30", "3", created=day(5, hour=13), affiliate_id="2", **renewal),
            order(7, "30", "3", created=day(10), **renewal),
            order(8, "70", "7", currency="EUR", **one),
            order(9, "60", "6", order_id=None),
            # Cancellations count with their orders: 11 takes back the one that does not count.
            cancellation(10, 0, "-40", "-4", affiliate_id="2", created=day(2, hour=13), **one),
            cancellation(11, 0, "-100", "-10", **one),
            cancellation(12, 99, "-5", "-1"),
        ).rows(
            "conversions", "conversion_id", "purchase_key", "counts_once", "counts_for_affiliate", order="created_at, 1"
        )
        found = {row["conversion_id"]: tuple(row.values())[1:] for row in rows}
        assert found == {
            "1": ("A", False, True),
            "2": ("A", True, True),
            "3": ("A", False, False),
            "4": ("A", False, True),
            "5": ("A renewal 1", True, True),
            "6": ("A renewal 1", False, True),
            "7": ("A renewal 2", True, True),
            "8": ("A", True, True),
            "9": ("conversion 9", True, True),
            "10": ("A", True, True),
            "11": ("A", False, True),
            "12": ("order-99", True, True),
        }

    def test_is_counted_by_the_order_that_stands(self, books: WarehouseBuilder) -> None:
        """One of two credits was cancelled: the purchase is still there."""
        rows = books.conversions(
            order(1, "100", "10", order_id="A"),
            order(2, "100", "10", order_id="A", affiliate_id="2"),
            cancellation(3, 0, "-100", "-10", order_id="A"),
        ).rows("conversions")
        assert [row["counts_once"] for row in rows] == [False, True, False]


class TestNet:
    def test_is_what_several_and_partial_cancellations_leave(self, books: WarehouseBuilder) -> None:
        rows = books.conversions(
            order(1, "100", "10", created=day(1)),
            order(2, "100", "10", created=day(1)),
            order(3, "100", "0", created=day(1)),
            order(4, "100", "10", created=day(1)),
            cancellation(11, 1, "-30", "-3"),
            cancellation(12, 1, "-20", "-2.0001", status="PENDING"),
            cancellation(13, 1, "-50", "-5", status="DENIED"),
            cancellation(14, 2, "-60", "-6"),
            cancellation(15, 2, "-40", "-4"),
            cancellation(16, 3, "-100", "0"),
            # A credit against an order lowers what the affiliate gets, and is no cancellation of it.
            credit(17, "-5", order_id="order-4"),
        ).rows(
            "conversions",
            "conversion_id",
            "cancellations",
            "net_total",
            "net_commission",
            "is_cancelled",
            "original_id",
        )
        found = {row["conversion_id"]: tuple(row.values())[1:] for row in rows}
        assert {key: value[:4] for key, value in found.items() if int(key) < 10} == {
            "1": (2, D("50"), D("4.9999"), False),
            "2": (2, D("0"), D("0"), True),
            "3": (1, D("0"), D("0"), True),
            "4": (0, D("100"), D("10"), False),
        }
        assert found["17"] == (0, D("0"), D("-5"), False, "4")


class TestState:
    @pytest.mark.parametrize(
        ("row", "state"),
        [
            (order(1, "10", "1", "PENDING"), "pending"),
            (order(1, "10", "1"), "due"),
            (order(1, "10", "1", payment_status=None), "due"),
            (order(1, "10", "1", payment_status="PAID"), "paid"),
            (order(1, "10", "1", payment_id="9"), "paid"),
            (order(1, "10", "1", payment__id="9"), "paid"),
            (order(1, "10", "1", payment__created=day(9)), "paid"),
            (order(1, "10", "1", "DENIED", payment_status="PAID"), "denied"),
            (order(1, "10", "1", "UNQUALIFIED"), "unqualified"),
            (order(1, "10", "1", "ON_HOLD"), "unknown"),
            (order(1, "10", "1", None), "unknown"),  # pyright: ignore[reportArgumentType]
        ],
    )
    def test_follows_the_definitions(self, books: WarehouseBuilder, row: dict[str, Any], state: str) -> None:
        assert books.conversions(row).row("conversions")["commission_state"] == state


class TestWhichRowsCount:
    def test_neither_tests_nor_rows_that_vanished(self, books: WarehouseBuilder) -> None:
        books.conversions(
            order(1, "10", "1"),
            order(2, "10", "1", is_test_conversion=True),
            order(3, "10", "1", vanished_at=READ_AT),
            order(4, "10", "1", is_test_conversion=None),
        )
        assert [row["conversion_id"] for row in books.rows("conversions")] == ["1", "4"]


class TestReportingTimeZone:
    @pytest.mark.parametrize(
        ("zone", "created", "booked_day", "booked_month"),
        [
            ("UTC", "2025-03-31T23:30:00+00:00", date(2025, 3, 31), date(2025, 3, 1)),
            ("Europe/Berlin", "2025-03-31T23:30:00+00:00", date(2025, 4, 1), date(2025, 4, 1)),
            ("America/New_York", "2025-04-01T03:59:59+00:00", date(2025, 3, 31), date(2025, 3, 1)),
            ("America/New_York", "2025-04-01T04:00:00+00:00", date(2025, 4, 1), date(2025, 4, 1)),
            # The clock goes on at 02:00 on March 9 and back on November 2: midnight is at 05:00, then at 04:00 UTC.
            ("America/New_York", "2025-03-09T04:59:59+00:00", date(2025, 3, 8), date(2025, 3, 1)),
            ("America/New_York", "2025-03-10T04:00:00+00:00", date(2025, 3, 10), date(2025, 3, 1)),
            ("America/New_York", "2025-11-03T04:59:59+00:00", date(2025, 11, 2), date(2025, 11, 1)),
            ("America/New_York", "2025-11-03T05:00:00+00:00", date(2025, 11, 3), date(2025, 11, 1)),
            ("Asia/Kathmandu", "2024-12-31T18:15:00+00:00", date(2025, 1, 1), date(2025, 1, 1)),
            ("Pacific/Kiritimati", "2024-02-28T10:00:00+00:00", date(2024, 2, 29), date(2024, 2, 1)),
        ],
    )
    def test_decides_day_and_month(
        self, database: Path, zone: str, created: str, booked_day: date, booked_month: date
    ) -> None:
        books = WarehouseBuilder(database, report_timezone=zone)
        row = books.conversions(order(1, "10", "1", created=datetime.fromisoformat(created))).row("conversions")
        assert (row["booked_day"], row["booked_month"]) == (booked_day, booked_month)
        assert books.row("data_as_of", "timezone")["timezone"] == zone


def known(row: dict[str, Any]) -> tuple[Any, ...]:
    """What is known of an approval."""
    return tuple(row[name] for name in ("approved_at", "approved_at_source", "approved_earliest", "approved_latest"))


class TestWhenItBecameDue:
    def test_is_when_a_reading_first_saw_the_approval(self, books: WarehouseBuilder) -> None:
        books.add(
            "conversion_history",
            history(1, day(1), "new", "PENDING"),
            history(1, day(10), "changed", "APPROVED"),
            history(1, day(12), "changed", "APPROVED", commission="2"),
        )
        row = books.conversions(order(1, "10", "2", updated=day(12))).row("conversions")
        assert (row["approved_at"], row["approved_at_source"]) == (day(10), "history")

    def test_is_not_known_where_the_approval_was_never_seen_but_was_by_the_last_change(
        self, books: WarehouseBuilder
    ) -> None:
        books.add("conversion_history", history(1, day(20), "new", "APPROVED"))
        row = books.conversions(order(1, "10", "1", updated=day(15))).row("conversions")
        assert known(row) == (None, "updated", day(1), day(15))
        assert row["aged_since"] == day(15)

    def test_lies_between_creation_and_reading_where_nothing_else_is_known(self, books: WarehouseBuilder) -> None:
        row = books.conversions(order(1, "10", "1")).row("conversions")
        assert known(row) == (None, "reading", day(1), READ_AT)
        assert row["aged_since"] == day(1)

    def test_is_when_refersion_says_it_changed_between_the_two_readings(self, books: WarehouseBuilder) -> None:
        books.add(
            "conversion_history",
            history(1, day(1), "new", "PENDING", updated=day(1)),
            history(1, day(10), "changed", "APPROVED", updated=day(10, hour=8)),
            # Where `updated` did not move with the change, the reading is all that is known.
            history(2, day(5), "new", "PENDING", updated=day(2)),
            history(2, day(10), "changed", "APPROVED", updated=day(2)),
        )
        changed = order(1, "10", "1", updated=day(10, hour=8)), order(2, "10", "1", updated=day(2))
        first, second = books.conversions(*changed).rows("conversions")
        assert known(first) == (day(10, hour=8), "history", day(9), day(10, hour=8))
        assert known(second) == (day(10), "history", day(9), day(10))

    @pytest.mark.parametrize(
        ("updated_then", "known_by", "approved"), [(day(15), "updated", day(15)), (None, "reading", day(20))]
    )
    def test_stays_as_it_was_known_when_a_row_seen_approved_is_paid_later(
        self, books: WarehouseBuilder, updated_then: datetime | None, known_by: str, approved: datetime
    ) -> None:
        # Paying moved `updated` to the 30th, but the row was approved when it was first seen on the 20th.
        books.add(
            "conversion_history",
            history(1, day(20), "new", "APPROVED", updated=updated_then),
            history(1, day(31), "changed", "APPROVED", payment_status="PAID", updated=day(30)),
        )
        row = books.conversions(paid(1, "10", "1", updated=day(30))).row("conversions")
        assert (*known(row), row["paid_at"]) == (None, known_by, day(1), approved, day(30))

    def test_is_the_last_time_of_a_row_that_was_approved_twice(self, books: WarehouseBuilder) -> None:
        books.add(
            "conversion_history",
            history(1, day(1), "new", "APPROVED"),
            history(1, day(10), "changed", "DENIED"),
            history(1, day(20), "changed", "APPROVED"),
        )
        row = books.conversions(order(1, "10", "1", updated=day(20))).row("conversions")
        assert (row["approved_at"], row["approved_at_source"], row["unapproved_at"]) == (day(20), "history", None)

    def test_is_seen_too_where_the_status_was_not_known_before(self, books: WarehouseBuilder) -> None:
        books.add(
            "conversion_history",
            history(1, day(1), "new", None),  # pyright: ignore[reportArgumentType]
            history(1, day(10), "changed", "APPROVED"),
        )
        row = books.conversions(order(1, "10", "1")).row("conversions")
        assert (row["approved_at"], row["approved_at_source"]) == (day(10), "history")

    def test_is_never_after_the_payment(self, books: WarehouseBuilder) -> None:
        row = books.conversions(paid(1, "10", "1", updated=day(31))).row("conversions")
        assert (*known(row), row["paid_at"]) == (None, "payment", day(1), day(30), day(30))

    @pytest.mark.parametrize("status", ["PENDING", "DENIED", "UNQUALIFIED"])
    def test_is_never_for_rows_that_were_not_approved(self, books: WarehouseBuilder, status: str) -> None:
        row = books.conversions(order(1, "10", "1", status, updated=day(5))).row("conversions")
        assert (row["approved_at"], row["approved_at_source"], row["unapproved_at"]) == (None, None, None)

    def test_ends_when_an_approval_is_taken_back(self, books: WarehouseBuilder) -> None:
        books.add(
            "conversion_history",
            history(1, day(1), "new", "PENDING"),
            history(1, day(10), "changed", "APPROVED"),
            history(1, day(20), "changed", "DENIED"),
        )
        row = books.conversions(order(1, "10", "1", "DENIED", updated=day(20))).row("conversions")
        assert (row["commission_state"], row["approved_at"], row["unapproved_at"]) == ("denied", day(10), day(20))


class TestWhenItWasPaid:
    def test_is_the_payments_own_date(self, books: WarehouseBuilder) -> None:
        books.add("payments", payment(900, "1", 1, created=day(28)))
        rows = books.conversions(
            paid(1, "10", "1"),
            paid(2, "10", "1", payment__created=None),
            paid(3, "10", "1", payment__created=None, payment_id=None, updated=day(29)),
            order(4, "10", "1"),
        ).rows("conversions")
        names = ("paid_at", "paid_earliest", "paid_latest", "payment_id")
        assert [tuple(row[name] for name in names) for row in rows] == [
            (day(30), day(30), day(30), "900"),
            (day(28), day(28), day(28), "900"),
            # Between its creation and its last change.
            (None, day(3), day(29), None),
            (None, None, None, None),
        ]

    def test_is_when_it_was_seen_to_be_paid_where_no_payment_says(self, books: WarehouseBuilder) -> None:
        books.add(
            "conversion_history",
            history(1, day(1), "new", "APPROVED"),
            history(1, day(20), "changed", "APPROVED", payment_status="PAID"),
            history(1, day(25), "changed", "APPROVED", payment_status="PAID", commission="2"),
        )
        row = books.conversions(paid(1, "10", "2", payment__created=None, payment_id=None, updated=day(25))).row(
            "conversions"
        )
        assert row["paid_at"] == day(20)

    def test_is_kept_by_a_row_that_was_denied_afterwards(self, books: WarehouseBuilder) -> None:
        row = books.conversions(paid(1, "10", "1", status="DENIED")).row("conversions")
        assert (row["commission_state"], row["paid_at"], row["payment_id"]) == ("denied", day(30), "900")


class TestOriginalOfACancellation:
    def test_is_the_conversion_of_the_same_order_and_affiliate(self, books: WarehouseBuilder) -> None:
        books.conversions(
            order(1, "10", "1", order_id="A"),
            order(2, "10", "1", order_id="A", affiliate_id="2"),
            order(3, "10", "1", order_id="A", currency="EUR"),
            cancellation(4, 0, "-10", "-1", order_id="A", affiliate_id="2"),
            cancellation(5, 0, "-10", "-1", order_id="A"),
            cancellation(6, 0, "-10", "-1", order_id="B"),
        )
        found = {row["conversion_id"]: row["original_id"] for row in books.rows("conversions")}
        assert found == {"1": None, "2": None, "3": None, "4": "2", "5": "1", "6": None}

    def test_of_renewals_it_is_the_latest_before_it_with_the_same_amount(self, books: WarehouseBuilder) -> None:
        books.conversions(
            order(1, "10", "1", order_id="A"),
            order(2, "10", "1", order_id="A"),
            order(3, "99", "1", order_id="A"),
            cancellation(4, 0, "-10", "-1", order_id="A"),
            order(5, "10", "1", order_id="A"),
        )
        found = {row["conversion_id"]: row["original_id"] for row in books.rows("conversions")}
        assert found["4"] == "2"

    def test_is_one_that_counts_rather_than_one_that_was_denied(self, books: WarehouseBuilder) -> None:
        """Refersion leaves the second attribution of an order unqualified; it is the other one that is taken back."""
        books.conversions(
            order(1, "10", "1", order_id="A"),
            order(2, "10", "1", "UNQUALIFIED", order_id="A"),
            order(3, "10", "1", "DENIED", order_id="A"),
            cancellation(4, 0, "-10", "-1", order_id="A"),
        )
        assert [row["original_id"] for row in books.rows("conversions")] == [None, None, None, "1"]

    def test_is_not_looked_for_where_an_order_id_stands_for_none(self, books: WarehouseBuilder) -> None:
        """An id that all orders share: each of them with each cancellation would be pairs without end."""
        with books.warehouse.session() as session:
            columns = "id, order_id, type, status, total, commission_total, currency, created, read_at"
            for count, shared in ((200, "many"), (201, "all")):
                for sign, kind in ((1, "X"), (-1, "CANCELLATION_X")):
                    session.query(
                        f"INSERT INTO refersion_data.conversions ({columns}) "
                        f"SELECT concat('{shared}', '{kind}', i), '{shared}', '{kind}', 'APPROVED', {sign}, {sign}, "
                        f"'USD', $created, $created FROM generate_series(1, {count}) AS s(i)",
                        created=day(1),
                    )
        found = {(row["order_id"], row["original_id"] is None) for row in books.rows("conversions") if row["total"] < 0}
        assert found == {("many", False), ("all", True)}


class TestEmptyTexts:
    """As some accounts send them where others send nothing; no two of them are the same person."""

    def test_are_no_e_mail_of_an_affiliate(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1, email="", status="", country=" "), affiliate(2, name="", first_name="Bo"))
        books.add("affiliate_get", {"id": "1", "email": "one@example.com", "status": "ACTIVE", "company_name": ""})
        first, second = books.rows("affiliates")
        assert (first["email"], first["status"], first["country"], first["company"]) == (
            "one@example.com",
            "ACTIVE",
            None,
            None,
        )
        assert second["name"] == "Bo"

    def test_lead_to_no_affiliate(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1, email=""))
        books.add("payments", payment(900, "1", 1, affiliate__id=None, affiliate__email=" "))
        books.conversions(order(1, "10", "1", affiliate_id=None, affiliate__email="", affiliate__name=" "))
        row = books.row("conversions")
        assert (row["affiliate_id"], row["affiliate_name"], row["affiliate_email"]) == ("(unknown)", None, None)
        assert books.row("payments")["affiliate_id"] == "(unknown)"

    def test_are_no_customer(self, books: WarehouseBuilder) -> None:
        row = books.conversions(order(1, "10", "1", customer__email="", customer__browser_ip=" ", click__ip="ip")).row(
            "conversions"
        )
        assert (row["customer_email"], row["customer_ip"]) == (None, "ip")


class TestAffiliates:
    def test_both_ids_are_bridged_whatever_the_list_calls_them(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1), affiliate(2, rfsn_parameter=None), affiliate(3, rfsn_parameter=None))
        books.add("affiliate_get", {"id": "2", "affiliate_code": "code2", "company_name": "Two Ltd"})
        books.add(
            "affiliate_list",
            {"id": "code1", "status": "DISABLED", "offer_id": "7"},
            {"id": "code2", "status": "ACTIVE", "email": "two@example.com"},
            {"id": "3", "status": "ACTIVE"},
            {"id": "only", "status": "PENDING", "first_name": "Bo", "last_name": None},
        )
        rows = books.rows("affiliates")
        names = ("affiliate_id", "affiliate_code", "status", "company", "offer_id", "in_list")
        assert [tuple(row[name] for name in names) for row in rows] == [
            ("1", "code1", "DISABLED", None, "7", True),
            ("2", "code2", "ACTIVE", "Two Ltd", None, True),
            ("3", None, "ACTIVE", None, None, True),
            ("only", None, "PENDING", None, None, True),
        ]
        assert [row["name"] for row in rows] == ["Affiliate 1", "Affiliate 2", "Affiliate 3", "Bo"]
        assert rows[1]["email"] == "two@example.com"

    def test_a_paypal_email_is_unknown_where_the_account_shows_none(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1, paypal_email=None), affiliate(2, paypal_email=""))
        assert [row["has_paypal_email"] for row in books.rows("affiliates")] == [None, None]

    def test_a_paypal_email_is_missing_where_others_have_one(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1, paypal_email=None), affiliate(2, paypal_email=""), affiliate(3))
        books.add("affiliate_list", {"id": "code9"})
        found = [row["has_paypal_email"] for row in books.rows("affiliates")]
        assert found == [False, False, True, None]


class TestConversionsAffiliate:
    def test_is_found_by_e_mail_where_the_row_has_no_id(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(7, email="Ann@Example.com"))
        rows = books.conversions(
            order(1, "10", "1", affiliate_id=None, affiliate__email=" ann@example.COM"),
            order(2, "10", "1", affiliate_id=None, affiliate__email="Bo@example.com"),
            order(3, "10", "1", affiliate_id=None),
            order(4, "10", "1", affiliate_id=None, affiliate__id="8"),
        ).rows("conversions")
        assert [row["affiliate_id"] for row in rows] == ["7", "bo@example.com", "(unknown)", "8"]


class TestPayments:
    def test_go_to_the_affiliate_they_name_or_whose_rows_they_paid(self, books: WarehouseBuilder) -> None:
        books.conversions(paid(1, "10", "1", affiliate_id="5", payment_id="901"))
        books.add(
            "payments",
            payment(900, "1", 1),
            payment(901, "1", 1, affiliate__id=None),
            payment(902, "1", 1, affiliate__id=None, affiliate__email="X@example.com"),
            payment(903, "1", 1, affiliate__id=None),
        )
        found = [row["affiliate_id"] for row in books.rows("payments")]
        assert found == ["1", "5", "x@example.com", "(unknown)"]


class TestCurrencies:
    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({}, {"EUR": ("0", "0"), "USD": ("0", "0")}),
            ({"minimum_payout": "50", "subscription": "299"}, {"EUR": ("50", "0"), "USD": ("50", "299")}),
            (
                {"minimum_payout": "USD=50, EUR=45.50", "subscription": "EUR=99"},
                {"EUR": ("45.50", "99"), "USD": ("50", "0")},
            ),
            ({"minimum_payout": "10,EUR=45"}, {"EUR": ("45", "0"), "USD": ("10", "0")}),
        ],
    )
    def test_have_the_terms_of_the_settings(
        self, database: Path, settings: dict[str, str], expected: dict[str, tuple[str, str]]
    ) -> None:
        books = WarehouseBuilder(database, **settings)
        books.conversions(order(1, "10", "1"), order(2, "10", "1"), order(3, "10", "1", currency="EUR"))
        found = {row["currency"]: (row["minimum_payout"], row["subscription"]) for row in books.rows("currencies")}
        assert found == {currency: (D(one), D(other)) for currency, (one, other) in expected.items()}

    @pytest.mark.parametrize(
        ("named", "expected"),
        [
            # Named by Refersion's totals, however few conversions it has.
            ([("EUR", False)], ["EUR", "AUD", "USD"]),
            # Asked for, or not named at all: that of the most conversions.
            ([("AUD", True), ("EUR", True)], ["USD", "AUD", "EUR"]),
            ([("(none)", False)], ["USD", "AUD", "EUR"]),
            ([], ["USD", "AUD", "EUR"]),
            # Rows of an older time, as the account's currency can be changed.
            ([("AUD", False), ("EUR", False), ("EUR", False)], ["EUR", "AUD", "USD"]),
        ],
    )
    def test_the_accounts_own_comes_first_and_the_others_by_name(
        self, books: WarehouseBuilder, named: list[tuple[str, bool]], expected: list[str]
    ) -> None:
        books.conversions(
            *(order(number, "10", "1") for number in (1, 2, 3)),
            order(4, "10", "1", currency="EUR"),
            order(5, "10", "1", currency="AUD"),
        )
        for month, (currency, asked) in enumerate(named, 1):
            row = totals(datetime(2025, month, 1, tzinfo=UTC), "APPROVED", "UNPAID", 1, "1", "10")
            books.add("conversion_totals", {**row, "currency": currency, "currency_asked": asked})
        found = {row["place"]: row["currency"] for row in books.rows("currencies")}
        assert [found[place] for place in sorted(found)] == expected
        assert sorted(found) == [1, 2, 3]


class TestDataAsOf:
    def test_is_the_latest_reading(self, books: WarehouseBuilder) -> None:
        books.conversions(order(1, "10", "1", vanished_at=day(2, month=4)))
        row = books.row("data_as_of")
        assert (row["as_of"], row["today"]) == (day(2, month=4), date(2025, 4, 2))

    def test_is_no_row_before_anything_was_read(self, books: WarehouseBuilder) -> None:
        assert books.rows("data_as_of") == []
