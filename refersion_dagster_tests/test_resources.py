"""The warehouse and the account as resources: what other parts rely on."""

import os
from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster.resources import RefersionResource, Warehouse, resource_of
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import AccountSettings, FigureSettings, Settings, WarehouseSettings
from refersion_dagster.settings.part import SettingsPart
from refersion_dagster.summaries.settings import ReportSettings
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
    def test_only_variables_that_are_set_become_settings_and_secrets_stay_in_the_environment(self) -> None:
        given = {
            "REFERSION_SECRET_KEY": "sec_1",
            "REFERSION_REST_URL": "https://ada:hunter2@proxy.example/v2",
            "REFERSION_LOOKBACK_DAYS": "30",
            "REFERSION_START_DATE": "",
        }
        refersion = resource_of(RefersionResource, Settings.of(given), AccountSettings)
        assert refersion.api_key == dg.EnvVar("REFERSION_SECRET_KEY")
        assert refersion.rest_url == dg.EnvVar("REFERSION_REST_URL")
        private = {"api_key", "rest_url"}
        assert refersion.model_dump(exclude=private) == {
            **RefersionResource().model_dump(exclude=private),
            "lookback_days": 30,
        }
        assert "sec_1" not in repr(refersion)
        assert "hunter2" not in repr(refersion)

    @pytest.mark.parametrize(
        ("kind", "part"),
        [(RefersionResource, AccountSettings), (Warehouse, WarehouseSettings), (ReportSettings, FigureSettings)],
    )
    def test_each_field_is_a_setting_with_its_default_and_says_what_it_is(
        self, kind: type[dg.ConfigurableResource], part: type[SettingsPart]
    ) -> None:
        fields = {name: (field.default, field.description) for name, field in kind.model_fields.items()}
        assert fields == {name: (part.default(name), part.description(name)) for name in fields}
        assert part.model_fields.keys() - fields.keys() <= {"postgres_credentials", "bigquery_credentials"}

    def test_a_number_that_is_none_names_its_variable(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("REFERSION_LOOKBACK_DAYS", "many")
        refersion = resource_of(RefersionResource, Settings.of(), AccountSettings)
        with pytest.raises(Exception, match="REFERSION_LOOKBACK_DAYS"):
            materialise(refersion, Warehouse(duckdb_path=str(tmp_path / "w.duckdb")), "refersion/offers")

    def test_the_database_may_be_named_from_the_home_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert Warehouse(duckdb_path="~/data/refersion.duckdb").location == f"{tmp_path}{os.sep}data/refersion.duckdb"
