"""What a person should look at: each kind of finding, its threshold from both sides, and the amount at stake."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster_tests.marks import EXHAUSTIVE
from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    D,
    Row,
    WarehouseBuilder,
    affiliate,
    cancellation,
    credit,
    day,
    order,
    paid,
)

HASH, PAYPAL_HASH = "a" * 64, "b" * 64
SECOND = timedelta(seconds=1)


def findings(books: WarehouseBuilder, kind: str) -> list[dict[str, Any]]:
    found = books.rows("conversion_exceptions")
    assert {row["kind"] for row in found} <= {kind}
    return found


def stakes(row: dict[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    return row["amount_at_stake"], row["amount_unpaid"]


class TestSelfReferral:
    def test_is_seen_by_the_hash(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1, email_hash=HASH, paypal_email_hash=PAYPAL_HASH))
        customers = (HASH, PAYPAL_HASH, "c" * 64, None)
        books.conversions(*(order(n, "10", "1", customer__email=customer) for n, customer in enumerate(customers, 1)))
        assert {row["conversion_id"]: row["evidence"] for row in findings(books, "self-referral")} == {
            "1": "The customer's e-mail is the affiliate's own e-mail.",
            "2": "The customer's e-mail is the affiliate's own PayPal e-mail.",
        }

    def test_names_both_e_mails_where_they_are_one(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1, email_hash=HASH, paypal_email_hash=HASH))
        (row,) = findings(books.conversions(order(1, "10", "1", "PENDING", customer__email=HASH)), "self-referral")
        assert row["evidence"].endswith("own e-mail and PayPal e-mail.")
        assert (row["exception_id"], row["conversion_id"], row["order_id"]) == ("self-referral:1", "1", "order-1")
        assert (row["affiliate_name"], row["currency"], stakes(row)) == ("Affiliate 1", "USD", (D("1"), D("1")))

    def test_is_none_when_another_affiliate_is_the_customer(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1), affiliate(2, email_hash=HASH))
        assert findings(books.conversions(order(1, "10", "1", customer__email=HASH)), "") == []

    def test_is_seen_where_e_mails_are_kept_as_they_are(self, books: WarehouseBuilder) -> None:
        """With REFERSION_PII=keep; the affiliates' hashes are there all the same."""
        same = [
            ("ann1@example.com", " Ann1@Example.COM "),
            ("ann2@example.com", "ann2+shop@example.com"),
            ("ann3+refersion@example.com", "ann3@example.com"),
            ("a.nn4@gmail.com", "an.n4+x@googlemail.com"),
        ]
        others = [
            ("a.nn5@example.com", "ann5@example.com"),
            ("ann6@example.com", "ann6@example.org"),
            ("ann7@example.com", "@"),
        ]
        for n, (known, customer) in enumerate([*same, *others]):
            for number, which in ((10 + n, "email"), (20 + n, "paypal_email")):
                emails = {"email": None, "paypal_email": None, which: f"{known}"}
                books.add("affiliates", affiliate(number, email_hash=HASH, paypal_email_hash=HASH, **emails))
                books.conversions(order(number, "10", "1", affiliate_id=f"{number}", customer__email=customer))
        found = {row["conversion_id"] for row in findings(books, "self-referral")}
        assert found == {"10", "11", "12", "13", "20", "21", "22", "23"}

    def test_is_seen_by_the_e_mail_on_the_row_of_an_affiliate_who_is_not_listed(self, books: WarehouseBuilder) -> None:
        books.conversions(
            order(
                1, "10", "1", customer__email="Bo@example.com", affiliate__email="bo@example.com", affiliate__name="Bo"
            )
        )
        (row,) = findings(books, "self-referral")
        assert (row["affiliate_id"], row["affiliate_name"]) == ("1", "Bo")

    def test_is_none_without_commission_to_lose(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1, email_hash=HASH))
        books.conversions(
            order(1, "10", "1", "DENIED", customer__email=HASH),
            order(2, "10", "1", "UNQUALIFIED", customer__email=HASH),
            order(3, "10", "1", is_test_conversion=True, customer__email=HASH),
            order(4, "10", "1", vanished_at=READ_AT, customer__email=HASH),
            credit(5, "5", customer__email=HASH),
            cancellation(6, 9, "-10", "-1", customer__email=HASH),
        )
        assert findings(books, "") == []

    def test_is_none_once_the_order_was_cancelled(self, books: WarehouseBuilder) -> None:
        """A cancellation that was denied takes nothing back."""
        books.add("affiliates", affiliate(1, email_hash=HASH))
        books.conversions(
            order(1, "10", "1", customer__email=HASH),
            cancellation(2, 1, "-10", "-1"),
            order(3, "10", "1", customer__email=HASH),
            cancellation(4, 3, "-10", "-1", status="DENIED"),
        )
        assert [row["conversion_id"] for row in findings(books, "self-referral")] == ["3"]

    def test_has_nothing_unpaid_once_it_was_paid(self, books: WarehouseBuilder) -> None:
        books.add("affiliates", affiliate(1, email_hash=HASH))
        (row,) = findings(books.conversions(paid(1, "10", "1", customer__email=HASH)), "self-referral")
        assert stakes(row) == (D("1"), D("0"))


