"""A run of several summaries: what fails stops what reads it and nothing else, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest
from filelock import FileLock

from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.assets import summary_assets
from refersion_dagster.summaries.query import Summary, parse, sort_by_dependency
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster_tests.location import REPOSITORY, Outcome, fresh_instance, outcome

HEADER = """/*
group: proof
description: Numbers.
grain: one row per number
primary_key: [number]
owners: [team:data]
questions: ["Which numbers?"]
columns: {number: A number.}
*/
"""
# Minutes of work, of which nothing is kept.
FOREVER = (
    "SELECT count(*) AS number FROM generate_series(1, 1000000) AS a(one) "
    "CROSS JOIN generate_series(1, 1000000) AS b(two) WHERE a.one * 7 = b.two * 3"
)


def numbers(**selects: str) -> list[Summary]:
    """Summaries by their SELECTs."""
    return sort_by_dependency([parse(f"{HEADER}{select}", f"sql/{name}.sql") for name, select in selects.items()])


def failing(text: str = "seven") -> str:
    return f"SELECT CAST('{text}' || CAST(number AS TEXT) AS BIGINT) AS number FROM {SUMMARIES}.first"


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    if request.param == "duckdb":
        yield Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
    else:
        request.getfixturevalue("postgres")
        yield Warehouse(destination="postgres")


@pytest.fixture
def in_file(tmp_path: Path) -> Warehouse:
    return Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))


def tables(warehouse: Warehouse) -> set[str]:
    found = warehouse.query(f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{SUMMARIES}'")
    return {name for (name,) in found}


def run(
    warehouse: Warehouse,
    summaries: Sequence[Summary],
    *names: str,
    checks: Sequence[dg.AssetChecksDefinition] = (),
) -> Outcome:
    """Materialises the summaries, or some of them."""
    with fresh_instance() as instance:
        result = dg.materialize(
            [*summary_assets(summaries), *checks],
            selection=[dg.AssetKey(["summaries", name]) for name in names] or None,
            resources={"warehouse": warehouse, "settings": ReportSettings()},
            instance=instance,
            raise_on_error=False,
        )
        return outcome(instance, result.run_id)


class TestRun:
    def test_a_failure_is_that_of_its_own_step_and_others_are_built(self, warehouse: Warehouse) -> None:
        told = run(
            warehouse,
            numbers(
                first="SELECT 1 AS number",
                middle=failing(),
                reads_it=f"SELECT number FROM {SUMMARIES}.middle",
                later=f"SELECT number + 3 AS number FROM {SUMMARIES}.first",
            ),
        )
        assert not told.success
        assert told.failure.startswith(
            "sql/middle.sql:10: the query failed, and refersion_summaries.middle is unchanged"
        )
        assert told.metadata.keys() == {"summaries/first", "summaries/later"}
        assert tables(warehouse) == {"first", "later"}

    def test_two_failures_are_two(self, in_file: Warehouse) -> None:
        told = run(in_file, numbers(first="SELECT 1 AS number", middle=failing("two"), other=failing("eight")))
        lines = [line for line in told.failure.splitlines() if line.startswith("sql/")]
        assert [line.partition(":")[0] for line in lines] == ["sql/middle.sql", "sql/other.sql"]
        assert ["two1" in lines[0], "eight1" in lines[1]] == [True, True]

    def test_a_key_that_is_not_unique_stops_what_reads_it_and_nothing_else(self, warehouse: Warehouse) -> None:
        twice = f"SELECT number FROM {SUMMARIES}.first UNION ALL SELECT number FROM {SUMMARIES}.first"
        told = run(
            warehouse,
            numbers(
                first="SELECT 1 AS number",
                middle=twice,
                reads_it=f"SELECT number FROM {SUMMARIES}.middle",
                later=f"SELECT number FROM {SUMMARIES}.first",
            ),
        )
        assert "sql/middle.sql:10: keys (number) are missing or duplicated" in told.failure
        assert tables(warehouse) == {"first", "later"}

    def test_a_failing_blocking_check_keeps_what_reads_the_summary_as_it_was(self, warehouse: Warehouse) -> None:
        def summaries(number: int) -> list[Summary]:
            return numbers(
                first=f"SELECT {number} AS number", second=f"SELECT number + 1 AS number FROM {SUMMARIES}.first"
            )

        @dg.asset_check(asset=dg.AssetKey(["summaries", "first"]), blocking=True)
        def never_good() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=False)

        assert run(warehouse, summaries(1)).success
        told = run(warehouse, summaries(5), checks=[never_good])
        assert not told.success
        assert told.metadata.keys() == {"summaries/first"}
        assert warehouse.query(f"SELECT number FROM {SUMMARIES}.second") == [(2,)]
        assert tables(warehouse) == {"first", "second"}

    def test_one_summary_alone_touches_no_other(self, warehouse: Warehouse) -> None:
        def summaries(number: int) -> list[Summary]:
            return numbers(
                first=f"SELECT {number} AS number",
                second=f"SELECT number + 1 AS number FROM {SUMMARIES}.first",
                third=f"SELECT number + 1 AS number FROM {SUMMARIES}.second",
            )

        assert run(warehouse, summaries(1)).success
        told = run(warehouse, summaries(5), "second")
        assert told.metadata.keys() == {"summaries/second"}
        assert warehouse.query(f"SELECT number FROM {SUMMARIES}.first") == [(1,)]
        assert tables(warehouse) == {"first", "second", "third"}


INTERRUPTED = """
import sys
import dagster as dg
from refersion_dagster.resources import Warehouse
from refersion_dagster.summaries.assets import summary_assets
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster_tests.summaries.test_runs import FOREVER, numbers

resources = {"warehouse": Warehouse(duckdb_path=sys.argv[1]), "settings": ReportSettings()}
try:
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize(summary_assets(numbers(forever=FOREVER)), resources=resources, instance=instance)
except BaseException as error:
    print("ended by", type(error).__name__)
"""


@pytest.mark.processes
def test_an_interrupted_run_ends_at_once_and_leaves_nothing_behind(in_file: Warehouse) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, in_file.location],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert any("STEP_START" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said.splitlines()[-1].startswith("ended by ")
    FileLock(f"{in_file.location}.lock").acquire(timeout=0).lock.release()
    assert tables(in_file) == set()
