"""A DuckLake with its catalogue in PostgreSQL and its files in S3: setup, kills at any point, and several writers.

test_same_figures.py tests its figures; test_session.py and test_one_writer.py test its interface.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.actions.journal.journal import Journal
from refersion_dagster.actions.planning.input_errors import InputErrors
from refersion_dagster.doctor.examination import examine
from refersion_dagster.doctor.findings import Status
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import settle
from refersion_dagster.warehouse.ducklake.database import DuckLakeDatabase
from refersion_dagster.warehouse.errors import (
    ConcurrentChange,
    KeysNotEnforced,
    WarehouseError,
    WarehouseForbidden,
    WarehouseNotSet,
    WarehouseUnreachable,
)
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of
from refersion_dagster_tests.actions.any_warehouse import check_writing
from refersion_dagster_tests.actions.processes import ended, killed, started
from refersion_dagster_tests.ingest.interruptions.interrupted_load import ACCOUNT, ASSETS, ROWS_PER_LOAD, at_the_source
from refersion_dagster_tests.location import Location, account_of, materialise
from refersion_dagster_tests.postgres import HOST, PASSWORD, PostgresDatabase
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.test_secrets import LOG_EVERYTHING, files_with
from refersion_dagster_tests.warehouse.lake_storage import BUCKET, PREFIX, SECRET, LakeAddress

pytestmark = pytest.mark.warehouses

SUMS = """
SELECT is_test_conversion, status, payment_status, currency, count(*), count(DISTINCT id), sum(total),
  sum(commission_total)
FROM refersion_data.conversions GROUP BY 1, 2, 3, 4
"""
MATERIALISE = ("dagster", "asset", "materialize", "-m", "refersion_dagster.definitions", "--select", ",".join(ASSETS))
SWAP = """
import os, signal
from refersion_dagster.resources import Warehouse
with Warehouse(destination="ducklake").session() as session:
    fresh = session.build_beside("made", "numbers", "SELECT 2 AS one")
    with session.transaction():
        session.native("DROP TABLE made.numbers")
        session.native(f"ALTER TABLE made.{fresh} RENAME TO numbers")
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def warehouse(lake: LakeAddress) -> Warehouse:
    assert lake.catalogue.startswith("postgresql://")
    return Warehouse(destination="ducklake")


@pytest.fixture
def sandbox() -> Any:
    with SandboxServer(ACCOUNT) as running:
        yield running


@pytest.fixture
def numbers(warehouse: Warehouse) -> Warehouse:
    """A lake with a table of numbers."""
    with warehouse.session() as session:
        session.create_schema("made")
        session.native("CREATE TABLE made.numbers AS SELECT 1 AS one FROM range(100)")
    return warehouse


def in_lake(warehouse: Warehouse) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {row[:4]: row[4:] for row in warehouse.query(SUMS)}


