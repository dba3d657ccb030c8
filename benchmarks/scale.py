"""Scale benchmark: how time, memory and disk space of a refresh grow with the account, stage by stage.

The account is written directly into DuckDB. Each stage is a process that runs the product's own assets and checks. With
--nightly, the second of two refreshes is measured, after one more day.
"""

import argparse
import json
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.account import DAYS, make_account
from benchmarks.database import database_path
from benchmarks.ingest import machine
from benchmarks.processes import environment_of, run_stage
from benchmarks.refresh.dagster_steps import seconds_by_step

AFFILIATES = 20_000
GROWTH_DEMAND, NIGHTLY_DEMAND = 1.2, 1.5
ACCOUNT, NIGHT = "account", "night"
# A refresh without the load, in its order.
STAGES = ("summaries", "checks", "published copies", "report")
# What a stage costs; the size on disk is that of the account.
COSTS = ("seconds", "cpu_seconds", "peak_bytes")
SLOWEST_SHOWN = 12
SAMPLE_SECONDS = 0.5


@dataclass(frozen=True)
class StageFigures:
    """What one stage used.

    Args:
        seconds: wall time of the process.
        cpu_seconds: user and system processor time of the process.
        peak_bytes: largest resident set.
        disk_bytes: size of the folder afterwards: the database, published copies, report and Dagster's records.
        peak_disk_bytes: largest size of the folder meanwhile, with DuckDB's temporary files.
        steps: seconds of each step.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    disk_bytes: int
    peak_disk_bytes: int
    steps: Mapping[str, float]


Figures = Mapping[str, StageFigures]
"""The figures of one account, by stage."""


@dataclass(frozen=True)
class Growth:
    """A figure of the larger account divided by that of the smaller one, and the most that it may be."""

    label: str
    ratio: float
    limit: float

    @property
    def is_met(self) -> bool:
        return self.ratio <= self.limit


def run_assets(stage: str) -> None:
    """Runs the assets or checks of a stage in this process, with Dagster's records in files as a user has them.

    Raises RuntimeError if a blocking check fails.
    """
    import dagster as dg

    from refersion_dagster.checks.assets import all_checks
    from refersion_dagster.code_location import build_definitions
    from refersion_dagster.report.assets import GROUP as PUBLISHED
    from refersion_dagster.report.commissions.asset import GROUP as REPORT
    from refersion_dagster.settings import load_settings
    from refersion_dagster.summaries.query import GROUPS, load_summaries

    # The check of a summary's key is part of building it and not among these.
    checks = dg.AssetSelection.checks(*all_checks(load_summaries()))
    selections = {
        "summaries": dg.AssetSelection.groups(*GROUPS) - checks,
        "checks": checks,
        "published copies": dg.AssetSelection.groups(PUBLISHED),
        "report": dg.AssetSelection.groups(REPORT),
    }
    job = dg.define_asset_job("scale", selections[stage])
    definitions = dg.Definitions.merge(build_definitions(load_settings()), dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_job_def("scale").execute_in_process(
            instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        )
    failed = [one for one in result.get_asset_check_evaluations() if not one.passed and one.blocking]
    if failed:
        raise RuntimeError("; ".join(f"{one.asset_key.to_user_string()}: {one.check_name} failed" for one in failed))


def folder_bytes(folder: Path) -> int:
    """Size of all files in a folder. A file that is deleted meanwhile counts as empty."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total


@contextmanager
def largest_size(folder: Path) -> Iterator[list[int]]:
    """Observes the size of a folder in the context. The list's only element is the largest one so far."""
    largest, done = [folder_bytes(folder)], threading.Event()

    def observe() -> None:
        while not done.wait(SAMPLE_SECONDS):
            largest[0] = max(largest[0], folder_bytes(folder))

    thread = threading.Thread(target=observe)
    thread.start()
    try:
        yield largest
    finally:
        done.set()
        thread.join()


def measure_stage(folder: Path, stage: str, arguments: list[str]) -> StageFigures:
    """Runs a stage as a process in a folder."""
    environment = environment_of(folder, {})
    with largest_size(folder) as largest:
        used = run_stage([sys.executable, "-m", "benchmarks.scale", "--stage", stage, *arguments], folder, environment)
    steps = seconds_by_step(folder / "dagster") if stage in STAGES else {}
    size = folder_bytes(folder)
    return StageFigures(used.seconds, used.cpu_seconds, used.peak_bytes, size, max(size, largest[0]), steps)


