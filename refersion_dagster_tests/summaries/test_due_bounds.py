"""What was due at a month's end of conversions that are older than what each night reads."""

from datetime import UTC, date, datetime

import pytest

from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.summaries.builders import DAILY, READ_AT, D, WarehouseBuilder, day, order, reading

FEBRUARY, MARCH = date(2025, 2, 1), date(2025, 3, 1)


@pytest.fixture
def old(books: WarehouseBuilder) -> WarehouseBuilder:
    """A conversion of January that is due and was last read on 10 February; younger ones are read daily."""
    shorter = {"read_from": day(11, 2)}
    books.add("conversion_readings", *(one if one["read_at"] <= day(10, 2) else {**one, **shorter} for one in DAILY))
    books.watched(order(1, "100", "10", created=day(10, 1), currency="JPY", read_at=day(10, 2), updated=day(10, 1)))
    return books.watched(order(2, "100", "20", "PENDING", currency="JPY"))


def closings(books: WarehouseBuilder) -> dict[date, tuple[object, ...]]:
    names = ("closing_due", "closing_lowest", "closing_highest")
    return {row["month"]: tuple(row[name] for name in names) for row in books.rows("commission_roll_forward")}


def test_what_was_not_read_since_has_bounds(old: WarehouseBuilder) -> None:
    assert closings(old)[FEBRUARY] == (None, D("0"), D("10"))
    assert closings(old)[MARCH] == (None, D("0"), D("10"))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("proven_by", "currency"), limit_cases([("counts", "(all)"), ("totals", "JPY")]))
def test_what_is_unchanged_by_refersions_sums_is_known(old: WarehouseBuilder, proven_by: str, currency: str) -> None:
    month = {"read_from": datetime(2025, 1, 1, tzinfo=UTC), "read_to": datetime(2025, 2, 1, tzinfo=UTC)}
    old.add("conversion_readings", {**reading(READ_AT), **month, "proven_by": proven_by, "currency": currency})
    assert closings(old)[FEBRUARY] == (D("10"), D("10"), D("10"))
    assert closings(old)[MARCH] == (D("10"), D("10"), D("10"))


@pytest.mark.exhaustive
def test_totals_of_another_currency_prove_nothing(old: WarehouseBuilder) -> None:
    month = {"read_from": datetime(2025, 1, 1, tzinfo=UTC), "read_to": datetime(2025, 2, 1, tzinfo=UTC)}
    old.add("conversion_readings", {**reading(READ_AT), **month, "proven_by": "totals", "currency": "USD"})
    assert closings(old)[MARCH] == (None, D("0"), D("10"))


def test_what_was_denied_when_it_was_first_read_may_have_been_due_before(books: WarehouseBuilder) -> None:
    """Approved in January and denied in March, which nobody saw: the account was read from April on."""
    read_at = datetime(2025, 4, 1, 12, tzinfo=UTC)
    books.add("conversion_readings", reading(read_at))
    books.conversions(order(1, "100", "10", "DENIED", created=day(10, 1), currency="JPY", read_at=read_at))
    books.add(
        "conversion_history",
        {
            "id": "1",
            "seen_at": read_at,
            "change": "first load",
            "status": "DENIED",
            "payment_status": "UNPAID",
            "total": D("100"),
            "commission_total": D("10"),
            "currency": "JPY",
        },
    )
    assert closings(books)[FEBRUARY] == (None, D("0"), D("10"))
    assert closings(books)[date(2025, 4, 1)] == (D("0"), D("0"), D("0"))