class TestSetUp:
    def test_its_place_is_told_without_credentials(self, warehouse: Warehouse, postgres: PostgresDatabase) -> None:
        catalogue = f"postgresql://{HOST}:{postgres.server.port}/{postgres.name}#ducklake"
        assert warehouse.location == f"ducklake:{catalogue} with files in s3://{BUCKET}/{postgres.name}"

    def test_files_are_in_the_bucket_and_the_catalogue_is_in_the_server(
        self, numbers: Warehouse, lake: LakeAddress, postgres: PostgresDatabase
    ) -> None:
        found = numbers.query(
            "SELECT data_file FROM ducklake_list_files('refersion_lake', 'numbers', schema => 'made')"
        )
        assert [file.startswith(f"{lake.storage}/made/numbers/") for (file,) in found] == [True]
        assert postgres.query("SELECT count(*) FROM ducklake.ducklake_data_file") == [(1,)]

    def test_a_reader_changes_nothing_and_makes_nothing(self, warehouse: Warehouse) -> None:
        assert not warehouse.database.exists
        with pytest.raises(WarehouseNotSet, match=r"There is no lake at .+ yet"), warehouse.session(read_only=True):
            pytest.fail("there is none")
        assert not warehouse.database.exists
        with warehouse.session() as session:
            session.create_schema("made")
        assert warehouse.database.exists
        with warehouse.session(read_only=True) as session, pytest.raises(Exception, match="read-only mode"):
            session.native("CREATE SCHEMA other")

    @pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
    def test_the_catalogue_may_be_a_file(
        self, lake_extensions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        assert lake_extensions.is_dir()
        path = tmp_path / "deep" / f"lake.{kind}"
        monkeypatch.setenv(f"{PREFIX}CATALOG", f"{kind}:///{path}")
        monkeypatch.setenv(f"{PREFIX}STORAGE__BUCKET_URL", str(tmp_path / "files"))
        warehouse = Warehouse(destination="ducklake", lock_timeout_seconds=0)
        assert not warehouse.database.exists
        with warehouse.write_lock(pytest.fail), warehouse.session() as session:
            session.create_schema("made")
            session.native("CREATE TABLE made.numbers AS SELECT 1.25 AS one FROM range(100)")
            assert warehouse.query("SELECT sum(one) FROM made.numbers") == session.query("SELECT 125.00")
        with warehouse.session(read_only=True) as session:
            assert session.count("made", "numbers") == 100
        assert warehouse.location == f"ducklake:{path} with files in {tmp_path / 'files'}"
        assert list((tmp_path / "files").rglob("*.parquet"))

    @pytest.mark.parametrize(
        ("changes", "kind", "said"),
        [
            ({"CATALOG": None}, WarehouseNotSet, "lacks catalog"),
            ({"STORAGE__BUCKET_URL": None}, WarehouseNotSet, "lacks storage"),
            ({"CATALOG": "mysql://a:b@c/d"}, WarehouseNotSet, "cannot be mysql"),
            ({"CATALOG": f"postgresql://loader:x@{HOST}:1/lake"}, WarehouseUnreachable, "cannot be reached"),
            ({"STORAGE__CREDENTIALS__AWS_SECRET_ACCESS_KEY": "wrong"}, WarehouseForbidden, "right key"),
        ],
    )
    def test_what_is_wrong_is_told_without_secrets(
        self,
        warehouse: Warehouse,
        monkeypatch: pytest.MonkeyPatch,
        changes: dict[str, str | None],
        kind: type[WarehouseError],
        said: str,
    ) -> None:
        for name, value in changes.items():
            if value is None:
                monkeypatch.delenv(f"{PREFIX}{name}")
            else:
                monkeypatch.setenv(f"{PREFIX}{name}", value)

        def use() -> None:
            with warehouse.session() as session:
                session.create_schema("made")
                session.native("CREATE TABLE made.numbers AS SELECT 1 AS one FROM range(100)")

        with pytest.raises(kind, match=said) as caught:
            use()
        assert not [secret for secret in (PASSWORD, SECRET, "loader:x") if secret in str(caught.value)]

    def test_doctor_sees_the_lake_and_who_writes(
        self, numbers: Warehouse, sandbox: SandboxServer, tmp_path: Path, lake: LakeAddress
    ) -> None:
        environment = {**sandbox.environment(), **lake.credentials, "REFERSION_DESTINATION": "ducklake"}
        with numbers.write_lock(pytest.fail):
            checks = {one.name: one for one in examine(settle(environment, {}, tmp_path / ".env")).checks}
        assert checks["warehouse"].message == numbers.location
        assert checks["warehouse_writable"].status is Status.OK
        assert "of loader from" in checks["warehouse_lock"].message

    def test_doctor_says_of_a_lake_that_is_not_there_yet_who_makes_it(
        self, warehouse: Warehouse, sandbox: SandboxServer, tmp_path: Path, lake: LakeAddress
    ) -> None:
        environment = {**sandbox.environment(), **lake.credentials, "REFERSION_DESTINATION": "ducklake"}
        checks = {one.name: one for one in examine(settle(environment, {}, tmp_path / ".env")).checks}
        assert checks["warehouse"].message == f"{warehouse.location} will be made by the first refresh"
        assert not warehouse.database.exists

    def test_the_journal_of_actions_is_refused_as_keys_are_not_enforced(self, warehouse: Warehouse) -> None:
        assert not DuckLakeDatabase().enforces_keys
        with pytest.raises(KeysNotEnforced, match="Nothing was sent"), warehouse.session() as session:
            Journal(session).create()
        assert warehouse.row_counts(["action_journal"]) == {}


class TestActions:
    def test_with_a_journal_elsewhere_each_item_is_sent_once(
        self, warehouse: Warehouse, sandbox: SandboxServer, tmp_path: Path
    ) -> None:
        check_writing(warehouse.destination, sandbox, tmp_path)

    def test_items_are_compared_with_the_lake(
        self, warehouse: Warehouse, sandbox: SandboxServer, postgres: PostgresDatabase
    ) -> None:
        """The journal is in the database of the catalogue."""
        affiliates = ("refersion/affiliate_list", "refersion/affiliate_get")
        assert materialise(account_of(sandbox), warehouse, *ASSETS, *affiliates).success
        actions = ActionsHarness(sandbox, Path("unused"), "ducklake", postgres.url)
        with pytest.raises(InputErrors, match="affiliate_id 5: no such affiliate"):
            actions.perform(CREDIT, [credit_of(actions.affiliate(), affiliate_id=5)])
        ended = actions.launch(CREDIT, [credit_of(actions.affiliate())])
        assert ended.success, ended.failure
        assert actions.perform(CREDIT, [credit_of(actions.affiliate())]) == []
        assert actions.query(f"SELECT count(*), min(outcome) FROM refersion_data.{CREDIT}") == [(1, "done")]
        assert warehouse.query("SELECT count(*) FROM refersion_data.conversions WHERE notes LIKE '%[ref %'") == [(1,)]

    @pytest.mark.parametrize(
        ("function", "event"),
        [
            ("Journal.intend", "return"),
            ("sender.send", "return"),
            ("Journal.record_outcomes", "return"),
            ("result_tables._load", "return"),
        ],
    )
    def test_a_run_killed_there_sends_nothing_twice(
        self, warehouse: Warehouse, sandbox: SandboxServer, tmp_path: Path, function: str, event: str
    ) -> None:
        actions = ActionsHarness(sandbox, tmp_path, warehouse.destination, f"sqlite:///{tmp_path / 'journal.sqlite'}")
        credit = [credit_of(actions.affiliate())]
        killed(lambda: actions.perform(CREDIT, credit, check_warehouse=False), function, event)
        is_known = function in ("Journal.record_outcomes", "result_tables._load")
        assert actions.perform(CREDIT, credit, check_warehouse=False) == []
        assert actions.outcomes() == ["done" if is_known else "unknown"]
        assert len(actions.credits()) == (function != "Journal.intend")
        assert actions.query(f"SELECT count(*), min(outcome) FROM refersion_data.{CREDIT}") == [
            (1, actions.outcomes()[0])
        ]

    def test_two_processes_send_each_item_once(
        self, warehouse: Warehouse, sandbox: SandboxServer, tmp_path: Path
    ) -> None:
        actions = ActionsHarness(sandbox, tmp_path, warehouse.destination, f"sqlite:///{tmp_path / 'journal.sqlite'}")
        credits = [credit_of(actions.affiliate(number)) for number in range(4)]
        runs = [started(lambda: actions.perform(CREDIT, credits, check_warehouse=False)) for _ in range(2)]
        assert [ended(run) for run in runs] == [0, 0]
        assert len(actions.credits()) == 4
        assert actions.query(f"SELECT count(*), min(outcome), max(outcome) FROM refersion_data.{CREDIT}") == [
            (4, "done", "done")
        ]


class TestSeveralWriters:
    def test_of_two_changes_of_one_table_the_later_one_fails_and_the_first_one_holds(self, numbers: Warehouse) -> None:
        with numbers.session() as one, numbers.session() as other:

            def change_both() -> None:
                with one.transaction():
                    one.native("UPDATE made.numbers SET one = 2")
                    other.native("UPDATE made.numbers SET one = 3")

            with pytest.raises(ConcurrentChange, match=r"Nothing of this step was written") as lost:
                change_both()
        assert lost.value.may_pass
        assert numbers.query("SELECT DISTINCT one FROM made.numbers") == [(3,)]

    def test_two_runs_at_once_queue_up_and_every_row_is_there_once(
        self, warehouse: Warehouse, lake: LakeAddress, sandbox: SandboxServer, tmp_path: Path
    ) -> None:
        locations = [
            Location.of(tmp_path / name, sandbox).with_settings(RUNTIME__LOG_LEVEL="DEBUG", **lake.environment)
            for name in ("one", "other")
        ]
        for location in locations:
            (location.folder / "dagster" / "dagster.yaml").write_text(LOG_EVERYTHING)
        started = [location.start(*MATERIALISE) for location in locations]
        output = [process.communicate(timeout=500)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0], output
        assert sum("waiting for it" in said for said in output) == 1
        assert in_lake(warehouse) == at_the_source(sandbox)
        secrets = (PASSWORD, SECRET)
        assert not [secret for secret in secrets if any(secret in said for said in output)]
        assert files_with(tmp_path, *secrets) == []


class TestKilled:
    @pytest.mark.parametrize("snapshots", [4, 9, 17])
    def test_a_load_that_is_killed_goes_on_where_it_was(
        self,
        warehouse: Warehouse,
        lake: LakeAddress,
        postgres: PostgresDatabase,
        sandbox: SandboxServer,
        tmp_path: Path,
        snapshots: int,
    ) -> None:
        """Killed at a commit of the lake, which is between or in the statements of a load."""
        location = Location.of(tmp_path, sandbox).with_settings(
            REFERSION_ROWS_PER_LOAD=str(ROWS_PER_LOAD), **lake.environment
        )

        def reached() -> bool:
            made = "SELECT count(*) FROM pg_tables WHERE tablename = 'ducklake_snapshot'"
            if process.poll() is not None or postgres.query(made) != [(1,)]:
                return process.poll() is not None
            return postgres.query("SELECT count(*) FROM ducklake.ducklake_snapshot")[0][0] >= snapshots

        with location.start(*MATERIALISE) as process:
            assert soon(reached, seconds=300, every=0.01)
            os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL

        again = materialise(account_of(sandbox, rows_per_load=ROWS_PER_LOAD), warehouse, *ASSETS)

        assert again.success, again.failure
        assert in_lake(warehouse) == at_the_source(sandbox)
        history = "SELECT count(*), count(DISTINCT id), count(DISTINCT change) FROM refersion_data.conversion_history"
        number = sandbox.sums()["number_of_conversions"]
        assert warehouse.query(history) == [(number, number, 1)]

    def test_a_swap_that_is_killed_leaves_the_table_as_it_was_and_nobody_locked_out(
        self, numbers: Warehouse, lake: LakeAddress, tmp_path: Path
    ) -> None:
        environment = Location.of(tmp_path).environment | lake.environment
        killed = subprocess.run([sys.executable, "-c", SWAP], env=environment, check=False, timeout=120)
        assert killed.returncode == -signal.SIGKILL
        assert numbers.query("SELECT DISTINCT one FROM made.numbers") == [(1,)]
        patient = Warehouse(destination="ducklake", lock_timeout_seconds=30)
        with patient.write_lock(print), patient.session() as session:
            session.swap_in("made", "numbers", session.build_beside("made", "numbers", "SELECT 3 AS one"))
            assert session.native("SELECT one FROM made.numbers") == [(3,)]
