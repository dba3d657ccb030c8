"""One contender in this process: seconds, processor seconds and peak memory, as one line of JSON.

`python -m benchmarks.measure` is started by benchmarks.ingest, once for each contender.
"""

import argparse
import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path

Run = Callable[[str, int, Path, int], None]


@dataclass(frozen=True)
class Contender:
    """The function behind a short name. `target` is module:function, imported in the measuring process only."""

    label: str
    target: str
    fills_database: bool = True

    def load(self) -> Run:
        module, function = self.target.split(":")
        return getattr(importlib.import_module(module), function)


CONTENDERS = {
    "a": Contender("ours, first load", "benchmarks.ours:run"),
    "a2": Contender("ours, second run, nothing new", "benchmarks.ours:run_again"),
    "b": Contender("dlt rest_api, default format", "benchmarks.plain_rest_api:run_default_format"),
    "c": Contender("dlt rest_api, Parquet", "benchmarks.plain_rest_api:run_parquet"),
    "d": Contender("minimum: download and parse", "benchmarks.floor:run", fills_database=False),
}


@dataclass(frozen=True)
class Usage:
    """The resources that a contender used.

    seconds: wall time of the work, from after the imports to its return.
    cpu_seconds: processor time, user and system, of the whole process and its children, imports included.
    peak_bytes: largest resident set of the process, plus that of its largest child if it had any.
    check_seconds: wall time of verifying the result, not included in the other figures.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    check_seconds: float


def _consumption() -> tuple[float, int]:
    unit = 1 if sys.platform == "darwin" else 1024
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used), sum(each.ru_maxrss for each in used) * unit


def measure(
    contender: Contender, graphql_url: str, rows: int, directory: Path, concurrency: int, commission_total: Decimal
) -> Usage:
    """Run the contender, then verify its result. A wrong result raises RuntimeError."""
    run = contender.load()
    started = time.perf_counter()
    run(graphql_url, rows, directory, concurrency)
    seconds = time.perf_counter() - started
    cpu_seconds, peak_bytes = _consumption()
    check_started = time.perf_counter()
    if contender.fills_database:
        from benchmarks.database import verify

        verify(directory, rows, commission_total)
    return Usage(seconds, cpu_seconds, peak_bytes, time.perf_counter() - check_started)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure", description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("graphql_url")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--commission-total", type=Decimal, required=True, help="the sum that the rows must have")
    options = parser.parse_args()
    usage = measure(
        CONTENDERS[options.contender],
        options.graphql_url,
        options.rows,
        options.directory,
        options.concurrency,
        options.commission_total,
    )
    print(json.dumps(asdict(usage)))


if __name__ == "__main__":
    main()
