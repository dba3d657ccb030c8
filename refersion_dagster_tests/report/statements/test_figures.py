"""Statements compared with manual calculations: opening + approved + adjustments - reversed - paid = closing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refersion_dagster.report.statements.bounds import find_unknown_currencies
from refersion_dagster.report.statements.figures import first_month, read_last_reading
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.report.statements.statement_helpers import (
    APRIL,
    FEBRUARY,
    JANUARY,
    MARCH,
    READ,
    all_tied,
    conversions,
    lines,
    stated,
)
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
    reading,
)
from refersion_dagster_tests.summaries.definitions import FOUND_AS_IT_IS
from refersion_dagster_tests.summaries.strategies import ZONES, Life, many_lives, month_of, months, read_after_each

EXAMPLES = settings(max_examples=6, phases=FOUND_AS_IT_IS, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.exhaustive
def test_a_balance_goes_on_from_month_to_month(books: WarehouseBuilder) -> None:
    books.watched(order(2, "200", "20", created=day(2, 1)), approved=day(20, 1))
    books.watched(
        paid(1, "100", "10", created=day(10, 1), payment__created=day(15, 2)),
        order(3, "400", "40", created=day(3, 2)),
        cancellation(4, 3, "-400", "-40", created=day(5, 3)),
        credit(5, "7", created=day(20, 2)),
        credit(6, "-3", created=day(10, 3)),
        order(7, "900", "90", "PENDING", created=day(6, 3)),
    )
    assert stated(books, JANUARY) == {("1", "USD"): lines("0", "30", "30", "0", "0", "0", "30")}
    assert stated(books, FEBRUARY) == {("1", "USD"): lines("30", "40", "40", "7", "0", "10", "67")}
    # 90 are earned but pending, so they are not approved.
    assert stated(books, MARCH) == {("1", "USD"): lines("67", "90", "0", "-3", "40", "0", "24")}
    assert stated(books, APRIL) == {("1", "USD"): lines("24", "0", "0", "0", "0", "0", "24")}


def test_the_conversions_are_those_made_in_the_month_and_those_that_moved_the_balance(books: WarehouseBuilder) -> None:
    books.watched(order(2, "200", "20", created=day(2, 1)), approved=day(20, 1))
    books.watched(order(5, "500", "50", created=day(28, 1)), approved=day(1, 2))
    books.watched(
        paid(1, "100", "10", created=day(10, 1), payment__created=day(15, 2)),
        order(3, "300", "30", "PENDING", created=day(3, 2)),
        order(4, "400", "40", "DENIED", created=day(4, 2)),
        order(6, "600", "60", created=day(5, 3)),
    )
    books.build(*READ)
    found = conversions(books, FEBRUARY)
    assert list(found) == ["1", "5", "3", "4"]  # in the order of creation
    told = {
        id_: (row.order_id, row.made_on, row.conversion_kind, row.commission_state, row.commission)
        for id_, row in found.items()
    }
    assert told == {
        "1": ("order-1", date(2025, 1, 10), "order", "paid", D("10")),
        "5": ("order-5", date(2025, 1, 28), "order", "due", D("50")),
        "3": ("order-3", date(2025, 2, 3), "order", "pending", D("30")),
        "4": ("order-4", date(2025, 2, 4), "order", "denied", D("40")),
    }
    moved = {id_: (row.earned, row.approved, row.paid) for id_, row in found.items()}
    assert moved == {
        "1": (D("0"), D("0"), D("10")),
        "5": (D("0"), D("50"), D("0")),
        "3": (D("30"), D("0"), D("0")),
        "4": (D("0"), D("0"), D("0")),
    }


def test_a_clawback_after_payment_leaves_a_negative_balance(books: WarehouseBuilder) -> None:
    books.watched(
        paid(1, "100", "10", created=day(10, 1), payment__created=day(15, 2)),
        cancellation(2, 1, "-100", "-10", created=day(5, 3)),
    )
    assert stated(books, MARCH) == {("1", "USD"): lines("0", "0", "0", "0", "10", "0", "-10")}
    assert stated(books, APRIL) == {("1", "USD"): lines("-10", "0", "0", "0", "0", "0", "-10")}


def test_a_payment_that_is_taken_back_is_owed_again(books: WarehouseBuilder) -> None:
    books.conversions(order(1, "100", "10", created=day(10, 1)))
    books.add(
        "conversion_history",
        history(1, day(10, 1), "new", "APPROVED", "10"),
        history(1, day(10, 2), "changed", "APPROVED", "10", payment_status="PAID"),
        history(1, day(10, 3), "changed", "APPROVED", "10"),
    )
    assert stated(books, FEBRUARY) == {("1", "USD"): lines("10", "0", "0", "0", "0", "10", "0")}
    assert stated(books, MARCH) == {("1", "USD"): lines("0", "0", "0", "0", "0", "-10", "10")}


def test_a_commission_that_is_corrected_moves_by_the_difference(books: WarehouseBuilder) -> None:
    books.conversions(order(1, "100", "6", created=day(10, 1)), credit(2, "5", created=day(11, 1)))
    books.add(
        "conversion_history",
        history(1, day(10, 1), "new", "APPROVED", "10"),
        history(1, day(10, 2), "changed", "APPROVED", "6"),
        history(2, day(11, 1), "new", "APPROVED", "8"),
        history(2, day(10, 2), "changed", "APPROVED", "5"),
    )
    assert stated(books, FEBRUARY) == {("1", "USD"): lines("18", "0", "0", "-3", "4", "0", "11")}


def test_currencies_are_statements_of_their_own(books: WarehouseBuilder) -> None:
    books.watched(
        order(1, "100", "10.0001", created=day(10, 2)), order(2, "7000", "700", created=day(11, 2), currency="JPY")
    )
    assert stated(books, FEBRUARY) == {
        ("1", "JPY"): lines("0", "700", "700", "0", "0", "0", "700"),
        ("1", "USD"): lines("0", "10.0001", "10.0001", "0", "0", "0", "10.0001"),
    }


LAST_MONTHS = [("UTC", MARCH), ("America/New_York", FEBRUARY), ("Asia/Tokyo", MARCH)]


@pytest.mark.parametrize(("zone", "month"), limit_cases(LAST_MONTHS))
def test_a_month_ends_when_it_does_in_the_reporting_time_zone(
    empty_raw_tables: Path, tmp_path: Path, zone: str, month: date
) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(empty_raw_tables.read_bytes())
    books = WarehouseBuilder(path, report_timezone=zone)
    books.watched(order(1, "100", "10", created=day(1, 3, hour=3)))
    assert stated(books, month) == {("1", "USD"): lines("0", "10", "10", "0", "0", "0", "10")}
    (row,) = conversions(books, month).values()
    assert row.made_on.replace(day=1) == month


def test_an_affiliate_without_activity_has_a_statement_while_something_is_owed(books: WarehouseBuilder) -> None:
    books.watched(
        order(1, "100", "10", created=day(10, 1)),
        paid(2, "100", "10", affiliate_id="2", created=day(10, 1), payment__created=day(20, 1)),
    )
    assert stated(books, MARCH) == {("1", "USD"): lines("10", "0", "0", "0", "0", "0", "10")}
    assert conversions(books, MARCH) == {}


def test_names_are_refersions_or_of_deleted_affiliates_those_of_their_conversions(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1, name="<script>alert(1)</script>"), affiliate(3))
    books.watched(
        order(1, "1", "1", created=day(10, 2)),
        order(2, "1", "1", created=day(11, 2), affiliate_id="2", affiliate__name="=cmd()"),
        order(3, "1", "1", created=day(12, 2), affiliate_id=None, affiliate__email="Gone@Example.com"),
        order(4, "1", "1", created=day(12, 2), affiliate_id=None),
    )
    books.build(*READ)
    found, _ = all_tied(books, FEBRUARY)
    assert {one.affiliate_id: one.name for one in found} == {
        "1": "<script>alert(1)</script>",
        "2": "=cmd()",
        "gone@example.com": None,
        "(unknown)": None,
    }


def test_of_one_affiliate_only_the_conversions_are_read(books: WarehouseBuilder) -> None:
    books.watched(order(1, "1", "1"), order(2, "2", "2", affiliate_id="2"))
    books.build(*READ)
    assert list(conversions(books, MARCH, affiliate="2")) == ["2"]
    assert conversions(books, MARCH, affiliate="' OR TRUE --") == {}


def test_an_account_that_was_never_read_has_none(books: WarehouseBuilder) -> None:
    assert stated(books, MARCH) == {}
    with books.warehouse.session() as session:
        assert read_last_reading(session) is None
        assert first_month(session) is None


@pytest.fixture(scope="module")
def lived_in(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("lives") / "warehouse.duckdb"
    path.write_bytes(empty_raw_tables.read_bytes())
    with WarehouseBuilder(path).warehouse.write_lock(print):
        yield path


def payments_of(life: Life) -> int:
    return sum(state.is_paid and not (before and before.is_paid) for state, before in life.steps())


@pytest.mark.exhaustive
@given(lives=many_lives(), zone=st.sampled_from(ZONES))
@EXAMPLES
def test_whatever_becomes_of_conversions_every_line_ties_in_every_month(
    lived_in: Path, lives: list[Life], zone: str
) -> None:
    # Otherwise a month may end between two readings, and would not be known.
    lives = [replace(life, tells=True) for life in lives]
    readings = read_after_each(lives)
    books = WarehouseBuilder(lived_in, report_timezone=zone).empty().add("conversion_readings", *map(reading, readings))
    books.conversions(*(life.row() for life in lives))
    books.add("conversion_history", *(entry for life in lives for entry in life.history_of(readings)))
    books.build(*READ)
    first = min(month_of(life.states[0].since, zone) for life in lives)
    last: dict[tuple[str, str], object] = {}
    for month in months(first, month_of(READ_AT, zone)):
        with books.warehouse.session() as session:
            unknown = find_unknown_currencies(session, month)
        # If a conversion was paid twice, its row has the date of the last payment.
        assert unknown.keys() <= {life.currency for life in lives if payments_of(life) > 1}
        found, _ = all_tied(books, month, unknown)
        now = {(one.affiliate_id, one.currency): one.lines for one in found}
        assert {whose: of.opening for whose, of in now.items() if of.opening} == {
            whose: closing for whose, closing in last.items() if closing
        }
        last = {whose: of.closing for whose, of in now.items()}
