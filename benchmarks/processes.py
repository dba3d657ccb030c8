"""Processes that benchmarks start: servers that stop with the benchmark, and stages measured for time and memory."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.database import database_path

PROJECT = Path(__file__).resolve().parent.parent
_LOG_TAIL = 4_000


@contextmanager
def running(module: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """A server in its own process. Yields the line of JSON that it prints once it accepts requests.

    It stops when the block is left. Its standard input closes if this process is killed.
    """
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{module} did not start; its message is above")
        try:
            yield json.loads(line)
        finally:
            process.terminate()


def environment_of(folder: Path, account: Mapping[str, str]) -> dict[str, str]:
    """The environment of a stage: the account and its own folders, without the user's other settings."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("REFERSION_", "DAGSTER_", "SOURCES__", "DESTINATION__"))
    }
    return {
        **own,
        **account,
        "PYTHONPATH": str(PROJECT),
        "REFERSION_PII_SALT": "benchmark",
        "REFERSION_DUCKDB_PATH": str(database_path(folder)),
        "REFERSION_PUBLISH_PATH": str(folder / "published"),
        "REFERSION_REPORT_PATH": str(folder / "reports"),
        "DAGSTER_HOME": str(folder / "dagster"),
        "DLT_DATA_DIR": str(folder / "dlt"),
        "TMPDIR": str(folder),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


@dataclass(frozen=True)
class StageUsage:
    """The resources that one process used.

    Args:
        seconds: wall time from its start to its end.
        cpu_seconds: user and system processor time of the process and its children.
        peak_bytes: largest resident set of the process or of one of its children.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run_stage(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> StageUsage:
    """Run a command to its end.

    Its output is kept in `folder`. On failure, raises RuntimeError with the end of the output.
    """
    log = folder / "output.txt"
    started = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()[-_LOG_TAIL:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return StageUsage(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)
