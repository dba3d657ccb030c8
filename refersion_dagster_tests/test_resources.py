"""The warehouse and the account as resources: what other parts rely on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation

from refersion_dagster.refersion.environment import VARIABLES
from refersion_dagster.resources import (
    WAREHOUSE_VARIABLES,
    RefersionResource,
    Warehouse,
    WarehouseBusy,
    from_environment,
)
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import account_of, materialise, query

HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


class Other:
    """Another process that uses the warehouse until it is told to stop."""

    def __init__(self, script: str, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "held\n"

    def stop(self) -> None:
        self.process.communicate(timeout=30)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def warehouse(database: Path) -> Warehouse:
    return Warehouse(duckdb_path=str(database))


@pytest.fixture
def others() -> Iterator[list[Other]]:
    running: list[Other] = []
    yield running
    for other in running:
        other.stop()


class TestOneWriter:
    def test_a_run_that_waits_in_vain_says_for_whom_and_writes_nothing(
        self, database: Path, others: list[Other]
    ) -> None:
        others.append(Other(HOLD, Path(f"{database}.lock")))
        said: list[str] = []
        with (
            pytest.raises(WarehouseBusy, match=r"Another run still holds .+warehouse\.duckdb\.lock after 0 s"),
            Warehouse(duckdb_path=str(database), lock_timeout_seconds=0).writing(said.append),
        ):
            pytest.fail("two writers at once")
        assert said == [f"Another run is writing to {database}; waiting for it, 0 s at most."]
        assert not database.exists()

    def test_a_run_goes_on_as_soon_as_the_other_one_ends(self, database: Path) -> None:
        other = Other(HOLD, Path(f"{database}.lock"))

        def told(_message: str) -> None:
            other.stop()

        with Warehouse(duckdb_path=str(database), lock_timeout_seconds=30).writing(told):
            assert other.process.returncode == 0

    def test_the_lock_is_free_after_a_run_that_failed(self, warehouse: Warehouse) -> None:
        with pytest.raises(ZeroDivisionError), warehouse.writing(lambda _: None):
            raise ZeroDivisionError
        with warehouse.writing(pytest.fail):
            pass

    def test_a_busy_warehouse_fails_the_run_with_the_same_words(self, database: Path, others: list[Other]) -> None:
        others.append(Other(HOLD, Path(f"{database}.lock")))
        busy = Warehouse(duckdb_path=str(database), lock_timeout_seconds=0)
        outcome = materialise(RefersionResource(), busy, "refersion/offers", "summaries/commission_by_affiliate")
        assert not outcome.success
        assert "Another run still holds" in outcome.failure

    def test_the_folder_of_the_database_is_made(self, tmp_path: Path) -> None:
        deep = Warehouse(duckdb_path=str(tmp_path / "a" / "b" / "warehouse.duckdb"))
        with deep.writing(pytest.fail):
            assert deep.query("SELECT 1") == [(1,)]


class TestReplaceTable:
    def test_makes_schema_and_table_and_counts_its_rows(self, warehouse: Warehouse, database: Path) -> None:
        assert warehouse.replace_table("made", "numbers", "SELECT unnest([1, 2, 3]) AS number") == 3
        assert query(database, "SELECT number FROM made.numbers ORDER BY number") == [(1,), (2,), (3,)]

    def test_takes_the_place_of_the_table_there_was(self, warehouse: Warehouse, database: Path) -> None:
        warehouse.replace_table("made", "numbers", "SELECT 1 AS number")
        assert warehouse.replace_table("made", "numbers", "SELECT 'two' AS word WHERE FALSE") == 0
        assert query(database, "SELECT * FROM made.numbers") == []
        assert warehouse.columns("made", "numbers") == [("word", "varchar")]

    def test_leaves_nothing_else_behind(self, warehouse: Warehouse, database: Path) -> None:
        for _ in range(2):
            warehouse.replace_table("made", "numbers", "SELECT 1 AS number")
        assert query(database, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'made'") == [("numbers",)]

    @pytest.mark.parametrize(
        "select",
        ["SELECT 1 / 'none' AS number", "SELECT number FROM made.nowhere", "SELECT error('half way') AS number"],
    )
    def test_a_select_that_fails_leaves_the_table_as_it_was(
        self, warehouse: Warehouse, database: Path, select: str
    ) -> None:
        warehouse.replace_table("made", "numbers", "SELECT 1 AS number")
        with pytest.raises((DatabaseException, DatabaseUndefinedRelation)):
            warehouse.replace_table("made", "numbers", select)
        assert query(database, "SELECT number FROM made.numbers") == [(1,)]
        assert warehouse.replace_table("made", "numbers", "SELECT 2 AS number") == 1

    def test_a_swap_that_fails_leaves_the_table_as_it_was(self, warehouse: Warehouse, database: Path) -> None:
        """The old table goes and the new one comes in one transaction: here a view holds the name."""
        warehouse.replace_table("made", "numbers", "SELECT 1 AS number")
        with duckdb.connect(str(database)) as connection:
            connection.execute("ALTER TABLE made.numbers RENAME TO kept")
            connection.execute("CREATE VIEW made.numbers AS SELECT * FROM made.kept")
        with pytest.raises(DatabaseException):
            warehouse.replace_table("made", "numbers", "SELECT 2 AS number")
        assert query(database, "SELECT number FROM made.numbers") == [(1,)]

    def test_percent_signs_and_questions_in_a_select_are_its_own(self, warehouse: Warehouse, database: Path) -> None:
        warehouse.replace_table("made", "words", "SELECT '100 % ?' AS word WHERE '100 %' LIKE '100%'")
        assert query(database, "SELECT word FROM made.words") == [("100 % ?",)]


class TestReading:
    def test_rows_come_as_python_values_money_as_decimal(self, warehouse: Warehouse) -> None:
        (row,) = warehouse.query("SELECT CAST(%s AS DECIMAL(18, 4)), %s", "12.3400", "text")
        assert row == (Decimal("12.3400"), "text")
        assert isinstance(row[0], Decimal)

    def test_counts_leave_out_tables_that_are_not_there(self, warehouse: Warehouse) -> None:
        warehouse.replace_table("refersion_data", "offers", "SELECT 1 AS id")
        assert warehouse.row_counts(["offers", "payments"]) == {"offers": 1}

    def test_columns_come_in_their_order(self, warehouse: Warehouse) -> None:
        warehouse.replace_table("made", "wide", "SELECT 1 AS b, CAST(2 AS DECIMAL(18, 4)) AS a")
        assert warehouse.columns("made", "wide") == [("b", "integer"), ("a", "decimal(18,4)")]

    def test_a_table_that_does_not_exist_is_an_error(self, warehouse: Warehouse) -> None:
        with pytest.raises(DatabaseUndefinedRelation):
            warehouse.query("SELECT * FROM nowhere")


class TestTemporaryFolders:
    def test_none_stays_after_a_run(self, account: SandboxServer, database: Path, temporary_folders: Path) -> None:
        outcome = materialise(account_of(account), Warehouse(duckdb_path=str(database)), "refersion/offers")
        assert outcome.success
        assert list(temporary_folders.iterdir()) == []

    def test_none_stays_after_a_run_that_failed(self, database: Path, temporary_folders: Path) -> None:
        assert not materialise(RefersionResource(), Warehouse(duckdb_path=str(database)), "refersion/offers").success
        assert list(temporary_folders.iterdir()) == []

    def test_queries_leave_none(self, warehouse: Warehouse, temporary_folders: Path) -> None:
        warehouse.query("SELECT 1")
        warehouse.replace_table("made", "numbers", "SELECT 1 AS number")
        with pytest.raises(DatabaseUndefinedRelation):
            warehouse.query("SELECT * FROM nowhere")
        assert list(temporary_folders.iterdir()) == []


class TestSettings:
    def test_only_variables_that_are_set_become_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("REFERSION_SECRET_KEY", "sec_1")
        monkeypatch.setenv("REFERSION_LOOKBACK_DAYS", "30")
        monkeypatch.setenv("REFERSION_START_DATE", "")
        found = from_environment(VARIABLES)
        assert found == {
            "api_key": dg.EnvVar("REFERSION_SECRET_KEY"),
            "lookback_days": dg.EnvVar.int("REFERSION_LOOKBACK_DAYS"),
        }
        assert "sec_1" not in repr(found)

    def test_each_variable_is_a_field_of_its_resource(self) -> None:
        assert VARIABLES.keys() <= RefersionResource.model_fields.keys()
        assert WAREHOUSE_VARIABLES.keys() <= Warehouse.model_fields.keys()

    def test_each_field_can_be_set_by_a_variable_and_says_what_it_is(self) -> None:
        assert set(RefersionResource.model_fields) == set(VARIABLES)
        fields = {**RefersionResource.model_fields, **Warehouse.model_fields}
        assert [name for name, field in fields.items() if not field.description] == []

    def test_a_number_that_is_none_names_its_variable(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("REFERSION_LOOKBACK_DAYS", "many")
        refersion = RefersionResource(**from_environment(VARIABLES))
        with pytest.raises(Exception, match="REFERSION_LOOKBACK_DAYS"):
            materialise(refersion, Warehouse(duckdb_path=str(tmp_path / "w.duckdb")), "refersion/offers")

    def test_the_database_may_be_named_from_the_home_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert Warehouse(duckdb_path="~/data/refersion.duckdb").location == f"{tmp_path}{os.sep}data/refersion.duckdb"
