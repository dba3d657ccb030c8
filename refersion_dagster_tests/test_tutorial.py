"""The commands of docs/tutorial.md do what the page says, in order, as a reader copies them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import REPOSITORY, SMALL, Location, query

PAGE = (REPOSITORY / "docs" / "tutorial.md").read_text("utf-8")
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
SANDBOX, ACCOUNT = PAGE.split("## 6. Connect your own account")

pytestmark = pytest.mark.processes


def run(commands: str, location: Location, folder: Path) -> str:
    """Runs commands in one shell that stops at the first failure. Returns what they print."""
    environment = {name: text for name, text in location.environment.items() if name != "DAGSTER_HOME"}
    with subprocess.Popen(
        ["bash", "-e", "-c", commands],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            printed, _ = shell.communicate(timeout=900)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    assert shell.returncode == 0, printed
    return printed


def test_every_command_is_in_a_block_that_is_run() -> None:
    assert PAGE.count("```bash") == PAGE.count("```") // 2 == len(BLOCK.findall(SANDBOX)) + len(BLOCK.findall(ACCOUNT))


def test_the_sandbox_is_loaded_twice_and_shows_what_is_owed(tmp_path: Path) -> None:
    location = Location.of(tmp_path).without("REFERSION_DUCKDB_PATH")
    # A failure in between would leave the sandbox running, and its output open.
    printed = run("trap 'kill $! 2>/dev/null || true' EXIT\n" + "".join(BLOCK.findall(SANDBOX)), location, tmp_path)
    assert "A refresh would work" in printed
    assert printed.count("Up to date, in ") == 2
    assert printed.count("proven by Refersion's totals") >= 2
    assert "block_reason" in printed
    folder = tmp_path / "refersion-tutorial"
    assert (folder / "refersion_reports" / "latest.html").exists()
    ((due,),) = query(folder / "refersion.duckdb", "SELECT sum(due) FROM refersion_summaries.commission_liability")
    assert due > 0


def test_an_own_account_is_connected_by_env(tmp_path: Path) -> None:
    example, load = BLOCK.findall(ACCOUNT)
    with SandboxServer(SMALL) as sandbox:
        # Of the account, only the addresses are known outside of .env.
        location = Location.of(tmp_path).without("REFERSION_DUCKDB_PATH")
        addresses = {name: text for name, text in sandbox.environment().items() if name.endswith("_URL")}
        run(example, location, tmp_path)
        folder = tmp_path / "refersion"
        keys = {
            "REFERSION_PUBLIC_KEY": sandbox.public_key,
            "REFERSION_SECRET_KEY": sandbox.secret_key,
            "REFERSION_GRAPHQL_TOKEN": sandbox.graphql_token,
        }
        text = (folder / ".env").read_text("utf-8")
        for name, key in keys.items():
            text, replaced = re.subn(rf"^{name}=.*$", f"{name}={key}", text, flags=re.MULTILINE)
            assert replaced == 1, name
        (folder / ".env").write_text(text, "utf-8")
        printed = run(load, location.with_settings(**addresses), folder)
    assert "A refresh would work" in printed
    assert "Up to date, in " in printed
