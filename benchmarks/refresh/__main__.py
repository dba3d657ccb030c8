"""Refresh benchmark: everything that `refersion-dagster refresh` does, compared with a plain dlt load and dbt.

Both sides read the same sandbox over HTTP into an empty folder and must build the same tables.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from benchmarks.database import database_path
from benchmarks.ingest import machine
from benchmarks.processes import PROJECT, StageUsage, environment_of, run_stage, running
from benchmarks.refresh.comparison import compare
from benchmarks.refresh.dagster_steps import check_count, step_seconds
from benchmarks.refresh.dbt_project import dbt_environment, packages, write_project
from refersion_dagster.summaries.query import load_summaries

SideName = Literal["ours", "dlt and dbt"]
# The requirement applies to large accounts: with few rows most of the time is the start of Dagster and dbt.
JUDGED_ROWS = 1_000_000
# The advice of dlt's performance page for large loads: limited file sizes, and one process per file to normalise.
TUNED = {
    "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": "100000",
    "NORMALIZE__WORKERS": str(os.cpu_count()),
    "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "100000",
}


@dataclass(frozen=True)
class SideResult:
    """One side in one round.

    Args:
        stages: its processes.
        parts: seconds of parts of a process.
    """

    side: SideName
    database: Path
    tests: int
    stages: Mapping[str, StageUsage]
    parts: Mapping[str, float]

    @property
    def whole(self) -> StageUsage:
        used = self.stages.values()
        return StageUsage(
            sum(one.seconds for one in used), sum(one.cpu_seconds for one in used), max(one.peak_bytes for one in used)
        )


def run_ours(folder: Path, account: Mapping[str, str]) -> SideResult:
    """Run the job refersion_refresh as a user does from a shell."""
    (folder / "dagster").mkdir()
    command = [str(Path(sys.executable).with_name("refersion-dagster")), "refresh"]
    used = run_stage(command, folder, environment_of(folder, account))
    home = folder / "dagster"
    return SideResult("ours", database_path(folder), check_count(home), {"refresh": used}, step_seconds(home))


def run_theirs(folder: Path, account: Mapping[str, str], dbt_python: Path) -> SideResult:
    """Run a plain dlt pipeline, then `dbt build`."""
    environment = environment_of(folder, account) | TUNED
    database, project = database_path(folder), folder / "dbt"
    load = run_stage([sys.executable, "-m", "benchmarks.refresh.plain_load", str(database)], folder, environment)
    write_project(project, database)
    build = run_stage([str(dbt_python.with_name("dbt")), "build", "--profiles-dir", "."], project, environment)
    results = json.loads((project / "target" / "run_results.json").read_text())["results"]
    tests = [one for one in results if one["unique_id"].startswith("test.")]
    return SideResult("dlt and dbt", database, len(tests), {"load": load, "dbt build": build}, {})


def measure_round(
    folder: Path, account: Mapping[str, str], dbt_python: Path, ours_first: bool, console: Console
) -> list[SideResult]:
    """Run both sides one after another, and verify that they built the same tables."""
    names: list[SideName] = ["ours", "dlt and dbt"] if ours_first else ["dlt and dbt", "ours"]
    results: dict[SideName, SideResult] = {}
    for name in names:
        place = folder / name.replace(" ", "_")
        place.mkdir(parents=True)
        result = run_ours(place, account) if name == "ours" else run_theirs(place, account, dbt_python)
        results[name] = result
        for stage, used in result.stages.items():
            print_flushed(console, f"{name}, {stage}: {used.seconds:.1f} s, {used.peak_bytes / 1e6:,.0f} MB")
    ours, theirs = results["ours"], results["dlt and dbt"]
    if ours.tests != theirs.tests:
        raise RuntimeError(f"{ours.tests} checks, but {theirs.tests} dbt tests")
    tables = [summary.name for summary in load_summaries()]
    figures = compare(ours.database, theirs.database, tables)
    print_flushed(
        console,
        f"Both built the same {len(tables)} tables and evaluated {ours.tests} tests: "
        f"{figures:,} row counts and sums by currency are equal.",
    )
    return [ours, theirs]


def print_flushed(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)
    console.file.flush()


def print_results(results: list[SideResult], rows: int, console: Console) -> float:
    """Print medians of all rounds, and return the ratio of their time to ours."""
    table = Table("", title=f"A whole refresh of {rows:,} conversions", title_justify="left")
    for heading in ("seconds", "CPU s", "peak MB"):
        table.add_column(heading, justify="right")
    seconds: dict[SideName, float] = {}
    names: list[SideName] = ["ours", "dlt and dbt"]
    for name in names:
        rounds = [one for one in results if one.side == name]
        seconds[name] = statistics.median(one.whole.seconds for one in rounds)
        for part in rounds[0].parts:
            table.add_row(f"{name}: {part}", f"{statistics.median(one.parts[part] for one in rounds):.1f}", "", "")
        stages = {stage: [one.stages[stage] for one in rounds] for stage in rounds[0].stages}
        if len(stages) > 1:
            for stage, used in stages.items():
                table.add_row(f"{name}: {stage}", *_figures(used))
        table.add_row(f"[bold]{name}[/bold]", *_figures([one.whole for one in rounds]))
        table.add_section()
    console.print(table)
    return seconds["dlt and dbt"] / seconds["ours"]


def _figures(used: list[StageUsage]) -> list[str]:
    return [
        f"{statistics.median(one.seconds for one in used):.1f}",
        f"{statistics.median(one.cpu_seconds for one in used):.1f}",
        f"{max(one.peak_bytes for one in used) / 1e6:,.0f}",
    ]


def main() -> int:
    """Return 0 if both sides built the same tables and, from 1,000,000 conversions on, ours was faster, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refresh", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="conversions, approximately")
    parser.add_argument("--repeat", type=int, default=1, help="rounds; the order of the sides alternates")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    options = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=100)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    dbt_python = dbt_environment(PROJECT)
    results: list[SideResult] = []
    print_flushed(console, f"Starting a sandbox with about {options.rows:,} conversions.")
    with running("benchmarks.refresh.sandbox", "--rows", str(options.rows)) as account:
        rows: int = account["rows"]
        print_flushed(
            console, f"{rows:,} conversions, {account['clicks']:,} clicks, {account['affiliates']:,} affiliates"
        )
        for number in range(options.repeat):
            with tempfile.TemporaryDirectory(prefix="refersion-benchmark-") as scratch:
                results += measure_round(Path(scratch), account["environment"], dbt_python, number % 2 == 0, console)
    ratio = print_results(results, rows, console)
    versions = machine() | packages(dbt_python)
    console.print(", ".join(f"{name} {value}" for name, value in versions.items()), style="dim", highlight=False)
    is_judged = options.rows >= JUDGED_ROWS
    verdict = "not judged" if not is_judged else "pass" if ratio > 1 else "FAIL"
    demand = f"must be above 1 from {JUDGED_ROWS:,} conversions on"
    print_flushed(console, f"{verdict}: dlt and dbt take {ratio:.2f} times as long as ours ({demand})")
    if options.json:
        report = {"machine": versions, "rows": rows, "results": [asdict(one) for one in results]}
        options.json.write_text(json.dumps(report, indent=2, default=str) + "\n", encoding="utf-8")
    return 1 if verdict == "FAIL" else 0


if __name__ == "__main__":
    sys.exit(main())
