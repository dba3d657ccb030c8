"""Statements benchmark: the asset for 20,000 affiliates and a month of 300,000 conversions."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
AFFILIATES, CONVERSIONS, MONTH = 20_000, 300_000, "2025-12"
SECONDS_DEMAND, MEMORY_DEMAND = 60, 1_000_000_000
# The generated account's two years are compressed to 41 days, 31 of which are the month.
DAYS, OF_MONTH = 41, 31
COMPRESSED = """
TIMESTAMPTZ '2026-01-01 00:00:00+00'
- to_microseconds(CAST(epoch_us(TIMESTAMPTZ '2026-01-01 00:00:00+00' - {column}) * {days} / 730.0 AS BIGINT))
"""
TIMES = {
    "conversions": ("created", "updated", "click__created", "payment__created", "vanished_at", "read_at"),
    "conversion_history": ("seen_at", "updated", "seen_before"),
    "conversion_readings": ("read_at", "read_from", "read_to"),
    "payments": ("created",),
}


def make(database: Path) -> None:
    """Generate an account with the required conversions in the last month, and the summaries that statements read."""
    import duckdb

    from benchmarks.account import make_account
    from refersion_dagster.report.statements.asset import READS
    from refersion_dagster.resources import Warehouse
    from refersion_dagster.summaries.build import build
    from refersion_dagster.summaries.query import load_summaries
    from refersion_dagster.summaries.settings import ReportSettings

    make_account(database, CONVERSIONS * DAYS // OF_MONTH, AFFILIATES)
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table, columns in TIMES.items():
            changes = ", ".join(f"{column} = {COMPRESSED.format(column=column, days=DAYS)}" for column in columns)
            connection.execute(f"UPDATE refersion_data.{table} SET {changes}")
    wanted = {*READS, "payments", "currencies"}
    with Warehouse(duckdb_path=str(database)).session() as session:
        for summary in load_summaries():
            if summary.name in wanted:
                build(session, summary, ReportSettings().parameters())


def measured(database: Path, folder: Path) -> dict[str, Any]:
    """Generate the statements once, with Dagster's records in files as a user has them."""
    import dagster as dg

    from refersion_dagster.report.resource import Reports
    from refersion_dagster.report.statements.asset import statements_asset
    from refersion_dagster.resources import Warehouse

    home = folder / "dagster"
    home.mkdir(parents=True)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        started = time.perf_counter()
        result = dg.materialize(
            [statements_asset()],
            resources={"warehouse": Warehouse(duckdb_path=str(database)), "reports": Reports(folder=str(folder))},
            run_config={"ops": {"report__statements": {"config": {"month": MONTH}}}},
            instance=instance,
        )
        seconds = time.perf_counter() - started
    assert result.success
    (event,) = result.asset_materializations_for_node("report__statements")
    counts = {name: event.metadata[name].value for name in ("affiliates", "statements", "conversions")}
    files = list((folder / "statements" / MONTH).iterdir())
    return {
        **counts,
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "seconds": seconds,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.statements", description=__doc__)
    parser.add_argument("--database", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.database:
        print(json.dumps(measured(options.database, options.database.parent / "reports")))
        return 0
    with tempfile.TemporaryDirectory(prefix="refersion-benchmark-") as scratch:
        database = Path(scratch) / "warehouse.duckdb"
        make(database)
        # In its own process, so that generating the account is not counted.
        command = [sys.executable, "-m", "benchmarks.statements", "--database", str(database)]
        ended = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"The benchmark failed:\n{ended.stderr[-4000:]}")
    found = json.loads(ended.stdout.splitlines()[-1])
    for name, value in found.items():
        print(f"{name}: {value:,.1f}" if isinstance(value, float) else f"{name}: {value:,}")
    passed = found["seconds"] < SECONDS_DEMAND and found["peak_bytes"] < MEMORY_DEMAND
    print(f"{'pass' if passed else 'FAIL'}: under {SECONDS_DEMAND} s and {MEMORY_DEMAND / 1e9:g} GB")
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
