"""Shared by the tests of late changes: an account, a warehouse that follows it, and a search for stale rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.location import NOW, Outcome, account_of, materialise

# Some payments are months late: an affiliate is occasionally forgotten on payday, and small sums wait.
ACCOUNT = SandboxSettings(affiliates=14, orders=420, days=330, now=NOW)
# Shorter than the 90 days after which pending conversions are approved, so that approvals are late too.
LOOKBACK_DAYS = 60
TABLES = ("payments", "conversions", "conversion_history", "conversion_totals")


class LateAccount:
    """An account and the warehouse that follows it."""

    def __init__(self, sandbox: SandboxServer, warehouse: Warehouse, **settings: Any) -> None:
        self.sandbox, self.warehouse = sandbox, warehouse
        self.account: RefersionResource = account_of(sandbox, **{"lookback_days": LOOKBACK_DAYS, **settings})

    def run(self, *tables: str, **config: Any) -> Outcome:
        assets = [f"refersion/{table}" for table in tables or TABLES]
        return materialise(self.account, self.warehouse, *assets, config=config or None)

    def late(self, *tables: str, **config: Any) -> dict[str, list[str]]:
        """Refreshes, and returns the months before the look-back that were read again, with the reasons."""
        done = self.run(*tables, **config)
        assert done.success, done.failure
        return done.metadata.get("refersion/conversions", {}).get("late_months", {})

    def stale(self) -> dict[str, Any]:
        """Rows that differ between Refersion and the warehouse, and rows that only one of them has."""
        columns = "id, status, payment_status, commission_total, payment__id"
        found = self.warehouse.query(f"SELECT {columns} FROM refersion_data.conversions WHERE vanished_at IS NULL")
        here = {row[0]: row[1:] for row in found}
        there = {str(row.id): _state(row) for row in self.sandbox.account.conversions.values()}
        return {
            one: (here.get(one), there.get(one))
            for one in here.keys() | there.keys()
            if here.get(one) != there.get(one)
        }

    def old_row(self, **wanted: Any) -> Any:
        """A conversion in the account's currency from long before the look-back."""
        return next(
            row
            for row in self.sandbox.account.conversions.values()
            if (NOW.timestamp() - row.created) / 86_400 > LOOKBACK_DAYS + 62
            and row.currency == self.sandbox.account.settings.base
            and not row.is_test_conversion
            and all(getattr(row, name) == value for name, value in wanted.items())
        )


def _state(row: Any) -> tuple[Any, ...]:
    return row.status, row.payment_status, row.commission_total, str(row.payment_id) if row.payment_id else None


def month_of(row: Any) -> str:
    return f"{datetime.fromtimestamp(row.created, UTC):%Y-%m}"
