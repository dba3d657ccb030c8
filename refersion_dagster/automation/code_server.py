"""`refersion-dagster code-server`: Dagster's code server, which also ends runs that its predecessor was executing.

Dagster's default launcher starts a run as a process of the code server. If the code server is killed, for example with
its container, so is the run. But Dagster still shows it as started, and it keeps the warehouse's pool until
`max_runtime_seconds`, because Dagster does not ask the next code server about it.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from refersion_dagster.records import cancel_run, fail_run, location_name

LOCATION_NAME, MODULE = "refersion_dagster", "refersion_dagster.definitions"
# Runs that have a process. Those that wait in the queue have none yet.
WITH_PROCESS = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
GONE = "The code server was started again, so the process of this run is gone."
POLL_SECONDS = 0.5
# Dagster's daemon looks for a lost code server every second, and for one that it gave up every 10 seconds. A run that
# fails before the daemon has found the code server again is not retried.
RECONNECT_SECONDS = 20


def serve_code(host: str, port: int) -> int:
    """Runs `dagster api grpc` until it ends, and returns its exit code.

    SIGTERM is passed on. Ctrl-C in a terminal reaches both processes.
    """
    dagster = str(Path(sys.executable).with_name("dagster"))
    location = ("--module-name", MODULE, "--location-name", LOCATION_NAME)
    with dg.DagsterInstance.get() as instance:
        lost = find_runs_with_process(instance)
        server = subprocess.Popen([dagster, "api", "grpc", *location, "--host", host, "--port", str(port)])  # noqa: S603
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if lost and _wait_until_found(server, host, port):
            end_runs(instance, lost)
        return server.wait()


def _wait_until_found(server: subprocess.Popen[bytes], host: str, port: int) -> bool:
    """Waits until the server responds and Dagster's daemon has had time to notice. False if the server ended before."""
    responds_since: float | None = None
    while server.poll() is None:
        if responds_since is None and _responds(host, port):
            responds_since = time.monotonic()
        if responds_since is not None and time.monotonic() - responds_since > RECONNECT_SECONDS:
            return True
        time.sleep(POLL_SECONDS)
    return False


def _responds(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=POLL_SECONDS).close()
    except OSError:
        return False
    return True


def find_runs_with_process(instance: dg.DagsterInstance, location: str = LOCATION_NAME) -> list[dg.DagsterRun]:
    """The runs that a code server of a location executes, or was executing when it was killed."""
    records = instance.get_run_records(dg.RunsFilter(statuses=WITH_PROCESS))
    return [record.dagster_run for record in records if location_name(record.dagster_run) == location]


def end_runs(instance: dg.DagsterInstance, lost: Sequence[dg.DagsterRun]) -> None:
    """Records the end of runs whose processes are gone.

    They failed, so Dagster's run retries start them again, if the jobs allow it. Those that were being cancelled are
    cancelled.
    """
    for run in instance.get_runs(dg.RunsFilter(run_ids=[run.run_id for run in lost], statuses=WITH_PROCESS)):
        end = cancel_run if run.status is dg.DagsterRunStatus.CANCELING else fail_run
        end(instance, run, GONE)
