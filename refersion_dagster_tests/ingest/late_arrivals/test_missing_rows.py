"""Rows deleted at the source are marked; rows that moved to another time or affiliate are found.

Each test creates the few rows that it needs on an account without orders. Rows are counted by pageInfo; by their
offsets if pageInfo is missing or wrong; and by offsets without a filter if there is no filter on status either.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.ingest.late_arrivals.late_account import LateAccount
from refersion_dagster_tests.location import NOW

pytestmark = pytest.mark.exhaustive

# Only the rows that a test creates.
EMPTY = SandboxSettings(affiliates=3, orders=0, days=1000, now=NOW)
# An order in the look-back of 60 days, an earlier one of this year, one of last year, one of the year before.
RECENT, EARLIER, LAST_YEAR, OLD = (
    datetime(2025, 6, 10, 9, tzinfo=UTC),
    datetime(2025, 2, 10, 9, tzinfo=UTC),
    datetime(2024, 8, 10, 9, tzinfo=UTC),
    datetime(2023, 3, 10, 9, tzinfo=UTC),
)
WITHOUT_COUNTS = {"total_results": "absent"}
IGNORING = {"total_results_ignore_filters": True}
WITHOUT_STATUS = {"total_results": "absent", "remove_arguments": ["conversions.status"]}
WAYS = {"counts": {}, "no counts": WITHOUT_COUNTS, "wrong counts": IGNORING, "no status": WITHOUT_STATUS}


class Made(LateAccount):
    """An account with rows that the test creates."""

    def order(self, created: datetime, currency: str = "USD", **values: Any) -> int:
        given = {"status": "APPROVED", "created": int(created.timestamp()), "currency": currency, **values}
        return self.sandbox.insert_conversion(**given)

    def refresh(self, *tables: str, seconds: int = 60, **config: Any) -> dict[str, list[str]]:
        self.sandbox.advance(seconds=seconds)
        return self.late(*tables, **config)

    def there(self) -> set[int]:
        found = self.warehouse.query("SELECT id FROM refersion_data.conversions WHERE vanished_at IS NULL")
        return {int(one) for (one,) in found}

    def created(self, number: int) -> datetime:
        ((found,),) = self.warehouse.query(f"SELECT created FROM refersion_data.conversions WHERE id = '{number}'")
        return found

    def gone(self, table: str) -> set[str]:
        found = self.warehouse.query(f"SELECT id FROM refersion_data.{table} WHERE vanished_at IS NOT NULL")
        return {str(one) for (one,) in found}


@pytest.fixture(scope="module")
def loaded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DuckDB file with the first load of the empty account, which tests copy."""
    path = tmp_path_factory.mktemp("loaded") / "warehouse.duckdb"
    with SandboxServer(EMPTY) as sandbox:
        Made(sandbox, Warehouse(duckdb_path=str(path))).refresh("payments", "conversions", "conversion_history")
    return path


@pytest.fixture
def made(loaded_file: Path, tmp_path: Path) -> Iterator[Made]:
    with SandboxServer(EMPTY) as sandbox:
        yield Made(sandbox, Warehouse(duckdb_path=str(shutil.copy(loaded_file, tmp_path))))


def begin(made: Made, **switches: Any) -> None:
    """Loads all rows created so far, with the current totals."""
    made.sandbox.configure(**switches)
    made.refresh(full_reload=True)


@pytest.mark.parametrize("switches", [{}, WITHOUT_COUNTS], ids=["counts", "no counts"])
@pytest.mark.parametrize(
    ("created", "currency"),
    [(RECENT, "USD"), (EARLIER, "USD"), (LAST_YEAR, "USD"), (OLD, "USD"), (OLD, "EUR")],
    ids=["recent", "earlier", "last year", "old", "old, in another currency"],
)
def test_the_only_row_of_a_month_a_year_or_the_account_is_gone(
    made: Made, created: datetime, currency: str, switches: dict[str, Any]
) -> None:
    only = made.order(created, currency)
    begin(made, **switches)
    assert made.there() == {only}
    made.sandbox.delete_conversion(only)
    made.refresh()
    made.refresh()
    assert made.there() == set()


@pytest.mark.parametrize("switches", WAYS.values(), ids=list(WAYS))
def test_rows_of_other_currencies_are_gone_within_two_refreshes(made: Made, switches: dict[str, Any]) -> None:
    times = [EARLIER, LAST_YEAR, OLD]
    staying = {made.order(time, currency) for time in (RECENT, *times) for currency in ("USD", "EUR", "JPY")}
    deleted = {made.order(time, currency) for time in times for currency in ("EUR", "JPY")}
    begin(made, **switches)
    for row in deleted:
        made.sandbox.delete_conversion(row)
    made.refresh()
    made.refresh()
    assert made.there() == staying


def test_rows_that_are_counted_by_their_places_are_not_read(made: Made) -> None:
    for number in range(30):
        made.order(datetime(2023 + number % 2, 1 + number % 12, 3, tzinfo=UTC), "EUR")
    made.order(RECENT)
    begin(made, **WITHOUT_COUNTS)
    made.refresh()
    made.sandbox.forget_requests()
    assert made.refresh() == {}
    # The look-back's three months, two of the rotation, and five counts of each of two years, of the months since
    # then, and twice of the month that proves the counts.
    assert made.sandbox.requests()["graphql:conversions"] <= 5 + 5 * (2 + 25 + 2)


MOVES = [(RECENT, EARLIER), (EARLIER, RECENT), (RECENT, OLD), (LAST_YEAR, EARLIER), (OLD, LAST_YEAR)]