class TestOrderCreditedTwice:
    def test_is_each_conversion_of_an_order_after_the_first(self, books: WarehouseBuilder) -> None:
        books.conversions(
            order(1, "100", "10", order_id="A"),
            order(2, "100", "15", "PENDING", order_id="A", affiliate_id="2"),
            order(3, "100", "5", order_id="A", currency="EUR"),
        )
        second, third = findings(books, "order credited twice")
        assert (second["conversion_id"], second["currency"], stakes(second)) == ("2", "USD", (D("15"), D("15")))
        assert second["evidence"] == (
            "Order A has 3 conversions that count; the first is 1 of affiliate 1 on 2025-03-01."
        )
        assert (third["conversion_id"], third["currency"], stakes(third)) == ("3", "EUR", (D("5"), D("5")))
        assert "of the same affiliate on" in third["evidence"]

    def test_tells_the_first_of_one_second_by_its_id(self, books: WarehouseBuilder) -> None:
        books.conversions(
            order(2, "10", "2", order_id="A", created=day(5)), order(1, "10", "1", order_id="A", created=day(5))
        )
        assert [row["conversion_id"] for row in findings(books, "order credited twice")] == ["2"]

    def test_is_none_where_no_second_conversion_counts(self, books: WarehouseBuilder) -> None:
        books.conversions(*(order(n, "10", "1", order_id=f"{n}") for n in range(1, 8)))
        books.conversions(
            order(11, "10", "1", order_id="1", is_recurring=True),  # a renewal repeats the order's id
            order(12, "10", "1", "DENIED", order_id="2"),
            order(13, "10", "1", "UNQUALIFIED", order_id="3"),  # as Refersion itself does with most of them
            order(14, "10", "1", order_id="4", is_test_conversion=True),
            cancellation(15, 0, "-10", "-1", order_id="5"),
            credit(16, "5", order_id="6"),
            # Moved from one affiliate to another: cancelled for the one, credited to the other.
            cancellation(17, 0, "-10", "-1", order_id="7"),
            order(18, "10", "1.50", order_id="7", affiliate_id="2"),
        )
        assert findings(books, "") == []

    def test_is_none_among_orders_without_an_id(self, books: WarehouseBuilder) -> None:
        assert findings(books.conversions(*(order(n, "10", "1", order_id=None) for n in (1, 2, 3))), "") == []


class TestQuickClick:
    def test_is_less_than_a_minute_before_the_order(self, books: WarehouseBuilder) -> None:
        books.conversions(
            *(
                order(n, "10", "1", click__created=day(n) - before * SECOND)
                for n, before in enumerate((60, 59, 0, -5), 1)
            ),
            order(9, "10", "1"),
        )
        assert {row["conversion_id"]: row["evidence"] for row in findings(books, "quick click")} == {
            "2": "The order was made 59 seconds after the click; less than 60 are quick.",
            "3": "The order was made 0 seconds after the click; less than 60 are quick.",
            "4": "The click came 5 seconds after the order was made.",
        }


class TestNoCommission:
    def test_has_at_stake_what_the_offer_would_give(self, books: WarehouseBuilder) -> None:
        books.conversions(
            order(1, "99.99", "0", offer__type="PERCENT_OF_SALE", offer__amount=D("12.5")),
            order(2, "99.99", "0", offer__type="FLAT_RATE", offer__amount=D("5")),
            order(3, "99.99", "0"),
        )
        percent, flat, unknown = findings(books, "no commission")
        # 99.99 x 12.5 % = 12.49875, to four decimals
        assert [stakes(row) for row in (percent, flat)] == [(D(x), D(x)) for x in ("12.4988", "5")]
        assert stakes(unknown) == (None, None)
        said = "Approved with a total of 99.99 USD and no commission"
        assert percent["evidence"] == f"{said}; the offer's rate is 12.50 %."
        assert flat["evidence"] == f"{said}; the offer gives 5.00 an order."
        assert unknown["evidence"] == f"{said}."

    def test_is_about_approved_orders_alone(self, books: WarehouseBuilder) -> None:
        books.conversions(
            order(1, "10", "0", "PENDING"),
            order(2, "10", "0", "DENIED"),
            order(3, "0", "0"),
            order(4, "10", "0.0001"),
            order(5, "10", "0"),
            cancellation(6, 5, "-10", "0"),
        )
        assert findings(books, "") == []


