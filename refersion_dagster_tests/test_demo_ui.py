"""`refersion-dagster demo --ui`: Dagster on the demo's account, whose days go by while one watches."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster_tests.location import Location, query
from refersion_dagster_tests.processes import soon, with_variable
from refersion_dagster_tests.web_page import free_port

pytestmark = pytest.mark.waits

SECONDS = 180
LATEST = "SELECT max(created) FROM refersion_data.conversions"


@dataclass
class Shown:
    """A demo that goes on: its process, where it prints to, and where Dagster keeps its records."""

    location: Location
    folder: Path
    port: int
    process: subprocess.Popen[str]
    output: Path

    @property
    def printed(self) -> str:
        return self.output.read_text()

    def runs(self, **tags: str) -> list[dg.DagsterRun]:
        with dg.DagsterInstance.from_config(str(self.folder / "dagster")) as instance:
            return list(instance.get_runs(dg.RunsFilter(tags={f"dagster/{name}": tag for name, tag in tags.items()})))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    base = tmp_path_factory.mktemp("demo_ui")
    location, port, folder, output = Location.of(base / "user"), free_port(), base / "shown", base / "printed.txt"
    location = location.with_settings(REFERSION_SECRET_KEY="sec_of_the_user", PYTHONUNBUFFERED="1", COLUMNS="200")
    command = ("refersion-dagster", "demo", "--ui", "--port", str(port), "--folder", str(folder), "--day-every", "10")
    with output.open("w") as file:
        process = location.start(*command, output=file)
    try:
        yield Shown(location, folder, port, process, output)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)


def test_it_says_where_to_look_once_everything_is_materialised_and_dagster_is_up(shown: Shown) -> None:
    assert soon(lambda: "Ctrl-C stops everything" in shown.printed or shown.process.poll() is not None, SECONDS, 0.2)
    assert shown.process.poll() is None, shown.printed
    assert "checks passed." in shown.printed
    assert f"Dagster is at http://localhost:{shown.port}, and a simulated day passes every 10 s" in shown.printed
    assert f"http://localhost:{shown.port}/locations/refersion_dagster/sensors/refersion_activity" in (
        shown.printed.split()
    )
    assert "is off" not in shown.printed


def test_the_activity_sensor_sees_days_go_by_and_refreshes(shown: Shown) -> None:
    def reasons() -> list[str]:
        return [run.tags["refersion/why"] for run in shown.runs(sensor_name="refersion_activity")]

    # The first is that it never looked before; what it sees next happened since.
    assert soon(lambda: len(reasons()) >= 2, SECONDS, every=0.2), shown.runs()
    assert reasons()[-1] == "first check"
    assert reasons()[0] != "first check"
    first = shown.runs(sensor_name="refersion_activity")[-1]
    assert first.status == dg.DagsterRunStatus.SUCCESS


def test_ctrl_c_ends_a_run_that_goes_on_and_leaves_no_process(shown: Shown) -> None:
    going_on = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED)
    assert soon(lambda: any(run.status in going_on for run in shown.runs()), SECONDS, every=0.1)
    os.killpg(shown.process.pid, signal.SIGINT)
    assert shown.process.wait(timeout=60) == 0, shown.printed
    assert "Traceback" not in shown.printed
    home = shown.location.environment["HOME"]
    assert soon(lambda: not with_variable("HOME", home)), with_variable("HOME", home)
    assert [run.status for run in shown.runs() if not run.is_finished] == []


def test_the_clock_stands_where_it_was_when_the_folder_is_opened_again(shown: Shown) -> None:
    """Otherwise the database would know of later days than the account that it is read from."""
    from refersion_dagster.demo.environment import run_in_sandbox

    ((latest,),) = query(shown.folder / "refersion.duckdb", LATEST)
    with run_in_sandbox(shown.folder) as sandbox:
        assert sandbox.now > sandbox.settings.now
        assert sandbox.now >= latest


@pytest.mark.parametrize("command", [["demo", "--ui"], ["dev", "--sandbox"], ["dev"]])
def test_a_port_that_is_taken_is_told_before_anything_is_done(tmp_path: Path, command: list[str]) -> None:
    location = Location.of(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = location.run("refersion-dagster", *command, "--port", str(taken.getsockname()[1]))
    assert ended.code == 1
    assert ended.output.startswith("Error: port ")
    assert "use another --port" in ended.output
    assert not (tmp_path / ".demo").exists()


def test_ctrl_c_while_it_loads_stops_it(tmp_path: Path) -> None:
    location = Location.of(tmp_path)
    output = tmp_path / "printed.txt"
    with output.open("w") as file:
        process = location.with_settings(PYTHONUNBUFFERED="1").start("refersion-dagster", "demo", output=file)
    assert soon(lambda: "affiliate_list: " in output.read_text(), 60, 0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130, output.read_text()
    assert output.read_text().endswith("Interrupted before the demo was complete.\n")
    assert "Traceback" not in output.read_text()
    home = location.environment["HOME"]
    assert soon(lambda: not with_variable("HOME", home)), with_variable("HOME", home)
