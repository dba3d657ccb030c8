"""BigQuery through an emulator of its API. It tests connections and API calls, but does not verify figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
import requests

from refersion_dagster.doctor.warehouse import NAMES
from refersion_dagster.refersion import ReadReport
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster.warehouse.bigquery.errors import convert_error
from refersion_dagster.warehouse.bigquery.google import google_client
from refersion_dagster.warehouse.bigquery.session import type_name, with_duckdb_types
from refersion_dagster.warehouse.errors import (
    LeaseLost,
    WarehouseBusy,
    WarehouseError,
    WarehouseForbidden,
    WarehouseFull,
    WarehouseNotSet,
    WarehouseUnreachable,
)
from refersion_dagster.warehouse.lease import TABLE as LEASE
from refersion_dagster.warehouse.session import Session, UndefinedTable
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of
from refersion_dagster_tests.actions.any_warehouse import check_writing
from refersion_dagster_tests.bigquery import PROJECT, BigQueryEmulator
from refersion_dagster_tests.location import NOW, Location, account_of
from refersion_dagster_tests.summaries.builders import all_summaries

pytestmark = pytest.mark.warehouses

ACCOUNT = SandboxSettings(affiliates=8, orders=60, days=90, now=NOW)
REFRESH = ("dagster", "job", "execute", "-m", "refersion_dagster.definitions", "-j", "refersion_refresh")
# For each refresh's 400 or so statements, in an emulator that runs one at a time.
PATIENCE = 1800
CREDENTIALS = "DESTINATION__BIGQUERY__CREDENTIALS"


@pytest.fixture(scope="module")
def emulator() -> Iterator[BigQueryEmulator]:
    running = BigQueryEmulator()
    yield running
    running.stop()


@pytest.fixture
def warehouse(emulator: BigQueryEmulator, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    return Warehouse(destination="bigquery", lock_timeout_seconds=0)


def swap(session: Session, select: str) -> None:
    session.swap_in("made", "numbers", session.build_beside("made", "numbers", select))


class TestCredentials:
    @pytest.fixture(autouse=True)
    def nothing_on_this_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
        monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
        monkeypatch.delenv(CREDENTIALS, raising=False)

    def test_without_any_it_is_said_what_to_set(self) -> None:
        with pytest.raises(WarehouseNotSet, match=f"missing or cannot be read. Set {CREDENTIALS}"):
            _ = Warehouse(destination="bigquery").location

    @pytest.mark.parametrize("key", ["not JSON: s3cret", '{"private_key": "s3cret"}', "[]"])
    def test_a_key_that_is_none_is_not_repeated(self, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(CREDENTIALS, key)
        with pytest.raises(WarehouseNotSet) as wrong:
            _ = Warehouse(destination="bigquery").location
        assert "s3cret" not in str(wrong.value)

    def test_the_location_has_no_key(self, emulator: BigQueryEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(CREDENTIALS, emulator.key)
        monkeypatch.setenv("DESTINATION__BIGQUERY__LOCATION", "EU")
        assert Warehouse(destination="bigquery").location == f"bigquery://{PROJECT}?location=EU"

    def test_the_project_may_be_another_than_that_of_the_key(
        self, emulator: BigQueryEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(CREDENTIALS, emulator.key)
        monkeypatch.setenv("DESTINATION__BIGQUERY__PROJECT_ID", "analytics")
        assert Warehouse(destination="bigquery").location == "bigquery://analytics?location=US"


class TestErrors:
    @pytest.mark.parametrize(
        ("kind", "reason", "expected"),
        [
            ("Forbidden", "accessDenied", WarehouseForbidden),
            ("Forbidden", "quotaExceeded", WarehouseFull),
            ("ServiceUnavailable", "backendError", WarehouseUnreachable),
        ],
    )
    def test_googles_reasons_are_told_in_words(self, kind: str, reason: str, expected: type[WarehouseError]) -> None:
        google = getattr(import_module("google.api_core.exceptions"), kind)
        problem = convert_error(google("it said so", errors=[{"reason": reason, "message": "it said so"}]))
        assert type(problem) is expected
        assert "it said so" in str(problem)

    def test_those_of_a_statement_are_not_the_servers(self) -> None:
        google = import_module("google.api_core.exceptions")
        assert convert_error(google.BadRequest("no", errors=[{"reason": "invalidQuery"}])) is None
        assert convert_error(ValueError("no")) is None

    def test_a_login_that_fails_shows_nothing_of_the_key(self) -> None:
        problem = convert_error(import_module("google.auth.exceptions").RefreshError("s3cret"))
        assert isinstance(problem, WarehouseForbidden)
        assert "s3cret" not in str(problem)

    def test_a_server_that_is_not_there_cannot_be_reached(self) -> None:
        """Google's client retries for ten minutes, then reports that it gave up, and why."""
        given_up = import_module("google.api_core.exceptions").RetryError(
            "Timeout of 600.0s exceeded", requests.ConnectionError("refused")
        )
        problem = convert_error(given_up)
        assert isinstance(problem, WarehouseUnreachable)
        assert problem.may_pass
        assert "cannot be reached" in str(problem)


