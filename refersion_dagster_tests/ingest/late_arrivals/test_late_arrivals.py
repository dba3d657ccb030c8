"""One change before the look-back: its month is read again once, and no other month."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.ingest.late_arrivals.late_account import ACCOUNT, LOOKBACK_DAYS, LateAccount, month_of
from refersion_dagster_tests.location import NOW

pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module")
def loaded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DuckDB file with the first load, which tests copy."""
    path = tmp_path_factory.mktemp("loaded") / "warehouse.duckdb"
    with SandboxServer(ACCOUNT) as sandbox:
        assert LateAccount(sandbox, Warehouse(duckdb_path=str(path))).late() == {}
    return path


@pytest.fixture
def kept(loaded_file: Path, tmp_path: Path) -> Iterator[LateAccount]:
    with SandboxServer(ACCOUNT) as sandbox:
        yield LateAccount(sandbox, Warehouse(duckdb_path=str(shutil.copy(loaded_file, tmp_path))))


def test_where_nothing_changed_nothing_is_read_again(kept: LateAccount) -> None:
    kept.sandbox.forget_requests()
    assert kept.late() == {}
    asked = kept.sandbox.requests()
    # The account's eleven months are in two calendar years: eight requests per year, and three months of look-back.
    assert asked["rest:/conversion/totals"] <= 8 * (2 + 3) + 5
    # Three months of look-back, one or two of the rotation, and five counts for each month and for those that prove
    # the counts.
    assert asked["graphql:conversions"] <= 8 + 5 * (10 + 2)


def test_a_denial_by_support_shows_in_the_totals(kept: LateAccount) -> None:
    row = kept.old_row(status="APPROVED")
    kept.sandbox.advance(seconds=60)
    kept.sandbox.change_conversion(row.id, status="DENIED")

    done = kept.run()

    assert done.success, done.failure
    (reasons,) = done.metadata["refersion/conversions"]["late_months"].values()
    assert reasons == ["2 totals changed", "2 counts differ"]
    assert (
        f"Changes outside the look-back window; reloading {month_of(row)} (2 totals changed, 2 counts differ)"
        in "\n".join(done.log)
    )
    assert kept.stale() == {}
    history = kept.warehouse.query(
        f"SELECT change, status FROM refersion_data.conversion_history WHERE id = '{row.id}' ORDER BY seen_at"
    )
    assert history == [("new", "APPROVED"), ("changed", "DENIED")]
    assert kept.late() == {}


def test_months_whose_counts_have_not_changed_count_as_read(kept: LateAccount) -> None:
    row = kept.old_row(status="APPROVED")
    kept.sandbox.advance(seconds=60)
    kept.sandbox.change_conversion(row.id, status="DENIED")
    assert kept.late().keys() == {month_of(row)}
    found = kept.warehouse.query(
        "SELECT read_from FROM refersion_data.conversion_readings WHERE proven_by = 'counts' AND read_at > $moment",
        moment=NOW + timedelta(seconds=30),
    )
    counted = [f"{moment.astimezone(UTC):%Y-%m}" for (moment,) in found]
    assert len(counted) == len(set(counted)) >= 6
    assert month_of(row) not in counted


def test_the_look_back_stays_where_it_was(kept: LateAccount) -> None:
    kept.sandbox.advance(seconds=60)
    kept.sandbox.change_conversion(kept.old_row().id, commission_total="77.77")
    assert kept.late()
    kept.sandbox.forget_requests()
    told = kept.run("conversions")
    window = told.metadata["refersion/conversions"]
    assert (window["window_to"] - window["window_from"]) // 86_400 == LOOKBACK_DAYS


def test_a_row_that_is_gone_is_marked(kept: LateAccount) -> None:
    row = kept.old_row(status="APPROVED")
    kept.sandbox.advance(seconds=60)
    kept.sandbox.delete_conversion(row.id)
    assert list(kept.late()) == [month_of(row)]
    marked = kept.warehouse.query("SELECT id FROM refersion_data.conversions WHERE vanished_at IS NOT NULL")
    assert marked == [(str(row.id),)]


def test_a_reading_that_failed_is_made_up_for_by_the_next(kept: LateAccount) -> None:
    row = kept.old_row()
    kept.sandbox.advance(seconds=60)
    kept.sandbox.change_conversion(row.id, commission_total="77.77")
    kept.sandbox.forget_requests()
    kept.run("payments", "conversions")
    pages = kept.sandbox.requests()["graphql:conversions"]
    # As many pages as the look-back has, and none of the month that changed.
    kept.sandbox.fault("graphql:conversions", "status", status=403, after=pages, times=None)

    failed = kept.run()

    assert not failed.success
    assert "HTTP 403" in failed.failure
    assert list(kept.stale()) == [str(row.id)]
    kept.sandbox.clear_faults()
    assert list(kept.late()) == [month_of(row)]
    assert kept.stale() == {}


@pytest.mark.parametrize(
    "config", [{"lookback_days": 10}, {"read_from": "2025-06-01", "read_to": "2025-06-10"}], ids=["look-back", "span"]
)
def test_a_run_that_was_told_what_to_read_reads_that(kept: LateAccount, config: dict[str, int | str]) -> None:
    row = kept.old_row()
    kept.sandbox.advance(seconds=60)
    kept.sandbox.change_conversion(row.id, commission_total="77.77")
    assert kept.late(**config) == {}
    assert list(kept.stale()) == [str(row.id)]
    assert list(kept.late()) == [month_of(row)]


