"""`refersion-dagster dev --sandbox`: Dagster's web page on the sandbox, until Ctrl-C."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import dagster as dg
import pytest
import yaml

from refersion_dagster.demo.environment import DATABASE
from refersion_dagster.dev import dagster_home
from refersion_dagster.warehouse.resource import Warehouse
from refersion_dagster_tests.location import Location
from refersion_dagster_tests.processes import soon, with_variable
from refersion_dagster_tests.web_page import ask, free_port

pytestmark = pytest.mark.processes

LOADED = """{
  repositoriesOrError { ... on RepositoryConnection { nodes { location { name } jobs { name } } } }
  assetsOrError { ... on AssetConnection { nodes { key { path } } } }
}"""


@dataclass
class Dev:
    location: Location
    folder: Path
    port: int
    process: subprocess.Popen[str]
    printed: Path

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        return ask(self.port, query, **variables)


@contextmanager
def running(base: Path) -> Iterator[Dev]:
    location = Location.of(base / "user").with_settings(REFERSION_SECRET_KEY="sec_of_the_user")
    port, folder = free_port(), base / "shown"
    command = ("refersion-dagster", "dev", "--sandbox", "--port", str(port), "--folder", str(folder))
    printed = base / "printed.txt"
    # A file, as a pipe that nobody reads is full after a run or two, and then stops everything.
    with printed.open("w") as output:
        process = location.start(*command, output=output)
    try:
        yield Dev(location, folder, port, process, printed)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with running(tmp_path_factory.mktemp("dev")) as dev:
        yield dev


def stops(dev: Dev) -> None:
    """It ends by itself, and every process that it started ends with it."""
    assert dev.process.wait(timeout=60) == 0, dev.printed.read_text()
    assert "Traceback" not in dev.printed.read_text()
    home = dev.location.environment["HOME"]
    assert soon(lambda: not with_variable("HOME", home)), with_variable("HOME", home)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", dev.port)) != 0


def test_the_code_location_is_loaded_in_the_web_page(dev: Dev) -> None:
    end = monotonic() + 60
    while not (data := dev.ask(LOADED))["repositoriesOrError"].get("nodes") and monotonic() < end:
        pass
    (repository,) = data["repositoriesOrError"]["nodes"]
    assert "refersion_refresh" in {job["name"] for job in repository["jobs"]}
    # As in workspace.yaml and pyproject.toml: Dagster keeps what is switched on by this name.
    assert repository["location"]["name"] == "refersion_dagster"
    keys = {"/".join(node["key"]["path"]) for node in data["assetsOrError"]["nodes"]}
    assert {"refersion/conversions", "summaries/commission_by_affiliate"} <= keys


def test_it_runs_in_the_demos_folder_and_not_in_the_users(dev: Dev) -> None:
    assert (dev.folder / "dagster").is_dir()
    assert [path.name for path in (dev.location.folder / "dagster").iterdir()] == ["dagster.yaml"]


LAUNCH = """mutation($job: String!) {
  launchRun(executionParams: {runConfigData: {}, selector: {
    repositoryLocationName: "refersion_dagster", repositoryName: "__repository__", jobName: $job
  }}) { __typename ... on LaunchRunSuccess { run { runId } } }
}"""
STATE = """query($run: ID!) { runOrError(runId: $run) { ... on Run { status allPools } } }"""


def test_of_two_runs_the_second_waits_in_the_queue_until_the_warehouse_is_free(dev: Dev) -> None:
    """Of the run that holds the warehouse every step has the pool too, and none of them waits for itself."""

    def launch(job: str) -> str:
        return dev.ask(LAUNCH, job=job)["launchRun"]["run"]["runId"]

    def state(run: str) -> str:
        return dev.ask(STATE, run=run)["runOrError"]["status"]

    with Warehouse(duckdb_path=str(dev.folder / DATABASE)).write_lock(print):
        first = launch("refersion_refresh")
        assert soon(lambda: state(first) == "STARTED", 120, every=0.5)
        second = launch("refersion_reconcile")
        assert not soon(lambda: state(second) != "QUEUED", 12, every=1)
        assert dev.ask(STATE, run=second)["runOrError"] == {"status": "QUEUED", "allPools": ["refersion_warehouse"]}
    assert soon(lambda: state(first) == "SUCCESS", 300, every=1)
    assert soon(lambda: state(second) == "SUCCESS", 120, every=1)


def test_ctrl_c_stops_it_and_every_process_it_started(dev: Dev) -> None:
    """As a terminal does: to the whole foreground group."""
    assert len(with_variable("HOME", dev.location.environment["HOME"])) > 1
    os.killpg(dev.process.pid, signal.SIGINT)
    stops(dev)


def test_so_does_a_signal_to_it_alone(tmp_path: Path) -> None:
    """As `kill` and service managers do."""
    with running(tmp_path) as dev:
        dev.ask(LOADED)
        dev.process.terminate()
        stops(dev)


def test_records_of_our_making_let_one_run_write_and_send_no_usage_statistics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "records"))
    with dg.DagsterInstance.from_config(str(dagster_home())) as instance:
        settings = yaml.safe_load(instance.info_str())
    assert settings["concurrency"] == {"pools": {"granularity": "run", "default_limit": 1}}
    assert settings["run_monitoring"] == {"enabled": True, "max_runtime_seconds": 43_200}
    assert settings["telemetry"] == settings["nux"] == {"enabled": False}


def test_settings_of_records_that_are_there_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("nux: {enabled: true}")
    assert dagster_home() == tmp_path
    assert (tmp_path / "dagster.yaml").read_text() == "nux: {enabled: true}"
