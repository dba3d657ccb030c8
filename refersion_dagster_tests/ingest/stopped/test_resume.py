"""Runs that end by an error, and machines that know nothing: nothing is lost, nothing is there twice."""

from __future__ import annotations

from pathlib import Path

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.ingest.stopped.resuming import ASSETS, asked, at_the_source, in_warehouse
from refersion_dagster_tests.location import Location


def test_a_run_that_ends_by_an_error_in_the_middle_keeps_what_it_committed(
    location: Location, sandbox: SandboxServer
) -> None:
    sandbox.fault("graphql:conversions", "status", status=403, after=20, times=None)
    failed = location.with_settings(REFERSION_MAX_CONCURRENCY="1").materialise(*ASSETS)
    assert failed.code != 0
    assert "HTTP 403" in failed.output
    kept = location.query("SELECT count(*), count(DISTINCT id), max(created) FROM refersion_data.conversions")[0]
    assert 0 < kept[0] == kept[1] < sandbox.sums()["number_of_conversions"]

    sandbox.clear_faults()
    again = location.materialise(*ASSETS)

    assert again.code == 0, again.output
    assert in_warehouse(location) == at_the_source(sandbox)


def test_a_fresh_machine_goes_on_from_the_warehouses_state(
    location: Location, sandbox: SandboxServer, tmp_path: Path
) -> None:
    assert location.materialise(*ASSETS).code == 0
    first = asked(sandbox)
    elsewhere = Location.of(tmp_path / "elsewhere", sandbox).with_settings(REFERSION_DUCKDB_PATH=str(location.database))
    assert elsewhere.materialise(*ASSETS).code == 0
    assert asked(sandbox) - first < first
    assert in_warehouse(location) == at_the_source(sandbox)


def test_local_state_of_dlt_that_is_damaged_does_no_harm(location: Location, sandbox: SandboxServer) -> None:
    assert location.materialise(*ASSETS).code == 0
    state = location.folder / "home" / ".dlt" / "pipelines" / "refersion_pipeline"
    state.mkdir(parents=True)
    (state / "state.json").write_text("{damaged")
    assert location.materialise(*ASSETS).code == 0
    assert in_warehouse(location) == at_the_source(sandbox)


def test_no_run_leaves_temporary_folders_behind(location: Location, sandbox: SandboxServer) -> None:
    assert location.materialise(*ASSETS).code == 0
    sandbox.fault("graphql:conversions", "status", status=403, times=None)
    assert location.materialise(*ASSETS).code != 0
    assert [path.name for path in (location.folder / "tmp").iterdir() if "refersion" in path.name] == []
