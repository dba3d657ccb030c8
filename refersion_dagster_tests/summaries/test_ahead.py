"""Summaries are built ahead of their steps, and nothing but its own step puts one in its place."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest
from filelock import FileLock

from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.ahead import BuildAhead
from refersion_dagster.summaries.assets import summary_assets
from refersion_dagster.summaries.build import put_in_place
from refersion_dagster.summaries.query import Summary, in_order, parse
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster_tests.location import REPOSITORY, Outcome, outcome
from refersion_dagster_tests.processes import soon

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
    return in_order([parse(f"{HEADER}{select}", f"sql/{name}.sql") for name, select in selects.items()])


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
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [*summary_assets(summaries), *checks],
            selection=[dg.AssetKey(["summaries", name]) for name in names] or None,
            resources={"warehouse": warehouse, "settings": ReportSettings()},
            instance=instance,
            raise_on_error=False,
        )
        return outcome(instance, result.run_id)


def ahead_of(warehouse: Warehouse, summaries: Sequence[Summary], *loading: str) -> BuildAhead:
    return BuildAhead(warehouse, summaries, ReportSettings().parameters(), loading)


def put(warehouse: Warehouse, ahead: BuildAhead, summary: Summary) -> None:
    """What a summary's step does."""
    fresh = ahead.built(summary)
    with warehouse.session() as session:
        put_in_place(session, summary, fresh)
    ahead.in_place(summary)


