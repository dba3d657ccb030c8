"""An emulator of Snowflake (fakesnow) as a server of the tests' own, in an environment of its own.

Snowflake's connector and dlt talk to it as to Snowflake. It calculates with DuckDB, so it proves the way and no
arithmetic of Snowflake's; see docs/dialects.md.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster_tests.engines.engine import HERE, installed
from refersion_dagster_tests.processes import soon

ENGINE = "snowflake_emulator"
CREDENTIALS = "DESTINATION__SNOWFLAKE__CREDENTIALS"
ACCOUNT, DATABASE, PASSWORD = "refersion-tests", "analytics", "not-my-passw0rd"
SECONDS = 60


class SnowflakeEmulator:
    """An account whose databases are made when somebody connects to them, and gone after `stop`."""

    def __init__(self) -> None:
        python = installed(ENGINE) / "bin" / "python"
        # Files of stages are in its temporary folder.
        self._folder = Path(tempfile.mkdtemp(prefix="refersion-snowflake-"))
        self.port = _free_port()
        self._log = (self._folder / "log").open("w")
        self._process = subprocess.Popen(
            [str(python), str(HERE / "runners" / "snowflake_server.py"), str(self.port)],
            env={**os.environ, "TMPDIR": str(self._folder), "PYTHONPATH": ""},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        if not soon(self._answers, seconds=SECONDS, every=0.2):
            said = self.said
            self.stop()
            pytest.fail(f"the emulator of Snowflake does not start: {said[-2000:]}")

    def _answers(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def said(self) -> str:
        return (self._folder / "log").read_text()

    @property
    def logins(self) -> list[dict[str, Any]]:
        """What connectors sent to log in."""
        lines = [line.partition("LOGIN ")[2] for line in self.said.splitlines() if line.startswith("LOGIN ")]
        return [json.loads(line)["data"] for line in lines]

    @property
    def staged(self) -> list[Path]:
        """Files that loads have left in stages."""
        return [path for path in self._folder.rglob("*") if path.is_file() and path.name != "log"]

    def environment(self, database: str = DATABASE) -> dict[str, str]:
        """What makes a database of it the warehouse."""
        return {"REFERSION_DESTINATION": "snowflake", CREDENTIALS: address(self.port, database)}

    @contextmanager
    def in_use(self, database: str) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv(CREDENTIALS, address(self.port, database))
            yield

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()
        shutil.rmtree(self._folder)


def address(port: int, database: str = DATABASE, **more: str) -> str:
    """Credentials for a server of this machine."""
    options = {"host": "127.0.0.1", "port": str(port), "protocol": "http", "warehouse": "refresh", **more}
    listed = "&".join(f"{name}={value}" for name, value in options.items())
    return f"snowflake://loader:{PASSWORD}@{ACCOUNT}/{database}?{listed}"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