class TestSession:
    def test_tables_and_columns_come_with_duckdbs_types(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            assert session.tables("nowhere") == []
            assert session.columns("nowhere", "numbers") == []
            swap(
                session,
                "SELECT 1 AS number, 'a' AS word, TRUE AS yes, DATE '2025-01-01' AS day, 1.5 AS rough, "
                "TIMESTAMP '2025-01-01 00:00:00+00' AS moment, DATETIME '2025-01-01 00:00:00' AS local",
            )
            assert session.tables("made") == ["numbers"]
            assert session.columns("made", "numbers") == [
                ("number", "bigint"),
                ("word", "varchar"),
                ("yes", "boolean"),
                ("day", "date"),
                ("rough", "double"),
                ("moment", "timestamp with time zone"),
                ("local", "timestamp"),
            ]

    def test_a_table_that_is_not_there_cannot_be_read(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session, pytest.raises(UndefinedTable):
            session.count("nowhere", "numbers")

    def test_a_table_is_swapped_for_one_of_other_columns_and_nothing_is_left_beside(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            for select in ("SELECT 1 AS number", "SELECT 2 AS number", "SELECT 'three' AS word"):
                swap(session, select)
            assert session.first_rows("made", "numbers", 10) == [("three",)]
            assert session.tables("made") == ["numbers"]

    def test_descriptions_are_stored_beside_the_table(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            swap(session, "SELECT 1 AS a, 2 AS b")
            session.comment("made", "numbers", "Numbers.", {"a": "It's  a\nnumber", "not there": "x"})
            assert session.comments("made", "numbers") == {"": "Numbers.", "a": "It's a number", "b": None}

    def test_the_account_may_write(self, warehouse: Warehouse) -> None:
        database = warehouse.database
        with database.session(read_only=True) as session:
            access = database.write_access(session)
        assert access.is_granted
        assert "roles/bigquery.jobUser" in access.how_to_grant


class TestAmounts:
    """Not through the emulator, which keeps 9 decimal digits in every amount."""

    def test_they_come_with_digits_that_duckdb_has(self) -> None:
        text = "12345678901234567890.123456789012"
        found = with_duckdb_types(pa.table({"amount": pa.array([Decimal(text), None], pa.decimal256(76, 38))}))
        assert found.schema.field("amount").type == pa.decimal128(38, 12)
        assert found["amount"].to_pylist() == [Decimal(text), None]

    def test_no_digit_is_lost_in_silence(self) -> None:
        with pytest.raises(pa.ArrowInvalid):
            with_duckdb_types(pa.table({"amount": pa.array([Decimal("0.0000000000001")], pa.decimal256(76, 38))}))

    @pytest.mark.parametrize(
        ("kind", "digits", "scale", "expected"),
        [
            ("NUMERIC", None, None, "decimal(38,9)"),
            ("NUMERIC", 18, 4, "decimal(18,4)"),
            ("BIGNUMERIC", None, None, "decimal(38,12)"),
            ("NUMERIC", 12, None, "decimal(12,0)"),
        ],
    )
    def test_columns_are_declared_to_match(
        self, kind: str, digits: int | None, scale: int | None, expected: str
    ) -> None:
        assert type_name(google_client().SchemaField("amount", kind, precision=digits, scale=scale)) == expected


class TestOneWriter:
    def test_a_second_run_waits_in_vain(self, warehouse: Warehouse) -> None:
        with warehouse.write_lock(pytest.fail):
            with (
                pytest.raises(WarehouseBusy, match=r"Another run \(process .+Nothing was written"),
                warehouse.write_lock(pytest.fail),
            ):
                pytest.fail("two writers at once")
            database = warehouse.database
            with database.session(read_only=True) as session:
                assert "process" in database.write_access(session).writer
        with warehouse.write_lock(pytest.fail):
            pass

    def test_a_run_that_lost_the_right_is_told_at_its_end(self, warehouse: Warehouse) -> None:
        # The other run's right has ended, too: the next test would wait two minutes for it.
        of_another = "token = 'of another', valid_until = CURRENT_TIMESTAMP()"
        with pytest.raises(LeaseLost), warehouse.write_lock(pytest.fail):
            warehouse.query(f"UPDATE refersion_data.{LEASE} SET {of_another} WHERE TRUE")


def test_tables_are_merged_by_one_statement_and_conversions_parted_by_month(warehouse: Warehouse) -> None:
    """Checks the settings passed to dlt: the emulator accepts them and does not report them."""
    with SandboxServer(ACCOUNT) as sandbox:
        source = warehouse.prepare(account_of(sandbox).source(ReadReport()))
        tables: dict[str, Any] = {name: one.compute_table_schema() for name, one in source.resources.items()}
    assert {table["x-merge-strategy"] for table in tables.values()} == {"upsert"}
    assert tables["conversions"]["x-bigquery-partition"] == {"created": "TIMESTAMP_TRUNC({column_name}, MONTH)"}
    assert tables["conversions"]["x-bigquery-cluster-columns"] == ["affiliate_id"]


class TestActions:
    """Nothing is sent without a journal elsewhere: keys are not enforced, and the same item could be sent twice."""

    @pytest.fixture
    def actions(self, warehouse: Warehouse, tmp_path: Path) -> Iterator[ActionsHarness]:
        with SandboxServer(ACCOUNT) as sandbox:
            yield ActionsHarness(sandbox, tmp_path / "none.duckdb", warehouse.destination)

    def test_a_job_fails_before_any_request(self, actions: ActionsHarness) -> None:
        ended = actions.launch(CREDIT, [credit_of(actions.affiliate())])
        assert not ended.success
        assert "does not enforce primary keys" in ended.failure
        assert actions.sandbox.requests() == {}

    def test_with_a_journal_elsewhere_each_item_is_sent_once(self, actions: ActionsHarness, tmp_path: Path) -> None:
        check_writing(actions.destination, actions.sandbox, tmp_path)


class TestRefresh:
    @pytest.fixture(scope="class")
    def refreshed(
        self, emulator: BigQueryEmulator, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[tuple[Location, SandboxServer, list[dict[str, int]]]]:
        """A location after two refreshes of an account that does not change in between, and the rows after each."""
        with SandboxServer(ACCOUNT) as sandbox, pytest.MonkeyPatch.context() as monkeypatch:
            for name, value in emulator.environment.items():
                monkeypatch.setenv(name, value)
            location = Location.of(tmp_path_factory.mktemp("refreshed"), sandbox).with_settings(**emulator.environment)
            counts: list[dict[str, int]] = []
            for _ in range(2):
                with location.start(*REFRESH) as process:
                    output, _ = process.communicate(timeout=PATIENCE)
                assert process.returncode == 0, output
                with Warehouse(destination="bigquery").session() as session:
                    counts.append({name: session.count(DATASET, name) for name in session.tables(DATASET)})
            yield location, sandbox, counts

    def test_rows_that_are_read_again_are_there_once(
        self, refreshed: tuple[Location, SandboxServer, list[dict[str, int]]]
    ) -> None:
        _, sandbox, (first, second) = refreshed
        ours = [name for name in first if not name.startswith("_dlt")]
        assert {name: second[name] for name in ours} == {name: first[name] for name in ours}
        assert first["conversions"] == sandbox.sums()["number_of_conversions"]
        assert first["conversion_history"] == first["conversions"]

    def test_every_table_is_made_every_check_passes_and_no_load_is_without(
        self, refreshed: tuple[Location, SandboxServer, list[dict[str, int]]], warehouse: Warehouse
    ) -> None:
        location, _, _ = refreshed
        with location.records() as instance:
            checks = [
                evaluated
                for run in instance.get_runs()
                for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
                if entry.dagster_event and (evaluated := entry.dagster_event.asset_check_evaluation_data)
            ]
        assert [check.check_name for check in checks if not check.passed] == []
        assert len(checks) > 2 * 70
        with warehouse.session() as session:
            assert set(session.tables(SUMMARIES)) == {summary.name for summary in all_summaries()}

    def test_copies_and_report_are_published(
        self, refreshed: tuple[Location, SandboxServer, list[dict[str, int]]], warehouse: Warehouse
    ) -> None:
        location, _, _ = refreshed
        published = location.folder / "refersion_published" / "current"
        with duckdb.connect(str(published / "refersion.duckdb"), read_only=True) as copy:
            for summary in all_summaries():
                ((rows,),) = copy.execute(f"SELECT count(*) FROM {SUMMARIES}.{summary.name}").fetchall()
                with warehouse.session() as session:
                    assert rows == session.count(SUMMARIES, summary.name), summary.name
        assert list((location.folder / "refersion_reports").rglob("*.html"))

    def test_doctor_finds_nothing(self, refreshed: tuple[Location, SandboxServer, list[dict[str, int]]]) -> None:
        location, _, _ = refreshed
        found = json.loads(location.run("refersion-dagster", "doctor", "--json").output)
        checks = {one["name"]: one["status"] for one in found["checks"]}
        assert {name: checks[name] for name in NAMES} == dict.fromkeys(NAMES, "ok")