def burst(count: int, *, first: int = 1, apart: timedelta = timedelta(hours=1), **more: Any) -> list[Row]:
    """Orders of one customer, each `apart` from the one before, with a commission of 1 USD."""
    customer = {"customer__email": "c" * 64, **more}
    start = customer.pop("start", day(10, hour=0))
    return [order(first + n, "10", "1", **{"created": start + n * apart, **customer}) for n in range(count)]


class TestBurst:
    def test_takes_five_orders_within_24_hours(self, books: WarehouseBuilder) -> None:
        """Of five orders the last is four steps after the first."""
        books.conversions(
            *burst(4, first=100, customer__email="four"),
            *burst(5, first=200, customer__email="five"),
            *burst(9, first=300, customer__email="nine"),
            *burst(5, first=400, customer__email="just", apart=timedelta(hours=6)),
            *burst(5, first=500, customer__email="slower", apart=timedelta(hours=6, seconds=1)),
            *burst(5, first=600, customer__email="at once", apart=timedelta(0)),
        )
        found = {(row["traced_by"], row["conversions"]) for row in findings(books, "customer burst")}
        assert found == {("five", 5), ("nine", 9), ("just", 5), ("at once", 5)}

    def test_tells_how_many_when_and_what_is_at_stake(self, database: Path) -> None:
        books = WarehouseBuilder(database, report_timezone="Europe/Berlin")
        books.conversions(*burst(5), paid(6, "10", "1", created=day(10, hour=5), customer__email="c" * 64))
        (row,) = findings(books, "customer burst")
        assert row["evidence"] == (
            "6 orders from one customer from 2025-03-10 01:00:00 to 2025-03-10 06:00:00, of which 6 credited to this "
            "affiliate in USD; 5 within 24 hours are a burst."
        )
        assert (row["conversions"], row["traced_by"], stakes(row)) == (6, "c" * 64, (D("6"), D("5")))
        assert (row["first_at"], row["last_at"]) == (day(10, hour=0), day(10, hour=5))

    def test_goes_on_as_long_as_it_is_dense_and_no_order_beside_it_counts(self, books: WarehouseBuilder) -> None:
        """Nine orders 5 hours apart are one burst of 40 hours; one order long before and one long after are not in."""
        quiet = [order(n, "10", "1", customer__email="c" * 64, created=day(at)) for n, at in ((50, 1), (51, 20))]
        (row,) = findings(books.conversions(*burst(9, apart=timedelta(hours=5)), *quiet), "customer burst")
        assert (row["conversions"], row["last_at"] - row["first_at"]) == (9, timedelta(hours=40))

    def test_of_one_customer_may_come_again(self, books: WarehouseBuilder) -> None:
        books.conversions(*burst(5), *burst(5, first=11, start=day(20)))
        found = findings(books, "customer burst")
        assert [(row["exception_id"], row["conversions"]) for row in found] == [
            ("customer burst:1", 5),
            ("customer burst:11", 5),
        ]

    def test_is_a_row_for_each_affiliate_and_currency(self, books: WarehouseBuilder) -> None:
        first, second, third, *rest = burst(6)
        books.conversions({**first, "affiliate_id": "2"}, {**second, "currency": "EUR"}, third, *rest)
        found = [
            (row["affiliate_id"], row["currency"], row["conversions"], row["amount_at_stake"])
            for row in findings(books, "customer burst")
        ]
        assert sorted(found) == [("1", "EUR", 1, D("1")), ("1", "USD", 4, D("4")), ("2", "USD", 1, D("1"))]

    def test_counts_an_order_once_and_no_renewals(self, books: WarehouseBuilder) -> None:
        twice = [{**row, "order_id": "same", "is_recurring": False} for row in burst(3)]
        renewals = burst(3, first=11, is_recurring=True)
        found = books.conversions(*burst(3, first=21), *twice, *renewals).rows("order_bursts")
        assert found == []  # three orders, one order three times, and three renewals

    def test_of_nobody_in_particular_is_none(self, books: WarehouseBuilder) -> None:
        """A shop's server, or an e-mail that stands for none: credited to many affiliates, or without an end."""
        spread = [{**row, "affiliate_id": row["id"]} for row in burst(11, first=100, customer__email="spread")]
        fewer = [{**row, "affiliate_id": row["id"]} for row in burst(10, first=200, customer__email="fewer")]
        endless = burst(122, first=1000, apart=timedelta(hours=6), customer__email="endless", start=day(1, 1))
        long = burst(121, first=2000, apart=timedelta(hours=6), customer__email="long", start=day(1, 1))
        found = books.conversions(*spread, *fewer, *endless, *long).rows("order_bursts")
        assert {(row["traced_by"], row["orders"]) for row in found} == {("fewer", 10), ("long", 121)}

    def test_of_an_ip_is_told_where_the_customers_differ(self, books: WarehouseBuilder) -> None:
        rows = [{**row, "customer__email": f"{n}" * 64} for n, row in enumerate(burst(5, customer__browser_ip="ip"))]
        (row,) = findings(books.conversions(*rows), "ip burst")
        assert (row["traced_by"], row["exception_id"]) == ("ip", "ip burst:1")

    def test_of_an_ip_is_not_told_again_where_it_is_the_customers(self, books: WarehouseBuilder) -> None:
        books.conversions(*burst(5, customer__browser_ip="ip"))
        assert len(findings(books, "customer burst")) == 1

    def test_leaves_cancelled_orders_out_of_what_is_at_stake(self, books: WarehouseBuilder) -> None:
        books.conversions(*burst(5), cancellation(9, 1, "-10", "-1", created=day(12)))
        (row,) = findings(books, "customer burst")
        assert (row["conversions"], stakes(row)) == (5, (D("4"), D("4")))


