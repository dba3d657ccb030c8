"""How what is owed moved from month to month, worked out by hand."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.summaries.build import build
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.summaries.builders import (
    DAILY,
    READ_AT,
    D,
    WarehouseBuilder,
    cancellation,
    credit,
    day,
    history,
    order,
    paid,
    payment,
    reading,
    summary_of,
)

MOVEMENTS = ("opening_due", "newly_due", "manual_credits", "paid", "reversed", "closing_due")
JANUARY, FEBRUARY, MARCH, APRIL = (date(2025, month, 1) for month in range(1, 5))


def by_currency(books: WarehouseBuilder) -> dict[str, dict[date, tuple[Any, ...]]]:
    """opening + newly due + manual credits - paid - reversed = closing, by month; the last month is that of READ_AT."""
    found: dict[str, dict[date, tuple[Any, ...]]] = defaultdict(dict)
    for row in books.rows("commission_roll_forward"):
        assert row["difference"] == 0
        assert row["change_in_due"] == row["closing_due"] - row["opening_due"]
        found[row["currency"]][row["month"]] = tuple(row[name] for name in MOVEMENTS)
    return found


def movements(books: WarehouseBuilder) -> dict[date, tuple[Any, ...]]:
    """Those of books in USD alone."""
    return by_currency(books)["USD"]


def six(*amounts: str) -> tuple[Decimal, ...]:
    return tuple(map(D, amounts))


NOTHING = six("0", "0", "0", "0", "0", "0")


def test_every_month_from_the_first_to_the_last_reading_ties(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(7, day(9, 2), "new", "PENDING", "50"),
        history(7, day(10, 2), "changed", "APPROVED", "50"),
        history(7, day(12, 3), "changed", "DENIED", "50"),
    )
    books.conversions(order(7, "500", "50", "DENIED", created=day(9, 2), updated=day(12, 3)))
    books.watched(order(2, "200", "20", created=day(2, 1)), approved=day(20, 1))
    books.watched(
        paid(1, "100", "10", created=day(10, 1), payment__created=day(15, 2)),
        order(3, "400", "40", created=day(3, 2)),
        cancellation(4, 3, "-400", "-40", created=day(5, 3)),
        credit(5, "7", created=day(20, 2)),
        credit(6, "-3", created=day(10, 3)),
        order(8, "900", "90", "PENDING", created=day(1, 1)),
        order(9, "1000", "100", created=day(1, 3), currency="EUR"),
    )
    found = by_currency(books)
    assert found["USD"] == {
        # 10 and 20 were approved.
        JANUARY: six("0", "30", "0", "0", "0", "30"),
        # 40 and 50 were approved, 10 was paid.
        FEBRUARY: six("30", "90", "7", "10", "0", "117"),
        # 40 was cancelled, and the approval of 50 taken back.
        MARCH: six("117", "0", "-3", "0", "90", "24"),
        # 20 + 40 - 40 + 7 - 3 are left.
        APRIL: six("24", "0", "0", "0", "0", "24"),
    }
    assert found["EUR"] == {
        MARCH: six("0", "100", "0", "0", "0", "100"),
        APRIL: six("100", "0", "0", "0", "0", "100"),
    }


def test_the_last_closing_is_the_liability(books: WarehouseBuilder) -> None:
    books.conversions(order(1, "10", "1"), cancellation(2, 1, "-10", "-3"), order(3, "10", "5", currency="EUR"))
    books.build("commission_liability", "commission_roll_forward")
    liability = {row["currency"]: row["due"] for row in books.built("commission_liability")}
    rows = books.built("commission_roll_forward", "currency", "month", "closing_due")
    closings = {row["currency"]: row["closing_due"] for row in rows if row["month"] == APRIL}
    assert closings == liability == {"USD": D("-2"), "EUR": D("5")}


def test_months_without_anything_have_rows(books: WarehouseBuilder) -> None:
    books.conversions(paid(1, "10", "1", created=day(1, 1), payment__created=day(2, 1)))
    assert movements(books) == {
        JANUARY: six("0", "1", "0", "1", "0", "0"),
        **dict.fromkeys((FEBRUARY, MARCH, APRIL), NOTHING),
    }


def test_a_currency_with_nothing_but_pending_rows_owes_nothing(books: WarehouseBuilder) -> None:
    books.conversions(order(1, "10", "1", "PENDING"))
    assert movements(books)[APRIL] == NOTHING


def test_nothing_read_is_no_row(books: WarehouseBuilder) -> None:
    assert books.rows("commission_roll_forward") == []


def test_tests_and_rows_that_vanished_are_in_no_month(books: WarehouseBuilder) -> None:
    books.watched(
        order(1, "10", "1"),
        order(2, "10", "2", is_test_conversion=True),
        order(3, "10", "4", created=day(1, 1), vanished_at=day(20)),
        paid(4, "10", "8", created=day(1, 1), vanished_at=day(20)),
        order(5, "10", "16", "PENDING", vanished_at=day(20)),
    )
    assert movements(books) == {MARCH: six("0", "1", "0", "0", "0", "1"), APRIL: six("1", "0", "0", "0", "0", "1")}
    # Of those that vanished, 4 had been due.
    assert books.built("commission_roll_forward", "vanished_due") == [
        {"vanished_due": D("4")},
        {"vanished_due": D("0")},
    ]


def test_a_row_approved_twice_moves_each_time(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(10, 1), "new", "APPROVED", "50"),
        history(1, day(10, 2), "changed", "DENIED", "50"),
        history(1, day(10, 3), "changed", "APPROVED", "50"),
    )
    books.conversions(order(1, "500", "50", created=day(10, 1)))
    assert movements(books) == {
        JANUARY: six("0", "50", "0", "0", "0", "50"),
        FEBRUARY: six("50", "0", "0", "0", "50", "0"),
        MARCH: six("0", "50", "0", "0", "0", "50"),
        APRIL: six("50", "0", "0", "0", "0", "50"),
    }


def test_payments_lower_what_is_due_in_their_month(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        # AAA: a payment that was taken back.
        history(1, day(10, 1), "new", "APPROVED", "50", currency="AAA"),
        history(1, day(10, 2), "changed", "APPROVED", "50", currency="AAA", payment_status="PAID"),
        history(1, day(10, 3), "changed", "APPROVED", "50", currency="AAA"),
        # BBB: denied after it was paid.
        history(2, day(10, 1), "new", "APPROVED", "50", currency="BBB"),
        history(2, day(10, 2), "changed", "APPROVED", "50", currency="BBB", payment_status="PAID"),
        history(2, day(10, 3), "changed", "DENIED", "50", currency="BBB", payment_status="PAID"),
        # CCC: pending in one reading, approved and paid in the next.
        history(3, day(10, 1), "new", "PENDING", "50", currency="CCC"),
        history(3, day(9, 2, hour=13), "changed", "APPROVED", "50", currency="CCC", payment_status="PAID"),
    )
    made = {"created": day(10, 1), "payment__created": day(9, 2)}
    books.conversions(
        order(1, "500", "50", created=day(10, 1), currency="AAA"),
        paid(2, "500", "50", currency="BBB", status="DENIED", **made),
        paid(3, "500", "50", currency="CCC", **made),
    )
    books.watched(
        # DDD: a payment of an order and the cancellation of another.
        paid(5, "100", "10", currency="DDD", **made),
        paid(6, "-40", "-4", currency="DDD", type="CANCELLATION_AFFILIATE_SITE_CONVERSION", **made),
        # EEE: a payment dated after the last reading counts in its month.
        paid(7, "100", "10", currency="EEE", **(made | {"payment__created": READ_AT + timedelta(hours=10)})),
    )
    found = by_currency(books)
    assert found["AAA"] == {
        JANUARY: six("0", "50", "0", "0", "0", "50"),
        FEBRUARY: six("50", "0", "0", "50", "0", "0"),
        MARCH: six("0", "0", "0", "-50", "0", "50"),
        APRIL: six("50", "0", "0", "0", "0", "50"),
    }
    assert found["BBB"] == {
        JANUARY: six("0", "50", "0", "0", "0", "50"),
        FEBRUARY: six("50", "0", "0", "50", "0", "0"),
        **dict.fromkeys((MARCH, APRIL), NOTHING),
    }
    assert found["CCC"] == {
        JANUARY: NOTHING,
        FEBRUARY: six("0", "50", "0", "50", "0", "0"),
        **dict.fromkeys((MARCH, APRIL), NOTHING),
    }
    assert found["DDD"][JANUARY] == six("0", "10", "0", "0", "4", "6")
    assert found["DDD"][FEBRUARY] == six("6", "0", "0", "6", "0", "0")
    assert found["EEE"][MARCH] == six("10", "0", "0", "0", "0", "10")
    assert found["EEE"][APRIL] == six("10", "0", "0", "10", "0", "0")


def test_between_readings_that_lie_far_apart_payments_have_dates_and_the_rest_has_bounds(
    books: WarehouseBuilder,
) -> None:
    books.add("conversion_readings", *map(reading, (day(10, 1), day(20, 3), READ_AT)))
    books.add(
        "conversion_history",
        history(1, day(10, 1), "new", "PENDING", "50"),
        history(1, day(20, 3), "changed", "APPROVED", "50", payment_status="PAID", updated=day(9, 3)),
    )
    books.conversions(paid(1, "500", "50", created=day(10, 1), payment__created=day(9, 3), updated=day(9, 3)))
    names = ("month", "paid", "newly_due", "closing_due", "closing_lowest", "closing_highest", "basis")
    gap = "no reading between 2025-01-10 and 2025-03-20"
    assert [tuple(row.values()) for row in books.rows("commission_roll_forward", *names)] == [
        (JANUARY, D("0"), None, None, D("0"), D("50"), gap),
        (FEBRUARY, D("0"), None, None, D("0"), D("50"), gap),
        (MARCH, D("50"), None, None, D("0"), D("0"), "no reading between 2025-03-20 and 2025-04-01"),
        (APRIL, D("0"), None, D("0"), D("0"), D("0"), "running"),
    ]


def test_of_a_conversion_that_was_paid_by_another_payment_since_nothing_is_known_of_the_months_between(
    books: WarehouseBuilder,
) -> None:
    books.add("payments", payment(901, "50", 1, created=day(14, 2), vanished_at=READ_AT))
    books.add("payments", payment(902, "50", 1, created=day(20, 3)))
    books.add("conversion_readings", *(one for one in DAILY if one["read_at"] <= day(20, 2)), reading(READ_AT))
    books.add(
        "conversion_history",
        history(1, day(10, 1), "new", "APPROVED", "50"),
        history(
            1, day(15, 2), "changed", "APPROVED", "50", payment_status="PAID", payment_id="901", seen_before=day(14, 2)
        ),
    )
    books.conversions(paid(1, "500", "50", created=day(10, 1), payment_id="902", payment__created=day(20, 3)))
    rows = books.rows("commission_roll_forward", "month", "paid", "closing_due")
    assert [tuple(row.values()) for row in rows] == [
        (JANUARY, D("0"), D("50")),
        (FEBRUARY, None, None),
        (MARCH, None, None),
        (APRIL, D("0"), D("0")),
    ]


def test_where_readings_show_no_payment_status_the_payment_has_its_date_and_what_was_due_before_has_bounds(
    books: WarehouseBuilder,
) -> None:
    books.add("conversion_history", history(3, day(10, 1), "new", "APPROVED", "50", payment_status=None))
    books.conversions(
        paid(3, "500", "50", created=day(10, 1), payment_status=None, updated=day(9, 2), payment__created=day(9, 2))
    )
    names = ("month", "paid", "closing_due", "closing_lowest", "closing_highest", "basis")
    assert [tuple(row.values()) for row in books.rows("commission_roll_forward", *names)][:2] == [
        (JANUARY, D("0"), None, D("0"), D("50"), "seen, but not of all conversions"),
        (FEBRUARY, D("50"), D("0"), D("0"), D("0"), "seen"),
    ]


def test_a_changed_commission_is_a_movement_of_the_month_it_was_changed_in(books: WarehouseBuilder) -> None:
    cases: dict[str, tuple[dict[str, Any], str, tuple[Decimal, ...]]] = {
        # Raised from 10 to 12: 2 more are due. Lowered from 15 to 12: 3 of them are reversed.
        "AAA": (order(1, "100", "12"), "10", six("10", "2", "0", "0", "0", "12")),
        "BBB": (order(2, "100", "12"), "15", six("15", "0", "0", "0", "3", "12")),
        # A cancellation of 15 that takes back 12 only: reversed are 3 less.
        "CCC": (cancellation(3, 9, "-100", "-12"), "-15", six("-15", "0", "0", "0", "-3", "-12")),
        "DDD": (credit(4, "12"), "15", six("15", "0", "-3", "0", "0", "12")),
        # 15 were due and 12 were paid: nothing is left.
        "EEE": (paid(5, "100", "12", payment__created=day(15, 3)), "15", six("15", "0", "0", "12", "3", "0")),
    }
    for number, (currency, (row, before, _)) in enumerate(cases.items(), start=1):
        now, payment_status = str(row["commission_total"]), row["payment_status"]
        books.add(
            "conversion_history",
            history(number, day(3, 2), "new", "APPROVED", before, currency=currency),
            history(number, day(16, 3), "changed", "APPROVED", now, currency=currency, payment_status=payment_status),
        )
        books.conversions({**row, "created": day(1, 2), "currency": currency})
    assert {currency: of[MARCH] for currency, of in by_currency(books).items()} == {
        currency: march for currency, (_, _, march) in cases.items()
    }


def test_a_commission_changed_while_it_is_pending_or_paid_moves_nothing(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(3, 1), "new", "PENDING", "15"),
        history(1, day(4, 1), "changed", "PENDING", "12"),
        history(1, day(5, 1), "changed", "APPROVED", "12"),
        history(1, day(6, 1), "changed", "APPROVED", "12", payment_status="PAID"),
        history(1, day(7, 2), "changed", "APPROVED", "99", payment_status="PAID"),
    )
    books.conversions(paid(1, "100", "99", created=day(1, 1), payment__created=day(6, 1)))
    assert movements(books) == {
        JANUARY: six("0", "12", "0", "12", "0", "0"),
        **dict.fromkeys((FEBRUARY, MARCH, APRIL), NOTHING),
    }


def test_a_changed_currency_moves_the_commission_from_one_to_the_other(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(3, 2), "new", "APPROVED", "15", currency="EUR"),
        history(1, day(4, 3), "changed", "APPROVED", "12"),
    )
    books.conversions(order(1, "100", "12", created=day(1, 2)))
    found = by_currency(books)
    assert found["EUR"][MARCH] == six("15", "0", "0", "0", "15", "0")
    assert found["USD"][MARCH] == six("0", "12", "0", "0", "0", "12")


@pytest.mark.parametrize(
    ("zone", "last_of_february", "last_of_march"),
    limit_cases(
        [
            ("UTC", "2025-02-28T23:59:59+00:00", "2025-03-31T23:59:59+00:00"),
            # Clocks go on by an hour on March 9 and March 30, so April begins an hour earlier.
            ("America/New_York", "2025-03-01T04:59:59+00:00", "2025-04-01T03:59:59+00:00"),
            ("Europe/Berlin", "2025-02-28T22:59:59+00:00", "2025-03-31T21:59:59+00:00"),
            ("Pacific/Kiritimati", "2025-02-28T09:59:59+00:00", "2025-03-31T09:59:59+00:00"),
        ],
        2,
    ),
)
def test_months_are_those_of_the_reporting_time_zone(
    database: Path, zone: str, last_of_february: str, last_of_march: str
) -> None:
    books = WarehouseBuilder(database, report_timezone=zone)
    one, other = map(datetime.fromisoformat, (last_of_february, last_of_march))
    second = timedelta(seconds=1)
    approvals = [("1", one), ("2", one + second), ("4", other), ("8", other + second)]
    for number, (commission, approved) in enumerate(approvals, start=1):
        books.watched(order(number, "10", commission, created=day(15, 2)), approved=approved)
    assert {month: movement[1] for month, movement in movements(books).items()} == {
        FEBRUARY: D("1"),
        MARCH: D("6"),
        APRIL: D("8"),
    }


def test_it_is_told_how_each_month_is_known(books: WarehouseBuilder) -> None:
    books.add("conversion_history", history(1, day(3, 2), "new", "APPROVED"))
    books.conversions(order(1, "10", "1", created=day(10, 1))).watched(order(2, "10", "2", created=day(25, 2)))
    gap = (day(12, 2), day(20, 2))
    moments = [one["read_at"] for one in DAILY if one["read_at"] >= day(3, 2)]
    books.add("conversion_readings", *(reading(one) for one in moments if not gap[0] < one < gap[1]))
    rows = books.rows("commission_roll_forward", "month", "basis", "closing_due", "closing_lowest", "closing_highest")
    assert [tuple(row.values()) for row in rows] == [
        (JANUARY, "before the first reading", None, D("0"), D("1")),
        (FEBRUARY, "no reading between 2025-02-12 and 2025-02-20", None, D("3"), D("3")),
        (MARCH, "seen", D("3"), D("3"), D("3")),
        (APRIL, "running", D("3"), D("3"), D("3")),
    ]


def test_a_movement_that_was_lost_shows_as_a_difference(books: WarehouseBuilder) -> None:
    books.watched(order(1, "10", "1", created=day(10, 1)), paid(2, "10", "2", created=day(10, 1)))
    books.build("commission_roll_forward")
    with books.warehouse.session() as session:
        session.query("DELETE FROM refersion_summaries.due_periods WHERE conversion_id = '1'")
        build(session, summary_of("commission_roll_forward"), books.settings.parameters())
    rows = books.built("commission_roll_forward", "month", "difference")
    assert {row["month"]: row["difference"] for row in rows if row["difference"]} == {JANUARY: D("-1")}


def test_amounts_of_four_decimals_and_many_digits_stay_exact(books: WarehouseBuilder) -> None:
    books.conversions(
        order(1, "10", "99999999999999.9999", created=READ_AT),
        order(2, "10", "99999999999999.9999", created=READ_AT),
        order(3, "10", "0.0001", created=READ_AT),
    )
    assert movements(books)[APRIL][-1] == D("199999999999999.9999")
