"""dlt's own dashboard of the pipeline, as docs/explore.md opens it after runs of Dagster."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import REPOSITORY, Location, account_of, materialise
from refersion_dagster_tests.processes import soon

pytestmark = pytest.mark.processes

SYNC = "dlt -y pipeline refersion_pipeline sync --destination duckdb --dataset-name refersion_data"
SHOW = "dlt pipeline refersion_pipeline show"
# dlt's, and no option of `show` changes it.
PAGE = "http://localhost:2718/"


@pytest.fixture(scope="module")
def location(account: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Location:
    """A warehouse that Dagster loaded, and dlt's state fetched from it."""
    folder = tmp_path_factory.mktemp("dashboard")
    location = Location.of(folder).with_settings(
        DESTINATION__DUCKDB__CREDENTIALS=str(folder / "warehouse.duckdb"),
        DLT_DATA_DIR=str(folder / "dlt"),
        BROWSER="true",
    )
    done = materialise(account_of(account), Warehouse(duckdb_path=str(location.database)), "refersion/affiliate_list")
    assert done.success, done.failure
    ended = location.run(*SYNC.split())
    assert ended.code == 0, ended.output
    return location


@pytest.mark.parametrize("command", [SYNC, SHOW])
def test_the_documentation_has_these_commands(command: str) -> None:
    assert command in (REPOSITORY / "docs" / "explore.md").read_text("utf-8").splitlines()


def test_the_state_comes_from_the_warehouse(location: Location) -> None:
    ended = location.run("dlt", "pipeline", "refersion_pipeline", "info")
    assert ended.code == 0, ended.output
    assert "refersion_source" in ended.output
    schema = location.run("dlt", "pipeline", "refersion_pipeline", "schema")
    assert "affiliate_list" in schema.output


@pytest.mark.skipif(
    any(find_spec(one) is None for one in ("dlthub", "marimo", "ibis")),
    reason="dlt[hub], which has a licence of its own, marimo or ibis-framework is not installed",
)
def test_the_dashboard_opens(location: Location, tmp_path: Path) -> None:
    with (tmp_path / "output").open("w") as output:
        process = location.start(*SHOW.split(), output=output)
        try:
            assert soon(answers, seconds=60, every=0.2), (tmp_path / "output").read_text()
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


def answers() -> bool:
    try:
        return requests.get(PAGE, timeout=5).ok
    except requests.ConnectionError:
        return False
