"""An account, a warehouse that is kept up to date with it, and readings of it over time."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import TABLES, account_of, materialise
from refersion_dagster_tests.oracle.figures import Shown, shown
from refersion_dagster_tests.oracle.judgement import Judge, Verdicts
from refersion_dagster_tests.oracle.life import Life

# In both zones, month ends are far from UTC's, on either side.
ZONES = ("America/New_York", "Pacific/Kiritimati")
EVERYTHING = (*TABLES, "conversion_history")
NIGHTLY = ("payments", "conversions", "conversion_history")


class Course:
    """The course of an account's life, and the figures that the package derives from it.

    Args:
        folder: the warehouse's folder.
        lookback_days: of the refreshes.
        without: changes of Life that are not made.
    """

    def __init__(
        self, sandbox: SandboxServer, folder: Path, lookback_days: int, without: frozenset[str] = frozenset()
    ) -> None:
        self.sandbox = sandbox
        self.warehouse = Warehouse(duckdb_path=str(folder / "warehouse.duckdb"))
        # A change may date a row to before the account's first order.
        start = f"{sandbox.start - timedelta(days=400):%Y-%m-%d}"
        self.account = account_of(sandbox, lookback_days=lookback_days, start_date=start)
        self.life = Life(sandbox, lookback_days, without)
        self._judge = Judge(sandbox.account)
        self._tables = EVERYTHING
        self._readings: list[int] = []

    def refresh(self, **config: Any) -> None:
        """Read the account. The first refresh reads all tables, later ones those that reveal changes."""
        assets = [f"refersion/{table}" for table in self._tables]
        done = materialise(self.account, self.warehouse, *assets, config=config or None)
        assert done.success, done.failure
        self._tables = NIGHTLY
        self._readings.append(int(self.sandbox.now.timestamp()))

    def refresh_at(self, moment: datetime, changes: int = 0, *, old: bool | None = None, **config: Any) -> None:
        """Advance the account to a point in time, with changes on the way (see Life.go_on_to), and read it."""
        self.life.go_on_to(moment, changes, old=old)
        self.refresh(**config)

    def judge(self, zone: str, *, report: bool = True) -> tuple[Shown, Verdicts]:
        """Build all figures in a time zone and compare them with the truth."""
        found = shown(self.warehouse, zone, report=report)
        return found, self._judge.judge(found, self._readings)

    def loaded(self) -> dict[str, tuple[Any, ...]]:
        """Conversions in the warehouse: id, affiliate, status, payment, commission, time of creation."""
        found = self.warehouse.query(
            "SELECT id, coalesce(affiliate_id, affiliate__id), status, coalesce(payment_id, payment__id), "
            "commission_total, currency, CAST(epoch(created) AS BIGINT) "
            "FROM refersion_data.conversions WHERE vanished_at IS NULL"
        )
        return {row[0]: tuple(row[1:]) for row in found}

    def true(self) -> dict[str, tuple[Any, ...]]:
        """The same columns of the conversions in the account."""
        return {
            str(row.id): (
                str(row.affiliate_id),
                row.status,
                str(row.payment_id) if row.payment_id else None,
                row.commission_total,
                row.currency,
                row.created,
            )
            for row in self.sandbox.account.conversions.values()
        }

    def stale(self) -> dict[str, tuple[Any, Any]]:
        """Conversions that differ between warehouse and account, each with both versions."""
        here, there = self.loaded(), self.true()
        return {
            one: (here.get(one), there.get(one))
            for one in sorted(here.keys() | there.keys())
            if here.get(one) != there.get(one)
        }
