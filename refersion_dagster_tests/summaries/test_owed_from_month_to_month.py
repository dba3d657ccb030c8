"""Whatever becomes of conversions and whenever the account is read, what is owed ties from month to month, and the last
closing is the liability."""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refersion_dagster_tests.summaries.by_definition import (
    CONVERSIONS,
    FOUND_AS_IT_IS,
    assert_sums_are_preserved,
    start_again,
)
from refersion_dagster_tests.summaries.hand_made import READ_AT, Books, Row
from refersion_dagster_tests.summaries.lives import ZONES, Life, many_lives, month_of, months

NAMES = ("commission_roll_forward", "commission_liability")
MOVEMENTS = ("newly_due", "manual_credits", "paid", "reversed")
EXAMPLES = settings(max_examples=10, phases=FOUND_AS_IT_IS, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def database(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("lives")))
    with Books(path).warehouse.writing(print):
        yield path


def books_of(database: Path, zone: str, lives: Sequence[Life], history: Sequence[Row]) -> Books:
    """Books of these lives alone, with all that was built of them."""
    books = Books(database, report_timezone=zone)
    with books.warehouse.session() as session:
        session.query("DELETE FROM refersion_data.conversions")
        session.query("DELETE FROM refersion_data.conversion_history")
    books.conversions(*(life.row() for life in lives)).add("conversion_history", *history)
    books.build(*NAMES)
    return books


def assert_all_ties(books: Books) -> dict[str, list[dict[str, Any]]]:
    """Every month follows from the one before, and the last closing is the liability."""
    by_currency: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in books.built("commission_roll_forward"):
        by_currency[row["currency"]].append(row)
    due: dict[str, Decimal] = defaultdict(Decimal)
    for row in books.built("commission_liability"):
        due[row["currency"]] += row["due"]
    for currency, rows in by_currency.items():
        assert [row["difference"] for row in rows] == [0] * len(rows)
        assert [row["month"] for row in rows] == months(rows[0]["month"], rows[-1]["month"])
        assert [row["opening_due"] for row in rows] == [0, *(row["closing_due"] for row in rows[:-1])]
        assert sum(row["change_in_due"] for row in rows) == rows[-1]["closing_due"]
        assert rows[-1]["closing_due"] == due[currency]
    return by_currency


def expected(lives: Sequence[Life], zone: str) -> dict[str, dict[date, dict[str, Decimal]]]:
    """What came, what went and what was due at the end of each month, by currency."""
    found: dict[str, dict[date, dict[str, Decimal]]] = {}
    last = month_of(READ_AT, zone)
    for currency in {life.currency for life in lives}:
        own = [life for life in lives if life.currency == currency]
        first = min(month_of(life.states[0].since, zone) for life in own)
        found[currency] = {month: defaultdict(Decimal) for month in months(first, last)}
        for life in own:
            for state, before in life.steps():
                movement = found[currency][month_of(state.dated, zone)]
                old, new = before.due if before else None, state.due
                if old is not None and new is not None:
                    changed(movement, life.kind, new - old)
                elif new is not None and before and before.is_paid:
                    movement["paid"] -= new
                elif new is not None:
                    came(movement, life.kind, new)
                elif old is not None:
                    movement["paid" if state.is_paid else "reversed"] += old
            for month, movement in found[currency].items():
                states = [state for state in life.states if month_of(state.dated, zone) <= month]
                movement["closing_due"] += (states[-1].due or Decimal(0)) if states else Decimal(0)
    return found


def came(movement: dict[str, Decimal], kind: str, amount: Decimal) -> None:
    """Commission that becomes due."""
    if kind == "cancellation":
        movement["reversed"] -= amount
    else:
        movement["manual_credits" if kind == "manual credit" else "newly_due"] += amount


def changed(movement: dict[str, Decimal], kind: str, more: Decimal) -> None:
    """Commission that is changed while it is due."""
    if kind == "order" and more < 0:
        movement["reversed"] -= more
    else:
        came(movement, kind, more)


@given(lives=many_lives(), zone=st.sampled_from(ZONES))
@EXAMPLES
def test_where_readings_show_each_change_every_month_is_as_it_was(database: Path, lives: list[Life], zone: str) -> None:
    books = books_of(database, zone, lives, [entry for life in lives for entry in life.history()])
    built = assert_all_ties(books)
    assert {
        currency: {row["month"]: {name: row[name] for name in (*MOVEMENTS, "closing_due")} for row in rows}
        for currency, rows in built.items()
    } == {
        currency: {month: {name: of[name] for name in (*MOVEMENTS, "closing_due")} for month, of in by_month.items()}
        for currency, by_month in expected(lives, zone).items()
    }


@given(lives=many_lives(), zone=st.sampled_from(ZONES), hours=st.sets(st.integers(0, 95 * 24), max_size=4))
@EXAMPLES
def test_whenever_the_account_was_read_if_at_all_it_ties(
    database: Path, lives: list[Life], zone: str, hours: set[int]
) -> None:
    # The history may end before the last reading, or be none.
    readings = [READ_AT - timedelta(hours=ago) for ago in sorted(hours, reverse=True)]
    books = books_of(database, zone, lives, [entry for life in lives for entry in life.history_of(readings)])
    built = assert_all_ties(books)
    due: dict[str, Decimal] = defaultdict(Decimal)
    for life in lives:
        due[life.currency] += life.now.due or Decimal(0)
    assert {currency: rows[-1]["closing_due"] for currency, rows in built.items()} == due


@given(conversions=CONVERSIONS, zone=st.sampled_from(ZONES))
@EXAMPLES
def test_whatever_the_rows_no_sum_drifts(database: Path, conversions: list[dict[str, Any]], zone: str) -> None:
    books = Books(database, report_timezone=zone)
    with books.warehouse.session() as session:
        session.query("DELETE FROM refersion_data.conversion_history")
    start_again(books, conversions)
    books.build(*NAMES, "approval_rates")
    assert_all_ties(books)
    assert_sums_are_preserved(books, (*NAMES, "due_periods", "approval_rates"), conversions)