def test_a_light_refresh_reads_the_month_that_it_begins_in_again_where_that_changed(kept: LateAccount) -> None:
    """The run has the latest totals of that month, which do not match the last days of the month alone."""
    begins = kept.sandbox.now - timedelta(days=10)
    assert begins.day > 5
    row = next(
        row
        for row in kept.sandbox.account.conversions.values()
        if begins.replace(day=1).timestamp() < row.created < (begins - timedelta(days=3)).timestamp()
        and row.currency == kept.sandbox.account.settings.base
        and not row.is_test_conversion
    )
    kept.sandbox.advance(seconds=60)
    kept.sandbox.change_conversion(row.id, commission_total="77.77")
    assert list(kept.late(lookback_days=10)) == [month_of(row)]
    assert kept.stale() == {}


def test_what_a_backfill_brought_is_not_read_again(kept: LateAccount) -> None:
    row = kept.old_row()
    kept.sandbox.advance(seconds=60)
    kept.sandbox.change_conversion(row.id, commission_total="77.77")
    start = f"{month_of(row)}-01"
    kept.late(read_from=start, read_to=f"{month_of(row)}-28")  # not the whole month
    assert list(kept.late()) == [month_of(row)]
    kept.sandbox.advance(seconds=60)
    kept.sandbox.change_conversion(row.id, commission_total="88.88")
    assert list(kept.late()) == [month_of(row)]


def test_payments_that_are_accounted_for_ask_for_nothing(kept: LateAccount) -> None:
    """A payment for conversions that a refresh reads anyway says nothing about older unpaid ones."""
    (row,) = kept.warehouse.query(
        "SELECT c.affiliate_id, c.currency, c.id FROM refersion_data.conversions AS c "
        "WHERE c.status = 'APPROVED' AND c.payment_status = 'UNPAID' AND c.created > TIMESTAMPTZ '2025-05-10' "
        "AND EXISTS (SELECT 1 FROM refersion_data.conversions AS o WHERE o.affiliate_id = c.affiliate_id "
        "AND o.currency = c.currency AND o.status = 'APPROVED' AND o.payment_status = 'UNPAID' "
        "AND o.created < TIMESTAMPTZ '2025-04-01') ORDER BY c.created DESC LIMIT 1"
    )
    affiliate, currency, young = row
    kept.sandbox.advance(seconds=60)
    account = kept.sandbox.account
    with account.lock:
        paid = account.conversions[int(young)]
        payment = next(iter(account.payments.values()))
        payment = type(payment)(
            **{
                **{name: getattr(payment, name) for name in payment.__slots__},
                "id": account.new_id("payment"),
                "created": account.now,
                "affiliate_id": int(affiliate),
                "currency": currency,
                "commission_total": paid.commission_total,
                "total": paid.total,
                "total_conversions": 1,
            }
        )
        account.pay([paid], payment)
    kept.sandbox.advance(seconds=60)
    assert kept.late() == {}
    assert kept.stale() == {}


def test_months_before_the_start_date_stay_out(tmp_path: Path) -> None:
    with SandboxServer(ACCOUNT) as sandbox:
        warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
        kept = LateAccount(sandbox, warehouse, start_date="2025-01-16T12:00:00Z")
        kept.late()
        ((before,),) = warehouse.query("SELECT min(created) FROM refersion_data.conversions")
        row = next(
            row
            for row in sandbox.account.conversions.values()
            if month_of(row) == "2025-01"
            and row.created > before.timestamp()
            and row.currency == "USD"
            and not row.is_test_conversion
        )
        sandbox.advance(seconds=60)
        sandbox.change_conversion(row.id, commission_total="77.77")
        assert list(kept.late()) == ["2025-01"]
        assert warehouse.query("SELECT min(created) FROM refersion_data.conversions") == [(before,)]
        ((totals_from,),) = warehouse.query("SELECT min(period_from) FROM refersion_data.conversion_totals")
        assert totals_from == datetime(2025, 1, 16, 12, tzinfo=UTC)
        assert kept.late() == {}


def test_a_change_during_the_first_load_is_found_by_that_load(tmp_path: Path) -> None:
    with SandboxServer(ACCOUNT) as sandbox:
        kept = LateAccount(
            sandbox, Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb")), rows_per_load=40, max_concurrency=1
        )
        row = kept.old_row(status="APPROVED")
        sandbox.fault("graphql:conversions", "latency", seconds=0.05, times=None)

        def change() -> None:
            """Runs after the first months, which contain the row, were read."""
            deadline = time.monotonic() + 60
            while sandbox.requests().get("graphql:conversions", 0) < 12 and time.monotonic() < deadline:
                time.sleep(0.005)
            sandbox.change_conversion(row.id, status="DENIED")

        changing = threading.Thread(target=change)
        changing.start()
        late = kept.late()
        changing.join()
        assert list(late) == [month_of(row)]
        assert kept.stale() == {}
