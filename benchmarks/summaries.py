"""Summaries benchmark: all summaries as Dagster assets, compared with the same SELECTs run in one connection."""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).resolve().parent.parent
AFFILIATES = 20_000
MEMORY_DEMAND, GROWTH_DEMAND = 2_000_000_000, 1.2


def as_assets(database: Path) -> dict[str, float]:
    """Materialise every summary in one run, with Dagster's records in files as a user has them; return its seconds."""
    import dagster as dg

    from refersion_dagster.resources import Warehouse
    from refersion_dagster.summaries.assets import summary_assets
    from refersion_dagster.summaries.query import load_summaries
    from refersion_dagster.summaries.settings import ReportSettings

    home = database.parent / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        assets = summary_assets(load_summaries())
        started = time.perf_counter()
        result = dg.materialize(
            assets,
            resources={"warehouse": Warehouse(duckdb_path=str(database)), "settings": ReportSettings()},
            instance=instance,
        )
        seconds = time.perf_counter() - started
    assert result.success
    return {"all": seconds}


def by_hand(database: Path) -> dict[str, float]:
    """Run every SELECT in one connection; return the seconds of each, and of closing it, which writes the file."""
    import duckdb

    from refersion_dagster.summaries.build import FOUND_OUT
    from refersion_dagster.summaries.query import load_summaries
    from refersion_dagster.summaries.settings import ReportSettings
    from refersion_dagster.warehouse.dialects.dialect import DUCKDB
    from refersion_dagster.warehouse.sql import bind

    values = {**ReportSettings().parameters(), **dict.fromkeys(FOUND_OUT, "")}
    summaries = load_summaries()
    seconds: dict[str, float] = {}
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA refersion_summaries")
        for summary in summaries:
            select = DUCKDB.write(bind(summary.file.tree, values))
            started = time.perf_counter()
            connection.execute(f"CREATE TABLE refersion_summaries.{summary.name} AS {select}")
            seconds[summary.name] = time.perf_counter() - started
        closing_started = time.perf_counter()
    seconds["(closing)"] = time.perf_counter() - closing_started
    return seconds


WAYS = {"assets": as_assets, "hand": by_hand}


def measured(way: str, account: Path) -> dict[str, float]:
    """Run one way in its own process on a copy of the account; return its seconds and `peak_bytes`."""
    with tempfile.TemporaryDirectory(prefix="refersion-benchmark-", dir=account.parent) as folder:
        database = Path(folder) / "warehouse.duckdb"
        shutil.copy(account, database)
        ended = subprocess.run(
            [sys.executable, "-m", "benchmarks.summaries", "--way", way, "--database", str(database)],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode:
        sys.exit(f"{way} failed:\n{ended.stderr[-4000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.summaries", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000], help="conversions")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; demands are judged by the median of the seconds")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--database", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        seconds = WAYS[options.way](options.database)
        unit = 1 if sys.platform == "darwin" else 1024
        print(json.dumps(seconds | {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}))
        return 0
    return report(options.rows, options.repeat)


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure over the rounds, and the largest peak."""
    found = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return found | {"peak_bytes": max(one["peak_bytes"] for one in rounds)}


def report(sizes: list[int], repeat: int) -> int:
    """Measure each size and print the figures; return 1 if a requirement is not met."""
    from benchmarks.account import make_account

    console = Console(width=100)
    totals: dict[int, float] = {}
    demands: list[tuple[str, float, float]] = []
    with tempfile.TemporaryDirectory(prefix="refersion-benchmark-") as scratch:
        for rows in sizes:
            account = Path(scratch) / f"account_{rows}.duckdb"
            with console.status(f"generating an account of {rows:,} conversions"):
                make_account(account, rows, AFFILIATES)
            with console.status(f"{rows:,} conversions"):
                rounds = [{way: measured(way, account) for way in ("hand", "assets")} for _ in range(repeat)]
            hand, assets = (medians([one[way] for one in rounds]) for way in ("hand", "assets"))
            account.unlink()
            hand_peak, peak = hand.pop("peak_bytes"), assets["peak_bytes"]
            totals[rows] = assets["all"]
            table = Table("summary", "seconds by hand", title=f"{rows:,} conversions, {AFFILIATES:,} affiliates")
            for name, seconds in sorted(hand.items(), key=lambda one: -one[1]):
                table.add_row(name, f"{seconds:.2f}")
            table.add_section()
            table.add_row("all, by hand", f"{sum(hand.values()):.2f} ({hand_peak / 1e6:,.0f} MB)")
            table.add_row("all, as assets", f"{assets['all']:.2f} ({peak / 1e6:,.0f} MB)")
            table.add_row("as assets / by hand", f"{assets['all'] / sum(hand.values()):.2f}")
            console.print(table)
            if rows <= 1_000_000:
                demands.append((f"{rows:,} rows: peak GB", peak / 1e9, MEMORY_DEMAND / 1e9))
    if len(sizes) > 1:
        small, large = min(sizes), max(sizes)
        growth = (totals[large] / totals[small]) / (large / small)
        demands.append((f"time a row, {large:,} / {small:,}", growth, GROWTH_DEMAND))
    for name, found, most in demands:
        console.print(f"{'pass' if found <= most else 'FAIL'}  {name}: {found:.2f} (at most {most:g})")
    return int(any(found > most for _, found, most in demands))


if __name__ == "__main__":
    sys.exit(main())
