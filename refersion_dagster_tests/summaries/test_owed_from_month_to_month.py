"""Whatever becomes of conversions and whenever the account is read, what is owed ties from month to month, and the last
closing is the liability."""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refersion_dagster_tests.summaries.builders import READ_AT, WarehouseBuilder, reading
from refersion_dagster_tests.summaries.definitions import (
    CONVERSIONS,
    FOUND_AS_IT_IS,
    assert_sums_are_preserved,
    start_again,
)
from refersion_dagster_tests.summaries.strategies import ZONES, Life, many_lives, month_of, months, read_after_each

NAMES = ("commission_roll_forward", "commission_liability")
MOVEMENTS = ("newly_due", "manual_credits", "paid", "reversed")
EXAMPLES = settings(max_examples=10, phases=FOUND_AS_IT_IS, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def database(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("lives")))
    with WarehouseBuilder(path).warehouse.write_lock(print):
        yield path


def books_of(database: Path, zone: str, lives: Sequence[Life], readings: Sequence[datetime]) -> WarehouseBuilder:
    """Books of these lives alone, read at these moments, with all that was built of them."""
    books = WarehouseBuilder(database, report_timezone=zone).empty().add("conversion_readings", *map(reading, readings))
    books.conversions(*(life.row() for life in lives))
    books.add("conversion_history", *(entry for life in lives for entry in life.history_of(readings)))
    books.build(*NAMES)
    return books


def assert_all_ties(books: WarehouseBuilder) -> dict[str, list[dict[str, Any]]]:
    """Every month follows from the one before, and the last closing is the liability."""
    by_currency: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in books.built("commission_roll_forward"):
        by_currency[row["currency"]].append(row)
    due: dict[str, Decimal] = defaultdict(Decimal)
    for row in books.built("commission_liability"):
        due[row["currency"]] += row["due"]
    for currency, rows in by_currency.items():
        assert {row["difference"] for row in rows} <= {0, None}
        assert [row["month"] for row in rows] == months(rows[0]["month"], rows[-1]["month"])
        assert [row["opening_due"] for row in rows[1:]] == [row["closing_due"] for row in rows[:-1]]
        for row in rows:
            opening, closing = row["opening_due"], row["closing_due"]
            assert row["change_in_due"] == (None if None in (opening, closing) else closing - opening)
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
                movement = found[currency][month_of(state.since, zone)]
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
                states = [state for state in life.states if month_of(state.since, zone) <= month]
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


@pytest.mark.exhaustive
@given(lives=many_lives(), zone=st.sampled_from(ZONES))
@EXAMPLES
def test_where_readings_show_each_change_every_month_is_as_it_was(database: Path, lives: list[Life], zone: str) -> None:
    built = assert_all_ties(books_of(database, zone, lives, read_after_each(lives)))
    for currency, by_month in expected(lives, zone).items():
        own = [life for life in lives if life.currency == currency]
        for row in built[currency]:
            true, told = by_month[row["month"]], {name: row[name] for name in (*MOVEMENTS, "closing_due")}
            known = {name: value for name, value in told.items() if value is not None}
            assert known == {name: true[name] for name in known}, (row, own)
            # Where Refersion does not say when a row changed, a month may end between the two readings.
            assert known == told or not all(life.tells for life in own), (row, own)


@pytest.mark.exhaustive
@given(lives=many_lives(), zone=st.sampled_from(ZONES), hours=st.sets(st.integers(0, 95 * 24), max_size=4))
@EXAMPLES
def test_whenever_the_account_was_read_if_at_all_it_ties(
    database: Path, lives: list[Life], zone: str, hours: set[int]
) -> None:
    readings = [READ_AT - timedelta(hours=ago) for ago in sorted(hours, reverse=True)]
    built = assert_all_ties(books_of(database, zone, lives, readings or [READ_AT]))
    due: dict[str, Decimal] = defaultdict(Decimal)
    for life in lives:
        due[life.currency] += life.now.due or Decimal(0)
    assert {currency: rows[-1]["closing_due"] for currency, rows in built.items()} == due


@pytest.mark.exhaustive
@given(conversions=CONVERSIONS, zone=st.sampled_from(ZONES))
@EXAMPLES
def test_whatever_the_rows_no_sum_drifts(database: Path, conversions: list[dict[str, Any]], zone: str) -> None:
    books = WarehouseBuilder(database, report_timezone=zone).empty()
    start_again(books, conversions)
    books.build(*NAMES, "approval_rates")
    assert_all_ties(books)
    assert_sums_are_preserved(books, (*NAMES, "due_periods", "approval_rates"), conversions)