MONDAY = datetime(2025, 3, 10, 12, tzinfo=UTC)


def uses(weeks_ago: int, count: int, coupon: str = "SAVE", **more: Any) -> list[Row]:
    """Orders by a coupon in the week of MONDAY or in one before it."""
    start = MONDAY - timedelta(weeks=weeks_ago)
    return [
        order(weeks_ago * 100 + n, "10", "1", coupon_code=coupon, created=start + n * timedelta(minutes=1), **more)
        for n in range(count)
    ]


class TestLeakedCoupon:
    def test_is_used_five_times_as_often_as_before(self, books: WarehouseBuilder) -> None:
        # 2 + 1 + 4 + 1 orders in the four weeks before are 2 a week.
        books.conversions(*uses(0, 10), *uses(1, 2), *uses(2, 1), *uses(3, 4), *uses(4, 1, coupon="save "))
        (row,) = findings(books, "leaked coupon")
        assert row["evidence"] == (
            "Coupon SAVE brought 10 orders without a click in the week from 2025-03-10, against 2.0 a week in the 4 "
            "weeks before; 10 orders and 5 times as many are far above."
        )
        assert (row["coupon_code"], row["conversions"], stakes(row)) == ("SAVE", 10, (D("10"), D("10")))
        (leak,) = books.built("coupon_leaks")
        assert (leak["week"], leak["orders_before"], leak["weeks_before"], leak["baseline"]) == (
            date(2025, 3, 10),
            8,
            4,
            D("2"),
        )

    def test_is_none_below_that(self, books: WarehouseBuilder) -> None:
        cases: list[list[Row]] = [
            [*uses(0, 9), *uses(4, 1)],  # too few to tell
            [*uses(0, 10), *uses(1, 9), *uses(4, 1)],  # 10 against 2.5 a week
            [*uses(0, 20), *uses(3, 1)],  # too new to have a baseline
            uses(0, 20),
            [*uses(0, 10, click__created=MONDAY - timedelta(days=1)), *uses(4, 1)],  # by the affiliate's link
            [*uses(0, 10, is_recurring=True), *uses(4, 1)],
            [*uses(0, 10, status="DENIED"), *uses(4, 1)],
            [*uses(0, 10, order_id="same"), *uses(4, 1)],
        ]
        for number, rows in enumerate(cases):
            books.conversions(*({**row, "id": f"{number}-{row['id']}", "coupon_code": f"{number}"} for row in rows))
        assert books.rows("coupon_leaks") == []

    def test_is_held_against_twelve_weeks_at_most(self, books: WarehouseBuilder) -> None:
        """What was long ago is no baseline: 60 orders 13 weeks ago do not hide ten of today."""
        books.conversions(*uses(0, 10), *uses(12, 12), *uses(13, 60))
        (leak,) = books.rows("coupon_leaks")
        assert (leak["orders_before"], leak["weeks_before"], leak["baseline"]) == (12, 12, D("1"))

    def test_is_a_row_for_each_currency_and_not_for_each_order_credited_twice(self, books: WarehouseBuilder) -> None:
        euros = uses(0, 4, currency="EUR")
        dollars = [{**row, "id": f"9{row['id']}", "order_id": f"d{row['id']}"} for row in uses(0, 6)]
        again = {**dollars[0], "id": "again", "is_recurring": None}
        books.conversions(*euros, *dollars, again, *uses(4, 1))
        found = books.rows("coupon_leaks")
        assert [(row["currency"], row["orders"], row["conversions"]) for row in found] == [
            ("EUR", 10, 4),
            ("USD", 10, 7),
        ]

    def test_of_two_affiliates_with_one_coupon_are_told_apart(self, books: WarehouseBuilder) -> None:
        theirs = [{**row, "id": f"9{row['id']}", "affiliate_id": "2"} for row in uses(0, 6)]
        assert books.conversions(*uses(0, 6), *theirs, *uses(4, 1)).rows("coupon_leaks") == []