def measure(folder: Path, rows: int, days: int, nightly: bool, console: Console) -> dict[str, StageFigures]:
    """Generates an account in a folder and runs every stage on it.

    With `nightly`, the account then gets one more day, and the figures are those of the stages that follow.
    """
    (folder / "dagster").mkdir(parents=True)
    figures: dict[str, StageFigures] = {}
    for stage in (ACCOUNT, *STAGES, *((NIGHT, *STAGES) if nightly else ())):
        arguments = ["--database", str(database_path(folder)), "--rows", str(rows), "--days", str(days)]
        figures[stage] = measure_stage(folder, stage, [] if stage in STAGES else arguments)
        console.print(f"{rows:,} conversions, {stage}: {figures[stage].seconds:.1f} s", highlight=False)
        console.file.flush()
    return figures


def growth_of(small: Figures, large: Figures, factor: float, limit: float, names: Sequence[str]) -> list[Growth]:
    """The growth of each stage's figures between two accounts, and the most that it may be.

    Args:
        factor: by which each figure is allowed to grow before `limit` applies: the ratio of the rows, or 1.
        names: the figures, from StageFigures.
    """
    found: list[Growth] = []
    for stage in STAGES:
        one, other = small[stage], large[stage]
        for name in names:
            ratio = getattr(other, name) / getattr(one, name)
            found.append(Growth(f"{stage}, {name.replace('_', ' ')}", ratio / factor, limit))
    return found


def print_figures(rows: int, days: int, figures: Figures, console: Console) -> None:
    table = Table("", title=f"{rows:,} conversions in {days:,} days, {AFFILIATES:,} affiliates", title_justify="left")
    for heading in ("seconds", "CPU s", "peak MB", "MB on disk", "largest, MB"):
        table.add_column(heading, justify="right")
    for stage, one in figures.items():
        sizes = (one.peak_bytes, one.disk_bytes, one.peak_disk_bytes)
        table.add_row(stage, f"{one.seconds:.1f}", f"{one.cpu_seconds:.1f}", *(f"{size / 1e6:,.0f}" for size in sizes))
    console.print(table)
    steps = {f"{stage}: {step}": taken for stage, one in figures.items() for step, taken in one.steps.items()}
    slowest = sorted(steps.items(), key=lambda one: -one[1])[:SLOWEST_SHOWN]
    console.print("Slowest: " + ", ".join(f"{step} {taken:.1f} s" for step, taken in slowest), highlight=False)


def main() -> int:
    """Returns 0 if every stage grows as demanded, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000], help="conversions")
    parser.add_argument(
        "--nightly", action="store_true", help="a refresh after one more day, with the same daily volume for longer"
    )
    parser.add_argument("--scratch", type=Path, help="folder for temporary files; default: the system's")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--stage", choices=(ACCOUNT, NIGHT, *STAGES), help=argparse.SUPPRESS)
    parser.add_argument("--days", type=int, default=DAYS, help=argparse.SUPPRESS)
    parser.add_argument("--database", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage in (ACCOUNT, NIGHT):
        make_account(options.database, options.rows[0], AFFILIATES, options.days, nights=int(options.stage == NIGHT))
        return 0
    if options.stage:
        run_assets(options.stage)
        return 0
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    console = Console() if sys.stdout.isatty() else Console(width=100)
    sizes: list[int] = sorted(options.rows)
    results: dict[int, dict[str, StageFigures]] = {}
    for rows in sizes:
        days = DAYS * rows // sizes[0] if options.nightly else DAYS
        with tempfile.TemporaryDirectory(prefix="refersion-benchmark-", dir=options.scratch) as scratch:
            results[rows] = measure(Path(scratch), rows, days, options.nightly, console)
        print_figures(rows, days, results[rows], console)
    if options.json:
        report = {
            "machine": machine(),
            "results": {rows: {k: asdict(v) for k, v in one.items()} for rows, one in results.items()},
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    demands: list[Growth] = []
    if len(sizes) > 1:
        small, large = results[sizes[0]], results[sizes[-1]]
        demands = (
            growth_of(small, large, 1, NIGHTLY_DEMAND, COSTS)
            if options.nightly
            else growth_of(small, large, sizes[-1] / sizes[0], GROWTH_DEMAND, (*COSTS, "disk_bytes"))
        )
    for one in demands:
        console.print(
            f"{'pass' if one.is_met else 'FAIL'}  {one.label}: {one.ratio:.2f} (at most {one.limit:g})", highlight=False
        )
    return int(not all(one.is_met for one in demands))


if __name__ == "__main__":
    sys.exit(main())
