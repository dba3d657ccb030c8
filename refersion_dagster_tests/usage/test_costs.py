"""What statements cost, with results of assets and checks and at the end of a refresh."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from refersion_dagster.component.accounts import usual_account
from refersion_dagster.refresh.summary import RunOutcome, show_summary
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.usage.costs import describe_costs, show_costs, summarize_costs
from refersion_dagster.usage.meter import METER, NOTHING, Meter, Usage
from refersion_dagster.warehouse.session import UndefinedTable
from refersion_dagster_tests.location import SMALL, account_of, materialise
from refersion_dagster_tests.postgres import PostgresDatabase
from refersion_dagster_tests.redshift import redshift_relative

BYTES = Usage(statements=3, priced=3, bytes_billed=2_345_678_901, slot_milliseconds=1_500)
TIME = Usage(statements=2, timed=2, seconds=61.4)


class TestMeter:
    def test_it_counts_statements_that_fail_too(self) -> None:
        meter = Meter()
        with pytest.raises(ValueError, match="broken"), meter.statement(is_timed=True):
            raise ValueError("broken")
        assert (meter.read().statements, meter.read().timed) == (1, 1)

    def test_time_is_only_that_of_engines_that_bill_it(self) -> None:
        meter = Meter()
        with meter.statement(is_timed=False):
            pass
        assert list(meter.results(iter([1, 2]), is_timed=False)) == [1, 2]
        assert meter.read() == Usage(statements=2)

    def test_results_that_are_read_one_by_one_are_one_statement(self) -> None:
        meter = Meter()
        assert list(meter.results(iter([1, 2, 3]), is_timed=True)) == [1, 2, 3]
        assert (meter.read().statements, meter.read().timed) == (1, 1)
        assert meter.read().seconds > 0


class TestResults:
    def test_each_has_what_was_spent_since_the_one_before(self) -> None:
        @show_costs
        def results() -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
            METER.add(BYTES)
            yield dg.MaterializeResult(asset_key="one", metadata={"rows": 1}, tags={"kept": "yes"})
            METER.add(BYTES)
            METER.add(BYTES)
            yield dg.AssetCheckResult(passed=False, check_name="two", severity=dg.AssetCheckSeverity.WARN)

        one, two = results()
        assert isinstance(one, dg.MaterializeResult)
        assert one.tags == {"kept": "yes"}
        assert one.metadata == {"rows": 1, "bytes_billed": 2_345_678_901, "slot_seconds": 1.5}
        assert isinstance(two, dg.AssetCheckResult)
        assert (two.passed, two.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert {name: value.value for name, value in two.metadata.items()} == {
            "bytes_billed": 2 * 2_345_678_901,
            "slot_seconds": 3.0,
        }

    def test_without_a_price_they_stay_the_same(self) -> None:
        made = dg.MaterializeResult(metadata={"rows": 1})

        @show_costs
        def result() -> dg.MaterializeResult:
            METER.add(Usage(statements=5))
            return made

        assert result() is made

    def test_bytes_that_are_not_reported_are_named(self) -> None:
        assert describe_costs(Usage(statements=1, unpriced=1)).keys() == {"bytes_billed_not_reported"}


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        (NOTHING, ""),
        (Usage(statements=9), ""),
        (BYTES, " The warehouse billed 2.35 GB (2 slot seconds)."),
        (BYTES + Usage(unpriced=1), " The warehouse billed at least 2.35 GB (2 slot seconds)."),
        (TIME, " Statements took 61 s in the warehouse, loads not counted."),
    ],
)
@pytest.mark.parametrize(
    ("is_well", "verdict"), [(True, "Up to date, in 5 s (run 12345678)."), (False, "Tables that failed are unchanged.")]
)
def test_the_last_line_of_a_refresh_has_the_sum(usage: Usage, said: str, is_well: bool, verdict: str) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=200)
    show_summary(console, RunOutcome("12345678-run", is_well), usual_account(), 5, usage)
    assert screen.getvalue().splitlines()[-1].endswith(f"{verdict}{said}")


def test_duckdb_counts_statements_and_shows_no_price(tmp_path: Path) -> None:
    before = METER.read()
    with SandboxServer(SMALL) as sandbox:
        warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
        done = materialise(account_of(sandbox), warehouse, "refersion/offers", checked=True)
    assert done.success, done.failure
    used = METER.read() - before
    assert used == Usage(statements=used.statements)
    assert used.statements > 5
    assert not {"bytes_billed", "slot_seconds", "statement_seconds"} & done.metadata["refersion/offers"].keys()


def test_seconds_of_statements_are_counted_where_time_is_billed(postgres: PostgresDatabase) -> None:
    """With Redshift's session on PostgreSQL, which is told by Redshift's class alone."""
    with redshift_relative(postgres):
        warehouse = Warehouse(destination="redshift")
        before = METER.read()
        with warehouse.session() as session:
            session.native("SELECT pg_sleep(0.2)")
            with pytest.raises(UndefinedTable):
                session.count("nowhere", "numbers")
            assert sum(table.num_rows for table in session.arrow("SELECT 1 AS a", 10)) == 1
    used = METER.read() - before
    assert used.timed == used.statements >= 3
    assert used.seconds >= 0.2
    assert describe_costs(used) == {"statement_seconds": round(used.seconds, 3)}
    assert "loads not counted" in summarize_costs(used)


def test_postgresql_has_no_price(postgres: PostgresDatabase) -> None:
    with postgres.in_use():
        before = METER.read()
        assert Warehouse(destination="postgres").query("SELECT 1 AS a") == [(1,)]
    used = METER.read() - before
    assert used.statements > 0
    assert describe_costs(used) == {}
