"""A conversion that moves to another affiliate: to whom it was due, in which month."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from refersion_dagster.report.statements.bounds import (
    Bounds,
    bound_statements,
    find_unknown_currencies,
    from_bounds,
    rolled_bounds,
)
from refersion_dagster_tests.report.statements.statement_helpers import FEBRUARY, JANUARY, MARCH, READ, lines, stated
from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    D,
    WarehouseBuilder,
    day,
    history,
    order,
    payment,
    reading,
)

MOVED = "when conversions moved from one affiliate to another is not known"
# Daily but for what comes after the last of January, so that a move in between is seen on the second of February.
BEFORE, AFTER = day(31, 1, hour=20), day(1, 2, hour=20)
READINGS = [reading(moment) for moment in (*(BEFORE - timedelta(days=ago) for ago in range(60, -1, -1)), AFTER)]
LATER = [*(reading(AFTER + timedelta(days=later)) for later in range(1, 59)), reading(READ_AT)]


def seen(moment: datetime, affiliate_id: str | None, **more: Any) -> dict[str, Any]:
    """What a reading shows of conversion 1, which is due."""
    return {**history(1, moment, "changed", "APPROVED", "10"), "affiliate_id": affiliate_id, **more}


def mine(commission: str = "10", **more: Any) -> dict[str, Any]:
    """Conversion 1 as it is now, affiliate 2's."""
    return order(1, "100", commission, created=day(2, 1), affiliate_id="2", **more)


def of_january(affiliate_id: str | None = "1") -> dict[str, Any]:
    """It was approved in January, for affiliate 1."""
    return seen(day(3, 1), affiliate_id, updated=day(2, 1, hour=18))


def stretches(books: WarehouseBuilder) -> list[tuple[Any, ...]]:
    columns = ("affiliate_id", "amount", "entry_reason", "from_month", "exit_reason", "until_month")
    return [tuple(row.values()) for row in books.rows("due_periods", *columns, order="step")]


def test_each_month_counts_it_for_the_affiliate_of_that_month(books: WarehouseBuilder) -> None:
    moved = seen(day(11, 2), "2", updated=day(10, 2, hour=15))
    books.add("conversion_history", of_january(), moved).conversions(mine(updated=day(10, 2, hour=15)))
    assert stated(books, JANUARY) == {("1", "USD"): lines("0", "10", "10", "0", "0", "0", "10")}
    # It leaves the one and comes to the other.
    assert stated(books, FEBRUARY) == {
        ("1", "USD"): lines("10", "0", "0", "-10", "0", "0", "0"),
        ("2", "USD"): lines("0", "0", "0", "10", "0", "0", "10"),
    }
    assert stated(books, MARCH) == {("2", "USD"): lines("10", "0", "0", "0", "0", "0", "10")}
    assert stretches(books) == [
        ("1", D("10"), "approved", JANUARY, "moved", FEBRUARY),
        ("2", D("10"), "moved", FEBRUARY, None, None),
    ]
    rolled = {row["month"]: row for row in books.built("commission_roll_forward")}
    assert [rolled[month]["closing_due"] for month in (JANUARY, FEBRUARY, MARCH)] == [D("10")] * 3
    assert {rolled[FEBRUARY][line] for line in ("newly_due", "manual_credits", "paid", "reversed")} == {D("0")}


def test_a_commission_that_is_changed_with_the_move_is_a_correction_for_the_new_one(books: WarehouseBuilder) -> None:
    moved = seen(day(11, 2), "2", updated=day(10, 2, hour=15), commission_total=D("12"))
    books.add("conversion_history", of_january(), moved).conversions(mine("12", updated=day(10, 2, hour=15)))
    assert stated(books, FEBRUARY) == {
        ("1", "USD"): lines("10", "0", "0", "-10", "0", "0", "0"),
        ("2", "USD"): lines("0", "0", "2", "10", "0", "0", "12"),
    }


@pytest.mark.exhaustive
def test_what_was_paid_stays_with_whom_it_was_paid_to(books: WarehouseBuilder) -> None:
    settled = {"payment_status": "PAID", "payment_id": "900"}
    books.add("payments", payment(900, "10", 1, created=day(5, 2), affiliate__id="1"))
    books.add(
        "conversion_history",
        of_january(),
        seen(day(6, 2), "1", **settled, updated=day(5, 2)),
        seen(day(11, 3), "2", **settled, updated=day(10, 3)),
    )
    books.conversions(mine(**settled, payment__created=day(5, 2), updated=day(10, 3)))
    assert stated(books, FEBRUARY) == {("1", "USD"): lines("10", "0", "0", "0", "0", "10", "0")}
    assert stated(books, MARCH) == {}


@pytest.mark.exhaustive
@pytest.mark.parametrize("updated", [None, day(1, 2, hour=3)], ids=["not told", "told"])
def test_a_move_between_the_readings_about_a_months_end_is_known_where_refersion_says_when(
    books: WarehouseBuilder, updated: datetime | None
) -> None:
    books.add("conversion_readings", *READINGS, *LATER)
    books.add("conversion_history", of_january(), seen(AFTER, "2", updated=updated, seen_before=BEFORE))
    books.conversions(mine(updated=updated))
    books.build(*READ)
    with books.warehouse.session() as session:
        unknown = {month: find_unknown_currencies(session, month) for month in (JANUARY, FEBRUARY, MARCH)}
        partly = bound_statements(session, JANUARY, [], unknown[JANUARY])
        rolled = rolled_bounds(session, JANUARY)
        assert list(from_bounds(partly, rolled)) == []
    # Of all affiliates together it is known either way.
    closings = {row["month"]: row["closing_due"] for row in books.built("commission_roll_forward")}
    assert closings[JANUARY] == closings[FEBRUARY] == closings[MARCH] == D("10")
    if updated:
        assert unknown == {JANUARY: {}, FEBRUARY: {}, MARCH: {}}
        assert stated(books, JANUARY) == {("1", "USD"): lines("0", "10", "10", "0", "0", "0", "10")}
    else:
        assert unknown == {JANUARY: {"USD": MOVED}, FEBRUARY: {"USD": MOVED}, MARCH: {}}
        either = Bounds(D("0"), D("10"))
        assert {one.affiliate_id: one.closing for one in partly} == {"1": either, "2": either}
        assert rolled["USD"][1] == Bounds(D("0"), D("20"))


def test_a_history_that_was_begun_before_affiliates_were_kept_shows_no_move(books: WarehouseBuilder) -> None:
    books.add("conversion_history", of_january(None), seen(day(11, 2), None, commission_total=D("12")))
    books.add("conversion_history", seen(day(1, 3), "2", commission_total=D("12"), payment_id=None))
    books.conversions(mine("12"))
    assert {row[0] for row in stretches(books)} == {"2"}


def test_a_move_that_is_found_weeks_later_is_bounds_for_both(books: WarehouseBuilder) -> None:
    books.add("conversion_history", of_january(), seen(day(20, 3), "2", seen_before=day(20, 1)))
    books.add("conversion_readings", reading(day(3, 1)), reading(day(20, 1)), reading(day(20, 3)), reading(READ_AT))
    books.conversions(mine())
    found = books.rows("due_bounds")
    over_february = [
        (row["affiliate_id"], row["lowest"], row["highest"])
        for row in found
        if row["from_month"] <= FEBRUARY and (row["until_month"] or date.max) > FEBRUARY
    ]
    assert sorted(over_february) == [("1", D("0"), D("10")), ("2", D("0"), D("10"))]
