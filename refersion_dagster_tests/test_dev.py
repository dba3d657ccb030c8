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

from refersion_dagster.dev import dagster_home
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

    def ask(self, query: str) -> dict[str, Any]:
        return ask(self.port, query)


@contextmanager
def running(base: Path) -> Iterator[Dev]:
    location = Location.of(base / "user").with_settings(REFERSION_SECRET_KEY="sec_of_the_user")
    port, folder = free_port(), base / "shown"
    process = location.start("refersion-dagster", "dev", "--sandbox", "--port", str(port), "--folder", str(folder))
    try:
        yield Dev(location, folder, port, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    with running(tmp_path_factory.mktemp("dev")) as dev:
        yield dev


def stops(dev: Dev) -> None:
    """It ends by itself, and every process that it started ends with it."""
    output, _ = dev.process.communicate(timeout=60)
    assert dev.process.returncode == 0, output
    assert "Traceback" not in output
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


@pytest.mark.parametrize("disabled", [True, False])
def test_records_of_our_making_announce_no_usage_statistics_where_these_are_switched_off(
    disabled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "records"))
    monkeypatch.delenv("DAGSTER_DISABLE_TELEMETRY", raising=False)
    if disabled:
        monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
    with dg.DagsterInstance.from_config(str(dagster_home())) as instance:
        assert instance.telemetry_enabled is not disabled
        assert not instance.nux_enabled
