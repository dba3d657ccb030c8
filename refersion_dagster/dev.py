"""`refersion-dagster dev`: `dagster dev` on the user's account, or on the sandbox."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path

import click
from dagster import DagsterInstance, RunsFilter

from refersion_dagster.demo.environment import DATABASE, INSTANCE, run_in_sandbox
from refersion_dagster.records import cancel_run

# How long a run may take to stop.
END_SECONDS = 5
# At each start, `dagster dev` recommends a command of a package that this project does not need.
SUPERSEDED = "ignore:Function `dev_command`"
WORKSPACE, LOCATION_NAME = Path(__file__).with_name("workspace.yaml"), "refersion_dagster"
# Dagster's own default.
HOST = "127.0.0.1"


class PortTaken(click.ClickException):
    """Another program uses the port of Dagster's web page. The message says what to do."""


def run_dev(port: int, demo_folder: Path | None) -> int:
    """Runs `dagster dev` until it is stopped. Returns its exit code.

    Args:
        port: port of the web page.
        demo_folder: run on the sandbox and this folder's database; None runs on the user's own settings.

    Raises PortTaken.
    """
    require_free_port(port)
    if demo_folder is None:
        return dagster_dev(port, Path.cwd(), {"DAGSTER_HOME": str(dagster_home())})
    folder = demo_folder.resolve()
    with run_in_sandbox(folder) as sandbox:
        click.echo(f"A local Refersion runs at {sandbox.url}.")
        if not (folder / DATABASE).exists():
            click.echo("Nothing is loaded yet: materialise all in the UI, or run `refersion-dagster demo` first.")
        return dagster_dev(port, folder, {}, end_runs=True)


def dagster_home() -> Path:
    """The folder of Dagster's records: DAGSTER_HOME, or .dagster in the working directory; created if missing.

    Raises ClickException if it cannot be created.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or ".dagster").expanduser().resolve()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(INSTANCE, home / "dagster.yaml")
    except OSError as error:
        raise click.ClickException(f"DAGSTER_HOME ({home}) cannot be used: {error.strerror or error}.") from None
    return home


def require_free_port(port: int) -> None:
    """Raises PortTaken if the port is in use. Dagster would start its daemon first and fail with pages of log."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(
                    f"port {port} is in use, perhaps by another Dagster. Stop that process or use another --port."
                ) from error
            raise PortTaken(f"port {port} cannot be opened for listening: {error.strerror or error}.") from error


def dagster_dev(
    port: int, folder: Path, environment: Mapping[str, str], log: Path | None = None, end_runs: bool = False
) -> int:
    """Runs `dagster dev` until it is stopped by Ctrl-C or a signal. Returns its exit code.

    Args:
        folder: the working directory. Dagster reads its .env, so for the sandbox it must not be the user's folder.
        environment: variables added to this process's environment.
        log: a file for Dagster's output; None for this process's output.
        end_runs: whether to stop active runs, instead of letting them finish.
    """
    command = [
        str(Path(sys.executable).with_name("dagster")),
        "dev",
        "--workspace",
        str(WORKSPACE),
        "--port",
        str(port),
    ]
    warnings = ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), SUPERSEDED]))
    # Handled before the process starts: a process started with SIGINT ignored, as shells do for background processes,
    # would ignore our signal too.
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with log.open("w") if log else nullcontext() as output:
            process = subprocess.Popen(  # noqa: S603 - our own words
                command,
                cwd=folder,
                env={**os.environ, "PYTHONWARNINGS": warnings, **environment},
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                # A terminal's Ctrl-C goes to the whole group, the signal of `kill` or a service manager only to this
                # process. In its own session, dagster receives neither, and is stopped by us, once.
                start_new_session=True,
            )
        while (code := process.poll()) is None:
            if stop.wait(0.1):
                stop.clear()
                process.send_signal(signal.SIGINT)
        if end_runs:
            end_runs_of(process.pid)
        return code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_runs_of(group: int) -> None:
    """Ends active runs: Dagster lets them outlive `dagster dev`, and they would call a sandbox that is gone."""
    # Imported here because it imports dlt, whose threads would receive Ctrl-C.
    from refersion_dagster.automation.active_runs import IN_PROGRESS

    unfinished = RunsFilter(statuses=IN_PROGRESS)
    with DagsterInstance.get() as instance:
        if not instance.get_run_records(unfinished):
            return
        # Dagster's own way to stop a run would print the stack of each thread.
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
            patience = time.monotonic() + END_SECONDS
            while time.monotonic() < patience:
                os.killpg(group, 0)
                time.sleep(0.1)
            os.killpg(group, signal.SIGKILL)
        for record in instance.get_run_records(unfinished):
            cancel_run(instance, record.dagster_run, "Stopped because the sandbox stopped.")