def with_cancellations(affiliate_id: str, orders: int, cancelled: int, first: int, **more: Any) -> list[Row]:
    rows: list[Row] = []
    for n in range(first, first + orders):
        rows.append(order(n, "10", "1", **{"affiliate_id": affiliate_id, "created": day(1), **more}))
        if n < first + cancelled:
            taken_back = cancellation(n, n, "-10", "-1", affiliate_id=affiliate_id, created=day(9))
            rows.append({**taken_back, "id": f"c{n}"})
    return rows


class TestCancellations:
    @pytest.mark.parametrize(
        ("orders", "cancelled", "found"),
        [
            pytest.param(20, 6, 1, marks=EXHAUSTIVE),  # 30 % against 7 of 120: 5.8 %
            (20, 5, 1),  # 25 % against 6 of 120: 5 %
            (20, 4, 0),  # too few cancellations
            pytest.param(19, 6, 0, marks=EXHAUSTIVE),  # too few orders
        ],
    )
    def test_are_more_than_three_times_the_programmes_rate(
        self, books: WarehouseBuilder, orders: int, cancelled: int, found: int
    ) -> None:
        books.conversions(*with_cancellations("1", orders, cancelled, 1000), *with_cancellations("2", 100, 1, 2000))
        assert len(findings(books, "cancellations")) == found

    def test_are_not_exactly_three_times_the_rate(self, books: WarehouseBuilder) -> None:
        # 5 of 20 are 25 %; 5 + 5 of 20 + 100 are 8.3 %, three times that is 25 %.
        books.conversions(*with_cancellations("1", 20, 5, 1000), *with_cancellations("2", 100, 5, 2000))
        assert findings(books, "") == []

    def test_tell_both_rates_and_what_is_not_cancelled_yet(self, books: WarehouseBuilder) -> None:
        euros = {**order(1999, "10", "3", "PENDING", currency="EUR", created=day(2)), "affiliate_id": "1"}
        books.conversions(
            *with_cancellations("1", 20, 6, 1000),
            euros,
            paid(1998, "10", "1", created=day(3)),
            *with_cancellations("2", 100, 1, 2000),
        )
        in_euros, in_dollars = findings(books, "cancellations")
        # 6 of 22 and 7 of 122; 14 unpaid dollars are left of 20, and one that was paid.
        assert in_dollars["evidence"] == (
            "6 of 22 orders of the last 365 days were cancelled, 27.3 %, against 5.7 % in the whole programme; "
            "more than 3 times as many are high."
        )
        assert (in_dollars["exception_id"], in_dollars["conversion_id"]) == ("cancellations:1:USD", None)
        assert (in_dollars["conversions"], stakes(in_dollars)) == (21, (D("15"), D("14")))
        assert (in_euros["conversions"], stakes(in_euros)) == (1, (D("3"), D("3")))

    def test_of_more_than_a_year_ago_are_forgotten(self, books: WarehouseBuilder) -> None:
        old = READ_AT - timedelta(days=365)
        books.conversions(*with_cancellations("1", 20, 6, 1000, created=old), *with_cancellations("2", 100, 1, 2000))
        assert findings(books, "") == []


def test_findings_that_can_still_be_stopped_come_first(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1, email_hash=HASH))
    books.conversions(
        paid(20, "10", "1", customer__email=HASH),
        order(5, "10", "1", customer__email=HASH),
        order(9, "10", "1", customer__email=HASH),
    )
    books.build("conversion_exceptions")
    found = books.warehouse.query("SELECT conversion_id FROM refersion_summaries.conversion_exceptions")
    assert [number for (number,) in found] == ["9", "5", "20"]


def test_an_empty_account_has_none(books: WarehouseBuilder) -> None:
    assert books.rows("conversion_exceptions") == []
