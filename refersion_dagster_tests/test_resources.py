"""The warehouse and the account as resources: what other parts rely on."""

import os
from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster.refersion.environment import VARIABLES
from refersion_dagster.resources import WAREHOUSE_VARIABLES, RefersionResource, Warehouse, from_environment
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.warehouse.session import UndefinedTable
from refersion_dagster_tests.location import account_of, materialise


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


class TestTemporaryFolders:
    def test_none_stays_after_a_run(self, account: SandboxServer, database: Path, temporary_folders: Path) -> None:
        outcome = materialise(account_of(account), Warehouse(duckdb_path=str(database)), "refersion/offers")
        assert outcome.success
        assert list(temporary_folders.iterdir()) == []

    def test_none_stays_after_a_run_that_failed(self, database: Path, temporary_folders: Path) -> None:
        assert not materialise(RefersionResource(), Warehouse(duckdb_path=str(database)), "refersion/offers").success
        assert list(temporary_folders.iterdir()) == []

    def test_queries_leave_none(self, database: Path, temporary_folders: Path) -> None:
        warehouse = Warehouse(duckdb_path=str(database))
        warehouse.query("SELECT 1")
        with pytest.raises(UndefinedTable):
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
