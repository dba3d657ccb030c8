"""Nights benchmark: requests and seconds of a refresh without new data, by how the account reveals old changes.

The account is a sandbox in this process, so seconds include client and server. Afterwards the liability summaries are
built separately on the same warehouse.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import dagster as dg
from dagster_dlt import DagsterDltResource
from rich.console import Console
from rich.table import Table

from refersion_dagster.ingest.assets import refersion_tables
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster.summaries.build import build
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster.summaries.settings import ReportSettings

AFFILIATES, DAYS = 300, 800
# How an account reveals changes outside the look-back window, in addition to totals and payments.
WAYS = {
    "counts of pageInfo": {"total_results": "exact", "remove_arguments": []},
    "positions, by status": {"total_results": "absent", "remove_arguments": []},
    "positions, without status": {"total_results": "absent", "remove_arguments": ["conversions.status"]},
}
OWED = ("conversion_states", "due_periods", "due_bounds", "commission_roll_forward")


def refresh(sandbox: SandboxServer, warehouse: Warehouse) -> tuple[float, Counter[str]]:
    """Run one refresh; return its seconds and the requests by path or root field."""
    account = RefersionResource(
        public_key=sandbox.public_key,
        api_key=sandbox.secret_key,
        graphql_token=sandbox.graphql_token,
        rest_url=sandbox.rest_url,
        graphql_url=sandbox.graphql_url,
        start_date=f"{sandbox.start:%Y-%m-%d}",
        pii_salt="salt",
    )
    sandbox.forget_requests()
    started = time.perf_counter()
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [refersion_tables],
            resources={"refersion": account, "warehouse": warehouse, "dlt": DagsterDltResource()},
            instance=instance,
        )
    assert result.success
    return time.perf_counter() - started, Counter(sandbox.requests())


def built(warehouse: Warehouse) -> dict[str, float]:
    """Build all summaries in order; return the seconds of each."""
    values = ReportSettings().parameters()
    seconds: dict[str, float] = {}
    with warehouse.session() as session:
        for summary in load_summaries():
            started = time.perf_counter()
            build(session, summary, values)
            seconds[summary.name] = time.perf_counter() - started
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nights", description=__doc__)
    parser.add_argument("--orders", type=int, default=30_000)
    options = parser.parse_args()
    console = Console(width=100)
    table = Table("changes shown by", "requests for conversions", "for totals", "in all", "seconds")
    with tempfile.TemporaryDirectory(prefix="refersion-benchmark-") as scratch:
        warehouse = Warehouse(duckdb_path=str(Path(scratch) / "warehouse.duckdb"))
        with SandboxServer(SandboxSettings(affiliates=AFFILIATES, orders=options.orders, days=DAYS)) as sandbox:
            for way, switches in {"(first load)": {}, "(second)": {}, **WAYS}.items():
                sandbox.configure(**switches)
                sandbox.advance(seconds=3_600)
                with console.status(way):
                    seconds, asked = refresh(sandbox, warehouse)
                table.add_row(
                    way,
                    f"{asked['graphql:conversions']:,}",
                    f"{asked['rest:/conversion/totals']:,}",
                    f"{sum(asked.values()):,}",
                    f"{seconds:.1f}",
                )
        ((rows,),) = warehouse.query("SELECT count(*) FROM refersion_data.conversions")
        ((readings,),) = warehouse.query("SELECT count(*) FROM refersion_data.conversion_readings")
        with console.status("building summaries"):
            seconds = built(warehouse)
    console.print(f"{rows:,} conversions, {readings:,} readings")
    console.print(table)
    owed = ", ".join(f"{name} {seconds[name]:.2f}" for name in OWED)
    console.print(f"summaries: {owed}; all {len(seconds)}: {sum(seconds.values()):.1f} seconds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
