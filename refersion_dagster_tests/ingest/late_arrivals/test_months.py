"""No row is stale after any month, even if it was approved, denied or paid long after it was created."""

from __future__ import annotations

from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.ingest.late_arrivals.late_account import ACCOUNT, LateAccount
from refersion_dagster_tests.postgres import PostgresServer

pytestmark = pytest.mark.exhaustive

PAID = ("payments", "conversions")


def live_on(kept: LateAccount, months: int, *tables: str) -> list[str]:
    """Refreshes once a month. Returns all reasons for late changes."""
    reasons: list[str] = []
    kept.late(*tables)
    for _ in range(months):
        kept.sandbox.advance(days=30)
        reasons += [reason for found in kept.late(*tables).values() for reason in found]
        assert kept.stale() == {}
    assert kept.late(*tables) == {}
    return reasons


def test_through_six_months(tmp_path: Path) -> None:
    with SandboxServer(ACCOUNT) as sandbox:
        # Totals that include other currencies show their approvals; payments show in any totals.
        sandbox.configure(totals_currencies="counted")
        kept = LateAccount(sandbox, Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb")))
        reasons = live_on(kept, 6)
    assert any(reason.startswith("payment") for reason in reasons)
    assert any(reason.endswith("totals changed") for reason in reasons)
    changes = kept.warehouse.query("SELECT DISTINCT change FROM refersion_data.conversion_history ORDER BY change")
    assert changes == [("changed",), ("new",)]


def test_on_postgresql_too(postgres_server: PostgresServer) -> None:
    with SandboxServer(ACCOUNT) as sandbox, postgres_server.create_database().in_use():
        sandbox.configure(totals_currencies="counted")
        assert live_on(LateAccount(sandbox, Warehouse(destination="postgres")), 2)


def test_by_payments_alone_that_do_not_say_whom_they_paid(tmp_path: Path) -> None:
    """With a look-back beyond the 90 days until approval, only payments are late, in every currency."""
    with SandboxServer(ACCOUNT) as sandbox:
        sandbox.configure(
            remove_fields=["Payment.affiliate"], remove_arguments=["conversions.status"], total_results="absent"
        )
        warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
        reasons = live_on(LateAccount(sandbox, warehouse, lookback_days=100), 4, *PAID)
    assert reasons
    assert all(reason.startswith("payment") for reason in reasons)
