"""What Refersion is about to approve by itself: both ends of the span, the next one, and what is past it."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    D,
    Row,
    WarehouseBuilder,
    affiliate,
    cancellation,
    credit,
    order,
)

SECOND = timedelta(seconds=1)
NAMES = ("affiliate_id", "currency", "conversions", "commission", "overdue_conversions", "overdue_commission")


def pending(number: int, commission: str, age: timedelta, **more: Any) -> Row:
    """A pending order of this age when the account was read last, on 2025-04-01 at 12:00 UTC."""
    return order(number, "100", commission, **{"status": "PENDING", "created": READ_AT - age, **more})


def aged(number: int, commission: str, days: int, **more: Any) -> Row:
    return pending(number, commission, timedelta(days=days), **more)


def found(books: WarehouseBuilder) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in NAMES) for row in books.rows("auto_approval_watch")]


def test_is_about_conversions_of_75_to_90_days(books: WarehouseBuilder) -> None:
    books.conversions(
        pending(1, "1", timedelta(days=75) - SECOND),
        pending(2, "2", timedelta(days=75)),
        pending(3, "4", timedelta(days=90) - SECOND),
        pending(4, "8", timedelta(days=90)),  # approved in this very second, if at all
        pending(5, "16", timedelta(days=200)),
    )
    assert found(books) == [("1", "USD", 2, D("6"), 2, D("24"))]


def test_tells_when_the_next_one_is_approved_and_what_follows_within_a_week(database: Path) -> None:
    books = WarehouseBuilder(database, report_timezone="America/New_York")
    books.conversions(
        pending(1, "1", timedelta(days=89, hours=14)),  # April 1, 22:00 UTC
        pending(2, "2", timedelta(days=83)),  # April 8, 12:00 UTC: just within seven days
        pending(3, "4", timedelta(days=83) - SECOND),
        pending(4, "8", timedelta(days=95)),
    )
    row = books.row("auto_approval_watch")
    assert (row["next_approval_at"], row["next_approval_day"]) == (
        datetime.fromisoformat("2025-04-01T22:00:00+00:00"),
        date(2025, 4, 1),
    )
    assert (row["next_7_days_conversions"], row["next_7_days_commission"]) == (2, D("3"))
    assert (row["conversions"], row["commission"], row["order_total"]) == (3, D("7"), D("300"))
    assert row["overdue_since"] == READ_AT - timedelta(days=5)


def test_ninety_days_are_so_many_hours_whatever_the_clocks_do(database: Path) -> None:
    """Clocks go on between January and April in New York; 90 days stay 2160 hours."""
    books = WarehouseBuilder(database, report_timezone="America/New_York")
    books.conversions(pending(1, "1", timedelta(days=89)))
    assert books.row("auto_approval_watch")["next_approval_at"] == READ_AT + timedelta(days=1)


def test_follows_the_setting(database: Path) -> None:
    books = WarehouseBuilder(database, auto_approval_days="30")
    books.conversions(aged(1, "1", 14), aged(2, "2", 15), aged(3, "4", 29), aged(4, "8", 30), aged(5, "16", 80))
    assert found(books) == [("1", "USD", 2, D("6"), 2, D("24"))]


def test_shorter_than_the_watch_is_all_that_is_pending(database: Path) -> None:
    books = WarehouseBuilder(database, auto_approval_days="10")
    books.conversions(aged(1, "1", 0), aged(2, "2", 9), aged(3, "4", 10))
    assert found(books) == [("1", "USD", 2, D("3"), 1, D("4"))]


def test_is_a_row_for_each_affiliate_and_currency_the_next_one_first(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(2, name="Bo"))
    books.conversions(
        aged(1, "1", 80),
        aged(2, "2", 80, currency="EUR"),
        aged(3, "4", 89, affiliate_id="2"),
        aged(4, "8", 100, affiliate_id="3", affiliate__name="Cy"),
    )
    books.build("auto_approval_watch")
    rows = books.warehouse.query(
        "SELECT affiliate_id, affiliate_name, currency, next_approval_at FROM refersion_summaries.auto_approval_watch"
    )
    assert [row[:3] for row in rows] == [("2", "Bo", "USD"), ("1", None, "EUR"), ("1", None, "USD"), ("3", "Cy", "USD")]
    assert rows[3][3] is None


def test_cancellations_and_credits_wait_too(books: WarehouseBuilder) -> None:
    at = READ_AT - timedelta(days=80)
    books.conversions(
        aged(1, "10", 80),
        cancellation(2, 1, "-100", "-10", status="PENDING", created=at),
        credit(3, "-2.50", status="PENDING", created=at),
    )
    row = books.row("auto_approval_watch")
    assert (row["conversions"], row["commission"], row["order_total"]) == (3, D("-2.50"), D("0"))


def test_is_not_about_what_was_decided_already_or_does_not_count(books: WarehouseBuilder) -> None:
    books.conversions(
        aged(1, "1", 80, status="APPROVED"),
        aged(2, "1", 80, status="DENIED"),
        aged(3, "1", 80, status="UNQUALIFIED"),
        aged(4, "1", 80, is_test_conversion=True),
        aged(5, "1", 80, vanished_at=READ_AT),
    )
    assert found(books) == []


def test_says_how_many_are_worth_a_look(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1, email_hash="a" * 64))
    suspicious = {"customer__email": "a" * 64, "click__created": READ_AT - timedelta(days=80, seconds=5)}
    books.conversions(aged(1, "1", 80, **suspicious), aged(2, "1", 80), aged(3, "1", 95, **suspicious))
    assert books.row("auto_approval_watch")["exceptions"] == 1  # two findings, one conversion


def test_an_empty_account_has_none(books: WarehouseBuilder) -> None:
    assert found(books) == []


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["PENDING", "PENDING", "APPROVED"]),
        st.sampled_from(["USD", "JPY"]),
        st.sampled_from(["1", "2", None]),
        st.decimals(-1000, 1000, places=4),
        st.integers(70, 95),
        st.integers(-1, 1),
    ),
    max_size=12,
)


@pytest.mark.exhaustive
@given(ROWS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_amounts_are_those_of_the_rows(books: WarehouseBuilder, rows: list[tuple[Any, ...]]) -> None:
    """Per currency the amounts add up to those of the pending rows of each age, to the fourth decimal."""
    with books.warehouse.session() as session:
        session.query("DELETE FROM refersion_data.conversions")
    books.conversions(
        *(
            pending(
                n,
                f"{amount}",
                timedelta(days=days, seconds=offset),
                status=status,
                currency=currency,
                affiliate_id=who,
            )
            for n, (status, currency, who, amount, days, offset) in enumerate(rows)
        )
    )
    built = books.rows("auto_approval_watch")
    for currency in ("USD", "JPY"):
        ages = [
            (timedelta(days=days, seconds=offset), amount)
            for status, of, _, amount, days, offset in rows
            if status == "PENDING" and of == currency
        ]
        low, high = timedelta(days=75), timedelta(days=90)
        near = sum((amount for age, amount in ages if low <= age < high), D("0"))
        overdue = sum((amount for age, amount in ages if age >= high), D("0"))
        of_currency = [row for row in built if row["currency"] == currency]
        assert sum((row["commission"] for row in of_currency), D("0")) == near
        assert sum((row["overdue_commission"] for row in of_currency), D("0")) == overdue
