"""The command, run in its own process."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from click.testing import CliRunner

from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster.sandbox.server.cli import sandbox as command

SMALL = ["--affiliates", "5", "--orders", "20", "--days", "30"]
COMMAND = [sys.executable, "-m", "refersion_dagster.sandbox"]


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The process, and the environment it printed; both pipes are closed at the end."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0", *SMALL, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(7)]
            matches = [re.fullmatch(r"export (REFERSION_\w+)=(\S+)\n", line) for line in lines]
            assert all(matches), lines
            yield process, {match[1]: match[2] for match in matches if match}
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_exports_serves_and_stops_cleanly(number: signal.Signals) -> None:
    with running() as (process, exported):
        headers = {
            "Refersion-Public-Key": exported["REFERSION_PUBLIC_KEY"],
            "Refersion-Secret-Key": exported["REFERSION_SECRET_KEY"],
        }
        answer = requests.post(
            exported["REFERSION_REST_URL"] + "/affiliate/list", json={"limit": "9"}, headers=headers, timeout=10
        )
        assert answer.json()["total"] == 5
        token = {"X-Refersion-Key": exported["REFERSION_GRAPHQL_TOKEN"]}
        answer = requests.post(
            exported["REFERSION_GRAPHQL_URL"], json={"query": "{offers {id}}"}, headers=token, timeout=10
        )
        assert len(answer.json()["data"]["offers"]) == 4
        assert exported["REFERSION_START_DATE"] == "2026-06-01"
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0
        assert errors == ""


def test_a_shell_can_take_the_exports() -> None:
    with running() as (_, exported):
        lines = "\n".join(f"export {name}={value}" for name, value in exported.items())
        shell = subprocess.run(
            ["sh", "-c", f"{lines}\nenv"], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
        )
        for name, value in exported.items():
            assert f"{name}={value}" in shell.stdout.splitlines()


def test_options_shape_the_account() -> None:
    with running("--currencies", "chf", "--now", "2025-03-31T12:00:00Z") as (_, exported):
        url = exported["REFERSION_REST_URL"].removesuffix("/v2")
        assert requests.get(f"{url}/_sandbox/clock", timeout=10).json()["now"] == "2025-03-31T12:00:00Z"
        sums = requests.get(f"{url}/_sandbox/sums", timeout=10).json()
        assert {row["currency"] for row in sums["conversions"]} == {"CHF"}
        assert exported["REFERSION_START_DATE"] == "2025-03-01"


def test_a_port_in_use_is_one_line_of_advice() -> None:
    with SandboxServer(SandboxSettings(affiliates=1, orders=0)) as other:
        refused = subprocess.run(
            [*COMMAND, "--port", str(other.port), *SMALL], capture_output=True, text=True, timeout=30, check=False
        )
    assert refused.returncode == 1
    assert refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert f"port {other.port} on 127.0.0.1 is in use" in line
    assert "--port" in line


@pytest.mark.parametrize("options", [["--now", "soon"], ["--currencies", " , "], ["--orders", "-1"], ["--days", "0"]])
def test_options_that_make_no_sense_are_refused(options: list[str]) -> None:
    refused = CliRunner().invoke(command, options)
    assert refused.exit_code == 2
    assert options[0] in refused.output
