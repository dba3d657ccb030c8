"""Runs that fail, and machines without local state: nothing is lost or duplicated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.ingest.interruptions.interrupted_load import (
    ACCOUNT,
    ASSETS,
    asked,
    at_the_source,
    in_warehouse,
    load,
)
from refersion_dagster_tests.location import Location, query

pytestmark = pytest.mark.processes


def test_a_run_that_ends_by_an_error_in_the_middle_keeps_what_it_committed(
    sandbox: SandboxServer, database: Path
) -> None:
    sandbox.fault("graphql:conversions", "status", status=403, after=14, times=None)
    failed = load(sandbox, database)
    assert not failed.success
    assert "HTTP 403" in failed.failure
    kept = query(database, "SELECT count(*), count(DISTINCT id) FROM refersion_data.conversions")[0]
    assert 0 < kept[0] == kept[1] < sandbox.sums()["number_of_conversions"]

    sandbox.clear_faults()
    again = load(sandbox, database)

    assert again.success, again.failure
    assert in_warehouse(database) == at_the_source(sandbox)


@dataclass(frozen=True)
class Loaded:
    """An account that was loaded once, on another machine, and the number of requests."""

    sandbox: SandboxServer
    database: Path
    asked: int


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    database = tmp_path_factory.mktemp("loaded") / "warehouse.duckdb"
    with SandboxServer(ACCOUNT) as sandbox:
        assert load(sandbox, database).success
        yield Loaded(sandbox, database, asked(sandbox))


@pytest.mark.parametrize("left_over", [None, "{damaged"], ids=["fresh", "with damaged state of dlt's"])
def test_another_machine_goes_on_from_the_warehouses_state(
    loaded: Loaded, tmp_path: Path, left_over: str | None
) -> None:
    location = Location.of(tmp_path, loaded.sandbox)
    shutil.copy(loaded.database, location.database)
    if left_over:
        state = location.folder / "home" / ".dlt" / "pipelines" / "refersion_pipeline"
        state.mkdir(parents=True)
        (state / "state.json").write_text(left_over)
    loaded.sandbox.forget_requests()
    done = location.materialise(*ASSETS)
    assert done.code == 0, done.output
    assert 0 < asked(loaded.sandbox) < loaded.asked
    assert in_warehouse(location.database) == at_the_source(loaded.sandbox)


def test_no_run_leaves_temporary_folders_behind(
    sandbox: SandboxServer, database: Path, temporary_folders: Path
) -> None:
    sandbox.fault("graphql:conversions", "status", status=403, after=14, times=None)
    assert not load(sandbox, database).success
    sandbox.clear_faults()
    assert load(sandbox, database).success
    assert list(temporary_folders.iterdir()) == []
