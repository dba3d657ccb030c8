"""The job refersion_backfill: months picked in the UI, each a run of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster.automation.backfill import EARLIEST, first_month, month_config
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import SMALL, Ended, Location

RUN_MONTH = """
import sys, dagster as dg
from refersion_dagster.definitions import defs
job = defs.resolve_job_def("refersion_backfill")
with dg.DagsterInstance.get() as instance:
    job.execute_in_process(partition_key=sys.argv[1], instance=instance)
"""


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(SMALL) as server:
        yield server


@pytest.fixture
def location(sandbox: SandboxServer, tmp_path: Path) -> Location:
    return Location.of(tmp_path, sandbox)


def backfill(location: Location, month: str) -> Ended:
    return location.run("python", "-c", RUN_MONTH, month)


def rows_by_month(location: Location) -> dict[str, int]:
    return dict(
        location.query("SELECT strftime(created, '%Y-%m'), count(*) FROM refersion_data.conversions GROUP BY 1")
    )


def read_from(location: Location) -> float:
    """Where the latest reading of conversions began, in Unix seconds."""
    with location.records() as instance:
        latest = instance.get_latest_materialization_event(dg.AssetKey(["refersion", "conversions"]))
        assert latest is not None
        assert latest.asset_materialization is not None
        value = latest.asset_materialization.metadata["window_from"].value
        assert isinstance(value, float)
        return value


def test_the_months_on_offer_begin_with_the_start_date() -> None:
    assert first_month({"REFERSION_START_DATE": "2024-03-17"}) == datetime(2024, 3, 1, tzinfo=UTC)
    assert first_month({}) == EARLIEST
    assert first_month({"REFERSION_START_DATE": "last spring"}) == EARLIEST


def test_the_month_under_way_is_on_offer_too() -> None:
    assert month_config.partitions_def.get_last_partition_key() == f"{datetime.now(UTC):%Y-%m}-01"


def test_a_months_run_reads_that_month_and_no_other(location: Location) -> None:
    done = backfill(location, "2025-05-01")
    assert done.code == 0, done.output
    assert list(rows_by_month(location)) == ["2025-05"]
    history = location.query("SELECT count(*), count(DISTINCT id) FROM refersion_data.conversion_history")
    assert history == [(rows_by_month(location)["2025-05"],) * 2]


def test_it_leaves_the_high_water_mark_alone(location: Location, sandbox: SandboxServer) -> None:
    assert backfill(location, "2025-05-01").code == 0
    refreshed = location.refresh()
    assert refreshed.code == 0, refreshed.output
    assert sum(rows_by_month(location).values()) == sandbox.sums()["number_of_conversions"]

    assert location.refresh().code == 0
    looked_back_to = read_from(location)
    assert backfill(location, "2025-01-01").code == 0
    assert read_from(location) < looked_back_to
    assert location.refresh().code == 0
    assert read_from(location) == looked_back_to


def test_a_month_read_again_shows_what_changed_in_it(location: Location, sandbox: SandboxServer) -> None:
    assert location.refresh().code == 0
    ((id_,),) = location.query(
        "SELECT min(id) FROM refersion_data.conversions WHERE strftime(created, '%Y-%m') = '2025-06' "
        "AND status = 'PENDING'"
    )
    sandbox.change_conversion(int(id_), status="DENIED")
    assert backfill(location, "2025-06-01").code == 0
    assert location.query(f"SELECT status FROM refersion_data.conversions WHERE id = '{id_}'") == [("DENIED",)]