@pytest.mark.parametrize("switches", WAYS.values(), ids=list(WAYS))
def test_rows_that_are_dated_anew_are_neither_lost_nor_doubled(made: Made, switches: dict[str, Any]) -> None:
    rows = [made.order(of, currency) for of, _ in MOVES for currency in ("USD", "EUR")]
    begin(made, **switches)
    for row, (_, to) in zip(rows, [move for move in MOVES for _ in range(2)], strict=True):
        made.sandbox.change_conversion(row, created=int(to.timestamp()), commission_total="120.00")
    for _ in range(2):
        made.refresh()
        assert made.there() == set(rows)
    for row, (_, to) in zip(rows, [move for move in MOVES for _ in range(2)], strict=True):
        assert made.created(row) == to
    assert made.stale() == {}


def test_a_light_refresh_takes_nothing_for_gone_that_moved_out_of_it(made: Made) -> None:
    rows = [made.order(datetime(2025, 6, 30, hour, tzinfo=UTC), "EUR") for hour in (9, 10)]
    begin(made, **WITHOUT_COUNTS)
    made.sandbox.change_conversion(rows[0], created=int(LAST_YEAR.timestamp()))
    made.refresh(lookback_days=3)
    assert made.there() == set(rows)
    made.refresh()
    assert made.there() == set(rows)
    assert made.created(rows[0]) == LAST_YEAR


CHANGES = {
    "denied": {"status": "DENIED"},
    "approved": {"status": "APPROVED"},
    "corrected": {"commission_total": "7.77"},
    "moved": {"affiliate_id": None},
}


@pytest.mark.parametrize("switches", WAYS.values(), ids=list(WAYS))
def test_late_changes_in_other_currencies_are_found_within_a_month(made: Made, switches: dict[str, Any]) -> None:
    first, second, *_ = made.sandbox.account.affiliates
    rows: dict[tuple[str, str], int] = {}
    for currency in ("EUR", "JPY"):
        for number, (name, _) in enumerate(CHANGES.items()):
            created = datetime(2024, 3 + 2 * number, 3, tzinfo=UTC)
            status = "PENDING" if name == "approved" else "APPROVED"
            rows[name, currency] = made.order(created, currency, affiliate_id=first, status=status)
    # A row in the look-back, to prove the counts on.
    made.order(RECENT)
    begin(made, **switches)
    for (name, _), row in rows.items():
        made.sandbox.change_conversion(row, **({"affiliate_id": second} if name == "moved" else CHANGES[name]))
    late = made.refresh(seconds=86_400)
    if switches is not WITHOUT_STATUS:
        # In both currencies: due before and denied now, pending before and due now.
        assert late == {"2024-03": ["2 counts differ"], "2024-05": ["2 counts differ"]}
    # Days between refreshes make the next slice larger, so that 25 days of rotation take few runs.
    for _ in range(6):
        if not made.stale() and len(moved(made)) == 2:
            break
        made.refresh("payments", "conversions", "conversion_history", seconds=5 * 86_400)
    assert made.stale() == {}
    assert moved(made) == {(str(rows["moved", currency]), str(second)) for currency in ("EUR", "JPY")}


def moved(made: Made) -> set[tuple[str, str]]:
    """Conversions with more than one affiliate in the history, and their latest one."""
    return set(
        made.warehouse.query(
            "SELECT id, arg_max(affiliate_id, seen_at) FROM refersion_data.conversion_history "
            "GROUP BY id HAVING count(DISTINCT affiliate_id) > 1"
        )
    )


@pytest.mark.parametrize("created", [RECENT, LAST_YEAR], ids=["recent", "old"])
def test_a_payment_that_is_undone_and_entered_again_counts_once(made: Made, created: datetime) -> None:
    row = made.order(created, "EUR")
    made.order(RECENT)
    begin(made, **WITHOUT_STATUS)
    paid = made.sandbox.enter_payment([row], created=int(created.timestamp()) + 86_400)
    made.refresh()
    made.refresh()
    assert made.stale() == {}
    made.sandbox.undo_payment(paid)
    made.refresh()
    assert made.gone("payments") == {str(paid)}
    assert made.stale() == {}
    again = made.sandbox.enter_payment([row], created=int(created.timestamp()) + 86_400)
    made.refresh(lookback_days=3)
    made.refresh()
    assert made.gone("payments") == {str(paid)}
    there = made.warehouse.query("SELECT id FROM refersion_data.payments WHERE vanished_at IS NULL")
    assert there == [(str(again),)]
    assert made.stale() == {}


def test_a_light_refresh_takes_no_payment_for_gone(made: Made) -> None:
    rows = [made.order(created, "EUR") for created in (LAST_YEAR, RECENT)]
    paid = [made.sandbox.enter_payment([row], created=int(LAST_YEAR.timestamp()) + 86_400) for row in rows]
    begin(made, **WITHOUT_COUNTS)
    made.sandbox.undo_payment(paid[0])
    made.refresh(lookback_days=3)
    assert made.gone("payments") == set()
    made.refresh()
    assert made.gone("payments") == {str(paid[0])}
    assert made.stale() == {}


def test_an_affiliate_that_is_deleted_and_put_back_is_listed_again(made: Made) -> None:
    account = made.sandbox.account
    first, kept = next(iter(account.affiliates.items()))
    listed = {"affiliate_list": kept.code, "affiliates": str(first)}
    made.refresh(*listed)
    made.sandbox.delete_affiliate(first)
    made.refresh(*listed)
    assert {table: made.gone(table) for table in listed} == {table: {one} for table, one in listed.items()}
    account.add_affiliate(kept)
    made.refresh(*listed)
    assert {table: made.gone(table) for table in listed} == {table: set() for table in listed}
