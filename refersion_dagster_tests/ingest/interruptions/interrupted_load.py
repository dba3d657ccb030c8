"""Shared by the tests of interrupted runs: an account of some months, and a summary of its rows in the warehouse."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.location import NOW, Outcome, account_of, materialise, query

ACCOUNT = SandboxSettings(affiliates=12, orders=180, days=180, now=NOW)
# Small enough for a commit every month or two.
ROWS_PER_LOAD = 20
ASSETS = ("refersion/conversions", "refersion/conversion_history")


def load(sandbox: SandboxServer, database: Path, **changes: Any) -> Outcome:
    """Runs the load in this process, one page at a time."""
    account = account_of(sandbox, **{"rows_per_load": ROWS_PER_LOAD, "max_concurrency": 1, **changes})
    return materialise(account, Warehouse(duckdb_path=str(database)), *ASSETS)


def asked(sandbox: SandboxServer) -> int:
    return sandbox.requests().get("graphql:conversions", 0)


def in_warehouse(database: Path) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Rows, distinct ids and sums by currency, status and payment status, with test conversions separate."""
    rows = query(
        database,
        "SELECT is_test_conversion, status, payment_status, currency, count(*), count(DISTINCT id), sum(total), "
        "sum(commission_total) FROM refersion_data.conversions GROUP BY ALL",
    )
    return {row[:4]: row[4:] for row in rows}


def at_the_source(sandbox: SandboxServer) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    sums = sandbox.sums()
    return {
        (row["is_test_conversion"], row["status"], row["payment_status"], row["currency"]): (
            row["count"],
            row["count"],
            Decimal(row["total"]),
            Decimal(row["commission_total"]),
        )
        for row in sums["conversions"] + sums["test_conversions"]
    }
