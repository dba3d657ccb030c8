"""Commands about an account of a component, found in the Dagster project of the working directory."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from refersion_dagster.cli import main
from refersion_dagster.component.accounts import UnknownAccount, find_account
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.component.accounts import project, variables
from refersion_dagster_tests.location import Location

COMPONENT = """
type: refersion_dagster.RefersionComponent

attributes:
  account: shop_eu
  summaries: [currencies]
  data_schema: eu_data
  summaries_schema: eu_summaries
  settings:
    report_timezone: Europe/Berlin
"""


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one account of YAML and one of Python. It is the working directory."""
    package = project(tmp_path, shop_eu=COMPONENT)
    (package / "python_accounts.py").write_text(
        "import dagster as dg\nfrom refersion_dagster import RefersionComponent\n\n"
        "@dg.component_instance\ndef shop_us(context: dg.ComponentLoadContext) -> RefersionComponent:\n"
        '    return RefersionComponent(account="shop_us")\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


class TestProject:
    def test_accounts_of_yaml_and_of_python_are_found(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHOP_EU_REFERSION_PUBLIC_KEY", "pub_1234567890")
        monkeypatch.setenv("REFERSION_SECRET_KEY", "sec_of_another_account")
        found = find_account("shop_eu")
        assert (found.names.account, found.settings.figures.report_timezone) == ("shop_eu", "Europe/Berlin")
        assert found.warehouse().schemas["refersion_data"] == "eu_data"
        keys = found.refersion().account().credentials
        assert (keys.public_key, keys.secret_key) == ("pub_1234567890", None)
        assert find_account("shop_us").names.account == "shop_us"

    def test_an_unknown_one_is_refused_with_those_that_exist(self, folder: Path) -> None:
        for command in ("doctor", "refresh", "statements", "mcp", "explore", "webhooks", "accept-account"):
            ended = run(command, "--account", "shop_uk")
            assert ended.exit_code == 1, command
            assert "There is no account shop_uk" in ended.output
            assert "It has shop_eu, shop_us." in ended.output
        assert logging.root.manager.disable == logging.NOTSET

    @pytest.mark.exhaustive
    def test_the_warehouse_may_be_a_resource_of_the_project(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LAKE", str(tmp_path / "lake.duckdb"))
        shop = "type: refersion_dagster.RefersionComponent\n\nattributes:\n  summaries: [currencies]\n"
        defs = project(
            tmp_path,
            shop_eu=f"{shop}  account: shop_eu\n  warehouse_resource: lake\n",
            shop_us=f"{shop}  account: shop_us\n  warehouse_resource: other\n",
        )
        (defs / "resources.py").write_text(
            "import dagster as dg\nfrom refersion_dagster.resources import Warehouse\n\n"
            "defs = dg.Definitions(resources={'lake': Warehouse(duckdb_path=dg.EnvVar('LAKE'))})\n"
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        found = find_account("shop_eu")
        assert found.warehouse().location == str(tmp_path / "lake.duckdb")
        assert "lake" in (found.build().resources or {})
        with pytest.raises(UnknownAccount, match="warehouse_resource of shop_us is other, and the definitions"):
            find_account("shop_us")

    def test_what_is_no_project_or_an_invalid_one_is_refused(
        self, folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(UnknownAccount, match=r"cannot be read: .*\n.*pyproject.toml"):
            find_account("shop_eu", tmp_path_factory.mktemp("empty"))
        (yaml,) = folder.rglob("defs.yaml")
        yaml.write_text(COMPONENT + "  color: red\n")
        ended = run("refresh", "--account", "shop_eu")
        assert ended.exit_code == 1
        assert "color" in ended.output


@pytest.mark.processes
def test_doctor_refresh_and_others_are_about_the_account(account: SandboxServer, tmp_path: Path) -> None:
    project(tmp_path, shop_eu=COMPONENT)
    # Keys of another account, which would be refused.
    other = {"REFERSION_PUBLIC_KEY": "pub_other_account", "REFERSION_SECRET_KEY": "sec_other_account"}
    location = Location.of(tmp_path).with_settings(**other, **variables("shop_eu", account, tmp_path))
    told = json.loads(location.run("refersion-dagster", "doctor", "--account", "shop_eu", "--json").output)
    assert [check for check in told["checks"] if check["status"] == "failed"] == []
    assert "SHOP_EU_REFERSION_PUBLIC_KEY" in json.dumps(told)

    broken = location.without("SHOP_EU_REFERSION_SECRET_KEY", "SHOP_EU_REFERSION_GRAPHQL_TOKEN")
    ended = broken.run("refersion-dagster", "refresh", "--account", "shop_eu")
    assert ended.code == 1
    assert "SHOP_EU_REFERSION_SECRET_KEY" in ended.output
    assert " REFERSION_SECRET_KEY" not in ended.output

    ended = location.run("refersion-dagster", "refresh", "--account", "shop_eu")
    assert ended.code == 0, ended.output
    assert "conversions" in ended.output
    assert (location.folder / "shop_eu_published" / "current").exists()
    ((rows,),) = location.with_settings(REFERSION_DUCKDB_PATH=str(tmp_path / "warehouse.duckdb")).query(
        "SELECT count(*) FROM eu_summaries.currencies"
    )
    assert rows
    told = json.loads(location.run("refersion-dagster", "doctor", "--account", "shop_eu", "--json").output)
    (tables,) = [check for check in told["checks"] if check["name"] == "tables"]
    assert tables["details"]["rows"]["conversions"] > 100

    ended = location.run("refersion-dagster", "statements", "--account", "shop_eu")
    assert ended.code == 1
    assert "There is no job shop_eu_refersion_statements" in ended.output
    ended = location.run("refersion-dagster", "actions", "list", "--account", "shop_eu")
    assert ended.code == 0, ended.output
    assert "Nothing is open" in ended.output
