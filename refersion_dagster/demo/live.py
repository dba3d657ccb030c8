"""`refersion-dagster demo --ui`: advances the sandbox's clock while Dagster runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import requests
from rich.console import Console

from refersion_dagster.demo.environment import save_clock
from refersion_dagster.dev import LOCATION_NAME
from refersion_dagster.sandbox import SandboxServer

DAY = 86_400
# The clock advances by half a day at a time, so that the sensor sees new days as well as changes within a day.
STEPS_A_DAY = 2
LOCATION, REPOSITORY = LOCATION_NAME, "__repository__"
ACTIVITY = "refersion_activity"
# Short intervals of the sensor and the nightly schedule, so that the user need not wait.
ACTIVITY_SECONDS, NIGHTLY_CRON = 20, "*/5 * * * *"
START_SENSOR = """mutation($location: String!, $repository: String!, $sensor: String!) {
  startSensor(sensorSelector: {
    repositoryLocationName: $location, repositoryName: $repository, sensorName: $sensor
  }) { __typename ... on PythonError { message } ... on SensorNotFoundError { message } }
}"""
PAGES = {
    "asset-groups": "all tables, from raw tables to summaries, and their state",
    "assets/summaries/commission_by_affiliate": "who drove the sales: preview, columns, lineage, checks",
    f"locations/{LOCATION}/sensors/{ACTIVITY}": "checks Refersion for changes, and refreshes only if there are any",
    "automation": "all schedules and sensors, and the next tick of each",
    "runs": "runs that they started",
    f"locations/{LOCATION}/jobs/refersion_backfill/partitions": "select months to read again",
}


class NotStarted(Exception):
    """Dagster's web server did not start the sensor."""


@dataclass(frozen=True)
class LiveOptions:
    """Options of the live demo.

    Args:
        port: port of Dagster's web server.
        day_seconds: real seconds per day of the sandbox.
    """

    port: int
    day_seconds: float

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def environment(self) -> Mapping[str, str]:
        """Returns settings with short intervals for the live demo."""
        return {
            "REFERSION_ACTIVITY_SECONDS": str(ACTIVITY_SECONDS),
            "REFERSION_NIGHTLY_CRON": NIGHTLY_CRON,
            "REFERSION_DAGSTER_URL": self.url,
        }


@contextmanager
def keep_moving(sandbox: SandboxServer, folder: Path, watch: LiveOptions, console: Console) -> Iterator[None]:
    """Advances the sandbox's clock inside the `with`, and switches the activity sensor on when Dagster is up."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_move_clock, args=(sandbox, folder, watch, stop), name="sandbox-clock"),
        threading.Thread(target=_begin, args=(watch, console, stop), name="begin-watching"),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _move_clock(sandbox: SandboxServer, folder: Path, watch: LiveOptions, stop: threading.Event) -> None:
    """Advances the clock, except during a run.

    No real account receives half a day of changes within the seconds of a run, and the proof would report rows that do
    not match the totals.
    """
    # Imported here because it imports dlt, whose threads would receive Ctrl-C during the refresh.
    from refersion_dagster.automation.active_runs import describe_active_run

    with dg.DagsterInstance.get() as instance:
        while not stop.wait(watch.day_seconds / STEPS_A_DAY):
            while describe_active_run(instance) and not stop.wait(0.5):
                pass
            save_clock(folder, sandbox.advance(seconds=DAY / STEPS_A_DAY))


def _begin(watch: LiveOptions, console: Console, stop: threading.Event) -> None:
    """Waits until Dagster responds, switches the activity sensor on and prints the pages to open."""
    while not stop.wait(0.3):
        try:
            start_sensor(watch.url, ACTIVITY)
        except requests.ConnectionError:
            continue  # not up yet
        except NotStarted as error:
            console.print(f"[yellow]![/yellow] The sensor {ACTIVITY} is off: {error} Switch it on in the UI.")
        break
    if stop.is_set():
        return
    console.print(
        f"\n[bold]Dagster is at {watch.url}[/bold], and a simulated day passes every {watch.day_seconds:g} s. Pages:"
    )
    for path, what in PAGES.items():
        console.print(f"  {watch.url}/{path}\n      {what}", soft_wrap=True, highlight=False)
    console.print("Ctrl-C stops everything.\n")


def start_sensor(url: str, sensor: str) -> None:
    """Switches a sensor on, like its switch in the UI.

    Raises requests.ConnectionError if there is no response, and NotStarted if Dagster refuses.
    """
    variables = {"location": LOCATION, "repository": REPOSITORY, "sensor": sensor}
    response = requests.post(f"{url}/graphql", json={"query": START_SENSOR, "variables": variables}, timeout=30)
    answer: dict[str, Any] = response.json() if response.ok else {}
    started = (answer.get("data") or {}).get("startSensor") or {}
    if started.get("__typename") != "Sensor":
        raise NotStarted(started.get("message") or f"the web page answered {response.status_code}.")
