"""Ingest benchmark: our conversions resource against dlt's REST API source and the minimum, on one server."""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar, Figures, bars
from benchmarks.measure import CONTENDERS, Usage
from benchmarks.processes import PROJECT, running

_PLAIN = ("b", "c")
_PLAIN_LIMIT_ROWS = 200_000
_WIDTH_IN_FILES = 132
_PACKAGES = ("dlt", "duckdb", "pyarrow", "orjson", "requests", "uvloop")


@dataclass(frozen=True)
class Result:
    """One contender at one number of rows.

    process_seconds: wall time of its process from start to end, without the check of its result.
    requests, peak_in_flight: as counted by the server. error: why there are no measurements.
    """

    contender: str
    rows: int
    latency_ms: float
    process_seconds: float
    requests: int
    peak_in_flight: int
    usage: Usage | None
    error: str | None


class Server:
    """A client of the server process."""

    def __init__(self, address: dict[str, Any]) -> None:
        self.url: str = address["url"]
        self.rows: int = address["rows"]
        self.commission_total: str = address["commission_total"]

    def stats(self) -> dict[str, Any]:
        return self._call(Request(f"{self.url}/stats"))  # noqa: S310

    def set_latency(self, latency_ms: float) -> None:
        """Delay all further responses by this many milliseconds, and reset the counters."""
        body = json.dumps({"latency_ms": latency_ms}).encode()
        self._call(Request(f"{self.url}/settings", data=body, method="PUT"))  # noqa: S310

    def _call(self, request: Request) -> dict[str, Any]:
        with urlopen(request, timeout=10) as response:  # noqa: S310
            return json.load(response)


@contextmanager
def running_server(rows: int) -> Iterator[Server]:
    """A server with `rows` conversions; it stops when the block is left, and also when this process is killed."""
    with running("benchmarks.server", "--rows", str(rows), "--until-stdin-closes") as address:
        yield Server(address)


def run_contender(name: str, server: Server, latency_ms: float, concurrency: int, directory: Path) -> Result:
    """Run the contender in its own process and working directory, and return its figures."""
    server.set_latency(latency_ms)
    command = [sys.executable, "-m", "benchmarks.measure", name, f"{server.url}/graphql", "--rows", str(server.rows)]
    command += ["--directory", str(directory), "--concurrency", str(concurrency)]
    command += ["--commission-total", server.commission_total]
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT),
        "DLT_DATA_DIR": str(directory / "dlt"),
        "TMPDIR": str(directory),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    started = time.perf_counter()
    ended = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    process_seconds = time.perf_counter() - started
    stats = server.stats()
    usage, error = None, None
    if ended.returncode == 0:
        usage = Usage(**json.loads(ended.stdout.splitlines()[-1]))
        process_seconds -= usage.check_seconds
    else:
        error = ended.stderr.strip() or f"ended with {ended.returncode}"
    return Result(
        name,
        server.rows,
        latency_ms,
        process_seconds,
        stats["requests"],
        stats["peak_in_flight"],
        usage,
        error,
    )


def medians(results: list[Result]) -> dict[tuple[str, int], Figures]:
    """Median seconds and largest peak over the rounds, for contenders that never failed."""
    rounds: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        rounds.setdefault((result.contender, result.rows), []).append(result)
    figures: dict[tuple[str, int], Figures] = {}
    for key, same in rounds.items():
        usages = [result.usage for result in same if result.usage is not None]
        if len(usages) == len(same):
            seconds = statistics.median(usage.seconds for usage in usages)
            figures[key] = Figures(seconds, max(usage.peak_bytes for usage in usages))
    return figures


