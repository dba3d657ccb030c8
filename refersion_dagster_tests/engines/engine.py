"""Engines of other databases, each in its own Python environment, because they cannot share the package's.

An engine is a requirements file and a runner, which reads tables as Parquet and statements as JSON; see
runners/googlesql.py. A new engine needs nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from refersion_dagster_tests.location import REPOSITORY

HERE = Path(__file__).parent
ENVIRONMENTS = REPOSITORY / ".venv" / "engines"


class Engine:
    """A running engine."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, tables: Path, statements: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """The result of each statement on a folder's tables: `columns` with their types and `rows`, or an `error`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"tables": str(tables), "statements": statements}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"The engine ended with exit code {self._process.wait()}; what it said is above."
        return json.loads(line)


@contextmanager
def started(name: str) -> Iterator[Engine]:
    """The engine with this name, installed if needed."""
    folder = installed(name)
    runner = [str(folder / "bin" / "python"), str(HERE / "runners" / f"{name}.py"), "run", str(folder)]
    with subprocess.Popen(runner, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Engine(process)
        finally:
            process.kill()


def installed(name: str) -> Path:
    """The engine's environment, created once for each version of its requirements and of its runner."""
    requirements, runner = HERE / "requirements" / f"{name}.txt", HERE / "runners" / f"{name}.py"
    folder = ENVIRONMENTS / name
    wanted = requirements.read_text("utf-8")
    made = folder / "installed.txt"
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not made.exists() or made.read_text("utf-8") != wanted:
            venv.create(folder, clear=True, with_pip=True)
            python = str(folder / "bin" / "python")
            _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements))
            _run(python, str(runner), "prepare", str(folder))
            made.write_text(wanted, "utf-8")
    return folder


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed under {sys.version}:\n{done.stdout}"
