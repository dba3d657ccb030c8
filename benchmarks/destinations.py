"""Destinations benchmark: the same refresh into each database that this machine can run.

Each reads the same sandbox over HTTP into an empty database. Emulated databases show only how many statements a
refresh sends: their times say nothing.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.ingest import machine
from benchmarks.processes import PROJECT, environment_of, run_stage, running
from benchmarks.refresh.dagster_steps import step_seconds
from refersion_dagster.usage.meter import METER, Usage

Environment = Mapping[str, str]
# Shown of the parts of a refresh.
SHOWN = ("load", "summaries", "checks")


@dataclass(frozen=True)
class DestinationFigures:
    """What one refresh used.

    Args:
        is_emulated: whether only the number of statements says something.
        parts: seconds of each part, from Dagster's records.
        peak_bytes: largest resident set of the process that refreshes; a server has its own memory.
        usage: what its sessions sent, and dlt's statements in BigQuery.
    """

    destination: str
    is_emulated: bool
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    parts: Mapping[str, float]
    usage: Usage


@contextmanager
def duckdb_file(folder: Path) -> Iterator[Environment]:
    yield {"REFERSION_DESTINATION": "duckdb"}


@contextmanager
def postgres_server(folder: Path) -> Iterator[Environment]:
    """A server for the tests, which does not wait for its disk."""
    from refersion_dagster_tests.postgres import PostgresServer

    server = PostgresServer(folder / "postgres.lock")
    try:
        yield server.create_database().environment
    finally:
        server.stop()


@contextmanager
def ducklake_folder(folder: Path) -> Iterator[Environment]:
    """Its catalogue is a file and its storage a folder."""
    from refersion_dagster_tests.warehouse.lake_storage import LakeAddress

    storage = folder / "lake"
    storage.mkdir()
    yield LakeAddress(f"duckdb:///{folder / 'catalogue.duckdb'}", str(storage), {}).environment


@contextmanager
def bigquery_emulator(folder: Path) -> Iterator[Environment]:
    from refersion_dagster_tests.bigquery import BigQueryEmulator

    server = BigQueryEmulator()
    try:
        yield server.environment
    finally:
        server.stop()


REAL: Mapping[str, Callable[[Path], AbstractContextManager[Environment]]] = {
    "duckdb": duckdb_file,
    "postgres": postgres_server,
    "ducklake": ducklake_folder,
}
EMULATED: Mapping[str, Callable[[Path], AbstractContextManager[Environment]]] = {"bigquery": bigquery_emulator}


def refresh(result: Path) -> int:
    """Refreshes as a user does from a shell, and writes what was sent to a file."""
    from refersion_dagster.refresh.run import ShellRun

    before = METER.read()
    code = ShellRun().carry_out()
    result.write_text(json.dumps(asdict(METER.read() - before)), encoding="utf-8")
    return code


def measure(destination: str, folder: Path, account: Environment) -> DestinationFigures:
    """Refreshes an empty database once. Raises RuntimeError with the output if the refresh fails."""
    (folder / "dagster").mkdir(parents=True)
    result = folder / "usage.json"
    command = [sys.executable, "-m", "benchmarks.destinations", "--refresh", str(result)]
    with {**REAL, **EMULATED}[destination](folder) as database:
        # A lake's extensions are imported from a folder.
        path = os.pathsep.join(filter(None, (str(PROJECT), database.get("PYTHONPATH"))))
        environment = environment_of(folder, {**account, **database}) | {"PYTHONPATH": path}
        used = run_stage(command, folder, environment)
    usage = Usage(**json.loads(result.read_text("utf-8")))
    parts = step_seconds(folder / "dagster")
    is_emulated = destination in EMULATED
    return DestinationFigures(destination, is_emulated, used.seconds, used.cpu_seconds, used.peak_bytes, parts, usage)


def print_figures(results: Sequence[DestinationFigures], rows: int, console: Console) -> None:
    table = Table("", title=f"{rows:,} conversions, first refresh", title_justify="left")
    for heading in (*SHOWN, "seconds", "CPU s", "peak MB", "statements", "bytes billed"):
        table.add_column(heading, justify="right")
    for one in results:
        times = [*(one.parts[part] for part in SHOWN), one.seconds, one.cpu_seconds]
        table.add_row(
            f"{one.destination} (emulated)" if one.is_emulated else one.destination,
            *("–" if one.is_emulated else f"{seconds:.1f}" for seconds in times),
            "–" if one.is_emulated else f"{one.peak_bytes / 1e6:,.0f}",
            f"{one.usage.statements:,}",
            f"{one.usage.bytes_billed:,}" if one.usage.priced else "–",
        )
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.destinations", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="conversions, approximately")
    parser.add_argument("--only", nargs="+", choices=[*REAL, *EMULATED], default=list(REAL), help="the destinations")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--refresh", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.refresh:
        return refresh(options.refresh)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    console = Console() if sys.stdout.isatty() else Console(width=120)
    results: list[DestinationFigures] = []
    with running("benchmarks.refresh.sandbox", "--rows", str(options.rows)) as account:
        for destination in options.only:
            with tempfile.TemporaryDirectory(prefix="refersion-benchmark-") as scratch:
                results.append(measure(destination, Path(scratch) / destination, account["environment"]))
            console.print(f"{destination}: {results[-1].seconds:.1f} s", highlight=False)
            console.file.flush()
    print_figures(results, account["rows"], console)
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    versions = ", ".join(f"{name} {value}" for name, value in machine().items())
    console.print(f"{versions}; load average at the end {load}", style="dim", highlight=False)
    if options.json:
        report = {"machine": machine(), "rows": account["rows"], "results": [asdict(one) for one in results]}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
