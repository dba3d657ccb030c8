"""The job refersion_backfill: months picked in the UI, each a run of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster.automation.backfill import EARLIEST, backfill_job, first_month, month_config
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import Settings
from refersion_dagster_tests.location import (
    Location,
    Outcome,
    account_of,
    fresh_instance,
    materialise,
    outcome,
    query,
    resources,
)

pytestmark = pytest.mark.processes

RUN_MONTH = """
import sys, dagster as dg
from refersion_dagster.definitions import defs
job = defs.resolve_job_def("refersion_backfill")
with dg.DagsterInstance.get() as instance:
    job.execute_in_process(partition_key=sys.argv[1], instance=instance)
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def backfill(sandbox: SandboxServer, database: Path, month: str) -> Outcome:
    """The job for one month, in this process."""
    given = resources(account_of(sandbox), Warehouse(duckdb_path=str(database)))
    job = dg.Definitions(jobs=[backfill_job(Settings.of({}))], resources=given).resolve_job_def("refersion_backfill")
    with fresh_instance() as instance:
        run = job.execute_in_process(partition_key=month, instance=instance, raise_on_error=False)
        return outcome(instance, run.run_id)


def refresh(sandbox: SandboxServer, database: Path) -> Outcome:
    return materialise(account_of(sandbox), Warehouse(duckdb_path=str(database)), "refersion/conversions")


def read_from(done: Outcome) -> float:
    """Where a run's reading of conversions began, in Unix seconds."""
    assert done.success, done.failure
    return done.metadata["refersion/conversions"]["window_from"]


def rows_by_month(database: Path) -> dict[str, int]:
    return dict(
        query(database, "SELECT strftime(created, '%Y-%m'), count(*) FROM refersion_data.conversions GROUP BY 1")
    )


def test_the_months_on_offer_begin_with_the_start_date() -> None:
    def first(**variables: str) -> datetime:
        return first_month(Settings.of(variables).account)

    assert first(REFERSION_START_DATE="2024-03-17") == datetime(2024, 3, 1, tzinfo=UTC)
    assert first() == EARLIEST
    assert first(REFERSION_START_DATE="last spring") == EARLIEST


def test_the_month_under_way_is_on_offer_too() -> None:
    months = month_config(Settings.of({}).account)
    assert months.partitions_def.get_last_partition_key() == f"{datetime.now(UTC):%Y-%m}-01"


def test_a_months_run_reads_that_month_and_no_other(sandbox: SandboxServer, tmp_path: Path) -> None:
    """In a process of its own, as the UI starts it."""
    location = Location.of(tmp_path, sandbox)
    done = location.run("python", "-c", RUN_MONTH, "2025-05-01")
    assert done.code == 0, done.output
    assert list(rows_by_month(location.database)) == ["2025-05"]
    history = location.query("SELECT count(*), count(DISTINCT id) FROM refersion_data.conversion_history")
    assert history == [(rows_by_month(location.database)["2025-05"],) * 2]


def test_it_leaves_the_high_water_mark_alone(sandbox: SandboxServer, database: Path) -> None:
    assert backfill(sandbox, database, "2025-05-01").success
    refresh(sandbox, database)
    assert sum(rows_by_month(database).values()) == sandbox.sums()["number_of_conversions"]

    looked_back_to = read_from(refresh(sandbox, database))
    assert read_from(backfill(sandbox, database, "2025-01-01")) < looked_back_to
    assert read_from(refresh(sandbox, database)) == looked_back_to


def test_a_month_read_again_shows_what_changed_in_it(sandbox: SandboxServer, database: Path) -> None:
    assert refresh(sandbox, database).success
    ((id_,),) = query(
        database,
        "SELECT min(id) FROM refersion_data.conversions WHERE strftime(created, '%Y-%m') = '2025-06' "
        "AND status = 'PENDING'",
    )
    sandbox.change_conversion(int(id_), status="DENIED")
    assert backfill(sandbox, database, "2025-06-01").success
    assert query(database, f"SELECT status FROM refersion_data.conversions WHERE id = '{id_}'") == [("DENIED",)]