def measure_round(
    server: Server, names: list[str], latency_ms: float, concurrency: int, console: Console
) -> list[Result]:
    """Run the contenders one after another on one server; (a) and (a2) share a folder, (d) has no latency."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="refersion-benchmark-") as scratch:
        for name in names:
            directory = Path(scratch) / ("a" if name == "a2" else name)
            directory.mkdir(exist_ok=True)
            with console.status(f"({name}) {CONTENDERS[name].label}, {server.rows:,} rows"):
                result = run_contender(name, server, 0 if name == "d" else latency_ms, concurrency, directory)
            results.append(result)
            if result.error:
                console.print(f"({name}) failed:", style="red")
                console.print(result.error, markup=False, highlight=False)
    return results


def machine() -> dict[str, str]:
    """The machine and versions that the figures depend on."""
    packages = {package: version(package) for package in _PACKAGES}
    return {"cores": str(os.cpu_count()), "system": platform.platform(), "python": platform.python_version()} | packages


def print_results(results: list[Result], demands: list[Bar], console: Console) -> None:
    table = Table("", "contender", title="Ingest", title_justify="left")
    for heading in (
        "rows",
        "latency ms",
        "seconds",
        "process s",
        "CPU s",
        "peak MB",
        "µs a row",
        "requests",
        "at once",
    ):
        table.add_column(heading, justify="right")
    for result in results:
        usage = result.usage
        figures = ["failed", "", "", "", ""]
        if usage is not None:
            figures = [
                f"{usage.seconds:.2f}",
                f"{result.process_seconds:.2f}",
                f"{usage.cpu_seconds:.2f}",
                f"{usage.peak_bytes / 1e6:.0f}",
                f"{usage.seconds / result.rows * 1e6:.1f}",
            ]
        table.add_row(
            result.contender,
            CONTENDERS[result.contender].label,
            f"{result.rows:,}",
            f"{result.latency_ms:g}",
            *figures,
            str(result.requests),
            str(result.peak_in_flight),
        )
    console.print(table)
    verdicts = Table("demand", title="Demands", title_justify="left")
    for heading in ("measured", "must be", ""):
        verdicts.add_column(heading, justify="right")
    for bar in demands:
        value = "" if bar.value is None else f"{bar.value:.2f}{bar.unit}"
        colour = {"pass": "green", "fail": "red", "not measured": "dim"}[bar.verdict]
        verdicts.add_row(bar.label, value, f"{bar.sign} {bar.limit:g}{bar.unit}", f"[{colour}]{bar.verdict}[/{colour}]")
    console.print(verdicts)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in CONTENDERS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown contender {', '.join(unknown)}; available are {', '.join(CONTENDERS)}"
        )
    if "a2" in names and "a" not in names:
        raise argparse.ArgumentTypeError("a2 continues the run of a: use a,a2")
    return [name for name in CONTENDERS if name in names]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[100_000], help="one or more sizes, for ratios between sizes"
    )
    parser.add_argument("--latency-ms", type=float, default=0, help="milliseconds before each response, except for d")
    parser.add_argument("--concurrency", type=int, default=8, help="maximum number of parallel requests of (a)")
    parser.add_argument(
        "--only",
        type=_names,
        help=f"of {','.join(CONTENDERS)}; default all, without b and c above {_PLAIN_LIMIT_ROWS:,} rows",
    )
    parser.add_argument("--repeat", type=int, default=1, help="rounds; demands are judged by the median of the seconds")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    return parser.parse_args()


def main() -> int:
    """Return 0 if every contender loaded the correct rows and all requirements are met, else 1."""
    options = _options()
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_IN_FILES)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    results: list[Result] = []
    for rows in options.rows:
        names = options.only or [name for name in CONTENDERS if rows <= _PLAIN_LIMIT_ROWS or name not in _PLAIN]
        with running_server(rows) as server:
            for _ in range(options.repeat):
                results += measure_round(server, names, options.latency_ms, options.concurrency, console)
    demands = bars(medians(results), options.latency_ms, options.concurrency)
    print_results(results, demands, console)
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()), style="dim")
    if options.json:
        report = {
            "machine": machine(),
            "results": [asdict(result) for result in results],
            "demands": [asdict(bar) | {"verdict": bar.verdict} for bar in demands],
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    failed = any(result.error for result in results) or any(bar.verdict == "fail" for bar in demands)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
