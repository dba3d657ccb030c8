"""`refersion-dagster dev`: `dagster dev` on the user's account, or on the sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from refersion_dagster.demo import DATABASE, demo_environment, only_these_settings
from refersion_dagster.sandbox import SandboxServer


def run_dev(port: int, demo_folder: Path | None) -> int:
    """Runs `dagster dev` until it is stopped; returns its exit code.

    Args:
        port: of the web page.
        demo_folder: run on the sandbox and this folder's database; None runs on the user's own settings.
    """
    if demo_folder is None:
        home = Path(os.environ.get("DAGSTER_HOME") or ".dagster").resolve()
        home.mkdir(parents=True, exist_ok=True)
        return _dagster_dev(port, Path.cwd(), {"DAGSTER_HOME": str(home)})
    folder = demo_folder.resolve()
    (folder / "dagster").mkdir(parents=True, exist_ok=True)
    with SandboxServer() as sandbox, only_these_settings(demo_environment(sandbox, folder)):
        click.echo(f"A local Refersion runs at {sandbox.url}.")
        if not (folder / DATABASE).exists():
            click.echo("Nothing is loaded yet: materialise all in the UI, or run `make demo` before.")
        # Dagster reads .env of the folder it starts in, which would put the user's own keys in place.
        return _dagster_dev(port, folder, {})


def _dagster_dev(port: int, folder: Path, environment: Mapping[str, str]) -> int:
    command = [
        str(Path(sys.executable).with_name("dagster")),
        "dev",
        "--module-name",
        "refersion_dagster.definitions",
        "--port",
        str(port),
    ]
    # A terminal's Ctrl-C goes to the whole group, the signal of `kill` or a service manager to this process only. In a
    # session of its own dagster hears neither, and is stopped by us, once.
    with subprocess.Popen(  # noqa: S603 - our own words
        command, cwd=folder, env=os.environ | environment, start_new_session=True
    ) as process:
        before = {
            number: signal.signal(number, lambda _number, _frame: process.send_signal(signal.SIGINT))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
