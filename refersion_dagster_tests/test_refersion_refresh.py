"""refersion_refresh as a user starts it: a process of `dagster`, run twice on the same account."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest
from filelock import FileLock

from refersion_dagster.actions.operations.catalog import ENDPOINTS
from refersion_dagster.definitions import defs
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import GRAPHQL, NOW, REST, TABLES, Ended, Location, Outcome, outcome

pytestmark = pytest.mark.processes

WINDOWED = ("conversions", "payments", "conversion_totals")


@dataclass(frozen=True)
class Twice:
    """Two runs of the job, one after the other, on an account in which nothing happens meanwhile."""

    sandbox: SandboxServer
    location: Location
    ended: Sequence[Ended]
    outcomes: Sequence[Outcome]
    counts: Sequence[dict[str, int]]


@pytest.fixture(scope="module")
def twice(account: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Twice:
    location = Location.of(tmp_path_factory.mktemp("twice"), account).with_settings(REFERSION_ALLOW_WRITES="true")
    ended, counts = [], []
    for _ in range(2):
        ended.append(location.refresh())
        assert ended[-1].code == 0, ended[-1].output
        counts.append(location.counts())
    with location.records() as instance:
        runs = instance.get_runs(ascending=True)
        outcomes = [outcome(instance, run.run_id) for run in runs]
    return Twice(account, location, ended, outcomes, counts)


def test_every_row_of_the_account_is_there(twice: Twice) -> None:
    sums = twice.sandbox.sums()
    others = ("conversion_totals", "clicks", "conversion_readings")
    assert {name: count for name, count in twice.counts[0].items() if name not in others} == {
        "affiliate_get": sums["affiliates"],
        "affiliate_list": sums["affiliates"],
        "affiliates": sums["affiliates"],
        "conversion_history": sums["number_of_conversions"],
        "conversions": sums["number_of_conversions"],
        "graphql_schemas": 1,
        "schema_changes": 0,
        "offers": sums["offers"],
        "payments": sums["payments"],
    }


def test_nothing_is_written_to_refersion_even_where_that_is_allowed(twice: Twice) -> None:
    assert set(twice.sandbox.requests()).isdisjoint(f"rest:{endpoint.path}" for endpoint in ENDPOINTS.values())


def test_a_second_run_changes_no_count_but_that_of_readings(twice: Twice) -> None:
    first, second = ({**counts} for counts in twice.counts)
    assert second.pop("conversion_readings") == first.pop("conversion_readings") + 1
    assert first == second


def test_sums_are_refersions_own_to_the_cent(twice: Twice) -> None:
    found = twice.location.query(
        "SELECT status, payment_status, currency, count(*), sum(total), sum(commission_total) "
        "FROM refersion_data.conversions WHERE NOT is_test_conversion GROUP BY ALL"
    )
    expected = [
        (
            row["status"],
            row["payment_status"],
            row["currency"],
            row["count"],
            Decimal(row["total"]),
            Decimal(row["commission_total"]),
        )
        for row in twice.sandbox.sums()["conversions"]
    ]
    assert sorted(found) == sorted(expected)
    assert {type(row[-1]) for row in found} == {Decimal}


def test_the_summary_says_what_refersion_says(twice: Twice) -> None:
    found = twice.location.query(
        "SELECT currency, sum(commission_pending), sum(commission_due), sum(commission_paid), sum(commission_denied), "
        "sum(commission_unqualified) FROM refersion_summaries.commission_by_affiliate GROUP BY currency"
    )
    expected: dict[str, list[Decimal]] = {}
    for row in twice.sandbox.sums()["conversions"]:
        state = row["status"] if row["status"] != "APPROVED" else row["payment_status"]
        at = ["PENDING", "UNPAID", "PAID", "DENIED", "UNQUALIFIED"].index(state)
        expected.setdefault(row["currency"], [Decimal(0)] * 5)[at] += Decimal(row["commission_total"])
    assert {currency: list(amounts) for currency, *amounts in found} == expected


@pytest.mark.parametrize("run", [0, 1])
@pytest.mark.parametrize("table", TABLES)
def test_each_table_tells_its_rows_its_requests_and_its_columns(twice: Twice, table: str, run: int) -> None:
    told = twice.outcomes[run].metadata[f"refersion/{table}"]
    assert told["dagster/row_count"] == twice.counts[run][table]
    # Details of affiliates that did not change are not read again, nor rows older than the look-back.
    least = 0 if (table, run) == ("affiliate_get", 1) else 1
    assert least <= told["rows_loaded"] <= twice.counts[run][table]
    assert told["requests_made"] >= least
    assert told["warehouse"] == str(twice.location.database)
    columns: dg.TableSchema = told["dagster/column_schema"]
    assert "read_at" in {column.name for column in columns.columns}
    assert all(column.description for column in columns.columns)


def test_the_first_run_loads_everything(twice: Twice) -> None:
    told = twice.outcomes[0].metadata
    rows = {table: told[f"refersion/{table}"]["rows_loaded"] for table in TABLES if table != "conversion_totals"}
    assert rows == {table: twice.counts[0][table] for table in rows}


@pytest.mark.parametrize("table", WINDOWED)
def test_windows_begin_at_the_start_and_then_at_the_look_back(twice: Twice, table: str) -> None:
    def window(run: int) -> tuple[datetime, datetime]:
        told = twice.outcomes[run].metadata[f"refersion/{table}"]
        return tuple(datetime.fromtimestamp(told[f"window_{end}"], UTC) for end in ("from", "to"))  # pyright: ignore[reportReturnType]

    first, second = window(0), window(1)
    if table == "conversion_totals":
        # Whole months; those before the look-back are read first, to see which of them changed.
        assert (first[0].day, second[0].day) == (1, 1)
    else:
        assert first[0] == twice.sandbox.start.replace(hour=0, minute=0, second=0)
        # All payments are read each time: one that is undone is missing wherever it lay.
        assert first[0] == second[0] if table == "payments" else first[0] < second[0]
    assert second[0] < NOW
    assert first[1] == second[1]
    assert (second[1] - NOW).total_seconds() <= 1


@pytest.mark.parametrize("table", ["affiliate_list", "affiliate_get", "affiliates", "offers"])
def test_tables_that_are_read_whole_tell_no_window(twice: Twice, table: str) -> None:
    assert "window_from" not in twice.outcomes[0].metadata[f"refersion/{table}"]


def test_the_summary_tells_its_rows_its_columns_and_shows_some(twice: Twice) -> None:
    told = twice.outcomes[0].metadata["summaries/commission_by_affiliate"]
    (count,) = twice.location.query("SELECT count(*) FROM refersion_summaries.commission_by_affiliate")[0]
    assert told["dagster/row_count"] == count
    types = {column.name: column.type for column in told["dagster/column_schema"].columns}
    assert types["commission_due"] == "decimal(38,4)"
    assert types["first_order_at"] == "timestamp with time zone"
    assert told["preview"].startswith("| affiliate_id | affiliate_name |")


@pytest.mark.parametrize("table", TABLES)
def test_the_run_log_tells_the_progress_of_each_table(twice: Twice, table: str) -> None:
    log = "\n".join(twice.outcomes[0].log)
    assert f"{table}: {twice.counts[0][table]:,} rows loaded" in log


def test_progress_is_told_once(twice: Twice) -> None:
    for said in (*(f"{table}: " for table in TABLES), "Reading conversions"):
        lines = [line for line in twice.outcomes[0].log if line.startswith(said)]
        # Totals are read before the conversions, to see which months changed, and after them, to prove what was loaded.
        assert len(lines) == (2 if said == "conversion_totals: " else 1), lines


def test_nothing_stays_in_the_temporary_folder(twice: Twice) -> None:
    left = [file.name for file in (twice.location.folder / "tmp").iterdir()]
    assert [name for name in left if name.startswith("refersion")] == []


def test_the_home_and_the_working_directory_get_no_file_of_dlts(twice: Twice) -> None:
    assert not list(twice.location.folder.rglob(".dlt"))
    assert {path.name for path in twice.location.folder.iterdir()} == {
        *("home", "dagster", "tmp"),
        *("warehouse.duckdb", "warehouse.duckdb.lock", "refersion_published", "refersion_reports"),
    }


def test_assets_materialised_are_all_there_are(twice: Twice) -> None:
    specs = {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()}
    others = {"refersion/webhook_events", "report/statements"}
    every = {key for key in specs - others if not key.startswith("actions/")}
    assert {f"refersion/{table}" for table in (*REST, *GRAPHQL, "conversion_history")} < every
    assert set(twice.outcomes[0].metadata) == every


def test_two_runs_at_once_queue_up_and_both_succeed(account: SandboxServer, tmp_path: Path) -> None:
    """Two machines, as it were: each has records of its own, and both write to one DuckDB file."""
    locations = [
        Location.of(tmp_path / name, account).with_settings(REFERSION_DUCKDB_PATH=str(tmp_path / "shared.duckdb"))
        for name in ("one", "other")
    ]
    assets = "refersion/conversions,refersion/conversion_history"
    command = ("dagster", "asset", "materialize", "-m", "refersion_dagster.definitions", "--select", assets)
    with FileLock(tmp_path / "shared.duckdb.lock"):
        runs = [location.start(*command) for location in locations]
        # Let go when both of them wait.
        said = ["".join(lines_until("waiting for it", run)) for run in runs]
    for at, run in enumerate(runs):
        said[at] += run.communicate(timeout=120)[0]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(said)

    sums = account.sums()
    assert locations[0].counts()["conversions"] == sums["number_of_conversions"]
    assert locations[0].counts()["conversion_history"] == sums["number_of_conversions"]
    commission = locations[0].query("SELECT sum(commission_total) FROM refersion_data.conversions")
    of_account = sums["conversions"] + sums["test_conversions"]
    assert commission == [(sum(Decimal(row["commission_total"]) for row in of_account),)]


def lines_until(words: str, process: subprocess.Popen[str]) -> Iterator[str]:
    """What a process prints, up to the line with these words; all of it where it never says them."""
    assert process.stdout
    for line in process.stdout:
        yield line
        if words in line:
            return