def builders() -> list[str]:
    """Threads that build summaries."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("summaries")]


class TestAhead:
    def test_what_reads_a_summary_is_built_once_that_is_in_its_place_and_waits_beside(
        self, warehouse: Warehouse
    ) -> None:
        first, second = numbers(
            first="SELECT 1 AS number", second=f"SELECT number + 1 AS number FROM {SUMMARIES}.first"
        )
        with ahead_of(warehouse, [first, second]) as ahead:
            put(warehouse, ahead, first)
            assert soon(lambda: tables(warehouse) == {"first", "second__new"})
            put(warehouse, ahead, second)
        assert warehouse.query(f"SELECT number FROM {SUMMARIES}.second") == [(2,)]
        assert tables(warehouse) == {"first", "second"}
        assert not builders()

    def test_it_reads_the_new_rows_and_not_those_of_last_time(self, warehouse: Warehouse) -> None:
        for number in (1, 5):
            first, second = numbers(
                first=f"SELECT {number} AS number", second=f"SELECT number + 1 AS number FROM {SUMMARIES}.first"
            )
            with ahead_of(warehouse, [first, second]) as ahead:
                put(warehouse, ahead, first)
                put(warehouse, ahead, second)
            assert warehouse.query(f"SELECT number FROM {SUMMARIES}.second") == [(number + 1,)]

    def test_of_what_can_be_built_the_first_in_order_is_next(self, in_file: Warehouse) -> None:
        slow = "SELECT count(*) AS number FROM generate_series(1, 50000000) AS a(one) WHERE one % 7 = 3"
        ordered = numbers(
            a_root="SELECT 1 AS number",
            b_start=f"SELECT number FROM {SUMMARIES}.a_root",
            c_end=f"SELECT number FROM {SUMMARIES}.b_start",
            **{f"leaf_{number}": f"{slow} UNION ALL SELECT number FROM {SUMMARIES}.a_root" for number in range(8)},
        )
        a_root, b_start, c_end, *leaves = ordered
        with ahead_of(in_file, ordered) as ahead:
            put(in_file, ahead, a_root)
            put(in_file, ahead, b_start)
            ahead.built(c_end)
            built = {name for name in tables(in_file) if name.startswith("leaf_")}
        # All leaves could be built before c_end could, and each takes far longer than b_start took to its place.
        assert len(built) < len(leaves) / 2

    def test_what_was_translated_while_another_was_built_has_the_settings_in_it(self, warehouse: Warehouse) -> None:
        slow = "SELECT 1 + 0 * count(*) AS number FROM generate_series(1, 5000000) AS a(one)"
        first, second = numbers(
            first=slow, second=f"SELECT number + $lapsed_days + $rising_days AS number FROM {SUMMARIES}.first"
        )
        settings = {**ReportSettings().parameters(), "lapsed_days": 300, "rising_days": 40}
        with BuildAhead(warehouse, [first, second], settings, ()) as ahead:
            put(warehouse, ahead, first)
            put(warehouse, ahead, second)
        assert warehouse.query(f"SELECT number FROM {SUMMARIES}.second") == [(341,)]

    def test_what_no_step_asked_for_is_gone_at_the_end(self, warehouse: Warehouse) -> None:
        one, other = numbers(one="SELECT 1 AS number", other="SELECT 2 AS number")
        with ahead_of(warehouse, [one, other]) as ahead:
            put(warehouse, ahead, one)
            assert soon(lambda: "other__new" in tables(warehouse))
        assert tables(warehouse) == {"one"}
        assert not builders()

    def test_the_end_does_not_wait_for_what_no_step_asked_for(self, warehouse: Warehouse) -> None:
        one, forever = numbers(a="SELECT 1 AS number", forever=FOREVER)
        with ahead_of(warehouse, [one, forever]) as ahead:
            put(warehouse, ahead, one)
            assert soon(lambda: bool(builders()))
        assert not builders()
        assert tables(warehouse) == {"a"}

    def test_nothing_is_built_while_a_load_may_still_be_to_come(self, in_file: Warehouse) -> None:
        of_raw, first, second, third = numbers(
            a="SELECT id AS number FROM refersion_data.offers",
            b="SELECT 1 AS number",
            c="SELECT 2 AS number",
            d="SELECT max(n) AS number FROM generate_series(1, 20000000) AS t(n)",
        )
        with in_file.session() as session:
            session.create_schema("refersion_data")
            session.native("CREATE TABLE refersion_data.offers (id BIGINT)")
        with ahead_of(in_file, [of_raw, first, second, third], "offers") as ahead:
            put(in_file, ahead, first)
            put(in_file, ahead, third)  # takes longer than `second`, had that been started
            assert tables(in_file) == {"b", "d"}
            put(in_file, ahead, of_raw)  # its step has waited for the load
            assert soon(lambda: "c__new" in tables(in_file))

    def test_a_build_that_failed_can_be_asked_for_again(self, in_file: Warehouse) -> None:
        (summary,) = numbers(numbers="SELECT id AS number FROM refersion_data.offers")
        with ahead_of(in_file, [summary]) as ahead:
            with pytest.raises(Exception, match="materialise refersion/offers first"):
                ahead.built(summary)
            with in_file.session() as session:
                session.create_schema("refersion_data")
                session.native("CREATE TABLE refersion_data.offers AS SELECT 4 AS id")
            assert ahead.built(summary) == "numbers__new"


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
        assert told.failure.startswith("sql/middle.sql:10: the query failed, and refersion_summaries.middle is as it")
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
        assert "sql/middle.sql:10: keys (number) are missing or there twice" in told.failure
        assert tables(warehouse) == {"first", "later"}

    def test_a_failing_blocking_check_keeps_what_was_built_ahead_from_its_place(self, warehouse: Warehouse) -> None:
        def summaries(number: int) -> list[Summary]:
            return numbers(
                first=f"SELECT {number} AS number", second=f"SELECT number + 1 AS number FROM {SUMMARIES}.first"
            )

        seen: list[set[str]] = []

        @dg.asset_check(asset=dg.AssetKey(["summaries", "first"]), blocking=True)
        def never_good(warehouse: Warehouse) -> dg.AssetCheckResult:
            assert soon(lambda: "second__new" in tables(warehouse))
            seen.append(tables(warehouse))
            return dg.AssetCheckResult(passed=False)

        assert run(warehouse, summaries(1)).success
        told = run(warehouse, summaries(5), checks=[never_good])
        assert not told.success
        assert seen == [{"first", "second", "second__new"}]
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
import sys, threading
import dagster as dg
from refersion_dagster.resources import Warehouse
from refersion_dagster.summaries.assets import summary_assets
from refersion_dagster.summaries.build import put_in_place
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster_tests.summaries.test_ahead import FOREVER, numbers

resources = {"warehouse": Warehouse(duckdb_path=sys.argv[1]), "settings": ReportSettings()}
try:
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize(summary_assets(numbers(forever=FOREVER)), resources=resources, instance=instance)
except BaseException as error:
    print("ended by", type(error).__name__, [one.name for one in threading.enumerate() if "summaries" in one.name])
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
    assert said.endswith("[]\n")
    FileLock(f"{in_file.location}.lock").acquire(timeout=0).lock.release()
    assert tables(in_file) == set()
