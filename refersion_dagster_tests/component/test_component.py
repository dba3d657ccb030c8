"""RefersionComponent: the definitions of an account under its own names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dlt.extract.exceptions import ResourceExtractionError
from pydantic import ValidationError

from refersion_dagster import AllAccountsComponent, RefersionComponent
from refersion_dagster.component.all_accounts import UnknownAccounts
from refersion_dagster.doctor.warehouse import check_account_identity
from refersion_dagster.ingest.webhooks.events import WebhookInbox
from refersion_dagster.refersion import LoadRequest, ReadReport
from refersion_dagster.resources import PrefixedRefersionResource, RefersionResource, RenamedWarehouse, Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import InvalidSetting, load_settings
from refersion_dagster.summaries.ownership import SummariesOfAnotherAccount, own_summaries
from refersion_dagster.warehouse.errors import WarehouseNotSet
from refersion_dagster_tests.component.accounts import definitions, keys, variables
from refersion_dagster_tests.location import Location, Outcome, fresh_instance, outcome, query
from refersion_dagster_tests.postgres import PostgresDatabase

LIABILITY = {"summaries": ["commission_liability"]}
NEEDED = {
    "affiliates",
    "commission_liability",
    "conversions",
    "currencies",
    "data_as_of",
    "payments",
    "payments_taken_back",
}


@pytest.fixture(scope="module")
def shop() -> dg.Definitions:
    return definitions("shop_eu")


class TestNames:
    def test_each_has_the_account_before_the_usual_name(self, shop: dg.Definitions) -> None:
        from refersion_dagster.definitions import defs as usual

        ours, theirs = shop.get_repository_def(), usual.get_repository_def()
        assert keys(shop) == {f"shop_eu/{key}" for key in keys(usual)}
        for names, usual_names in (
            (ours.job_names, theirs.job_names),
            ([one.name for one in ours.schedule_defs], [one.name for one in theirs.schedule_defs]),
            ([one.name for one in ours.sensor_defs], [one.name for one in theirs.sensor_defs]),
            (shop.resources or {}, usual.resources or {}),
        ):
            assert set(names) - {"__ASSET_JOB"} == {f"shop_eu_{name}" for name in usual_names if name[0] != "_"}
        steps = [node.name for job in ours.get_all_jobs() for node in job.nodes]
        assert [step for step in steps if not step.startswith("shop_eu")] == []

    def test_groups_and_keys_can_be_others(self) -> None:
        defs = definitions("shop_us", asset_key_prefix=["sales", "us"], group="partners", **LIABILITY)
        assert {spec.group_name for spec in defs.resolve_all_asset_specs()} == {"partners"}
        assert {key.split("/")[:2] == ["sales", "us"] for key in keys(defs)} == {True}

    def test_there_is_no_executor(self, shop: dg.Definitions) -> None:
        assert shop.executor is None
        assert shop.resolve_job_def("shop_eu_refersion_refresh").executor_def is dg.in_process_executor

    def test_importing_the_package_imports_no_dagster(self, tmp_path: Path) -> None:
        code = "import sys, refersion_dagster as us; print('dagster' in sys.modules, 'RefersionComponent' in dir(us))"
        assert Location.of(tmp_path).run("python", "-c", code).output.strip() == "False True"


class TestSelection:
    def test_what_summaries_read_comes_along_and_what_reads_others_does_not(self) -> None:
        defs = definitions("shop_eu", schedules=False, **LIABILITY)
        found = {key.removeprefix("shop_eu/summaries/") for key in keys(defs) if "/summaries/" in key}
        assert found == NEEDED
        assert {key for key in keys(defs) if "/report/" in key} == set()
        checked = {key.asset_key.path[-1] for key in defs.resolve_asset_graph().asset_check_keys}
        assert checked >= NEEDED
        assert checked & {"control_totals", "commission_roll_forward"} == set()
        assert not defs.schedules
        assert not defs.sensors
        assert "shop_eu_refersion_statements" not in defs.get_repository_def().job_names


class TestFields:
    @pytest.mark.parametrize(
        ("attributes", "said"),
        [
            ({"account": "Shop EU"}, "account is 'Shop EU', but has to be lower-case words"),
            ({"account": "a", "environment_prefix": "eu"}, "environment_prefix is 'eu', but has to be capitals"),
            ({"account": "a", "summaries": ["sales"]}, "summaries: There is no summary sales. There are "),
            ({"account": "a", "settings": {"start_date": "soon"}}, "settings: REFERSION_START_DATE is 'soon'"),
            ({"account": "a", "settings": {"api_key": "sec_1"}}, "settings has api_key, which cannot be set here"),
            ({"account": "a", "settings": {"allow_writes": "true"}}, "settings has allow_writes, which cannot be set"),
            ({"account": "a", "data_schema": "EU data"}, "data_schema is 'EU data', but has to be lower-case words"),
            ({"account": "a", "data_schema": "eu"}, "set both data_schema and summaries_schema"),
            ({"account": "a", "data_schema": "eu_staging"}, "names that end with _staging are used by loads"),
            ({"account": "a", "color": "red"}, "color"),
        ],
    )
    def test_errors_name_the_field(self, attributes: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError) as raised:
            RefersionComponent(**attributes)
        assert said in str(raised.value)

    def test_each_is_described(self) -> None:
        assert [name for name, field in RefersionComponent.model_fields.items() if not field.description] == []


class TestSettings:
    def test_the_environment_comes_before_the_component(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHOP_EU_REFERSION_LOOKBACK_DAYS", "7")
        monkeypatch.setenv("REFERSION_REPORT_TIMEZONE", "Asia/Tokyo")
        own = {"lookback_days": 9, "start_date": "2025-01-01", "duckdb_path": "eu.duckdb"}
        settings = RefersionComponent(account="shop_eu", settings=own).load_settings()
        assert (settings.account.lookback_days, settings.account.start_date) == (7, "2025-01-01")
        assert settings.warehouse.duckdb_path == "eu.duckdb"
        # The variables of another account do not count.
        assert settings.figures.report_timezone == "UTC"
        assert settings.outputs.report_path == "shop_eu_refersion_reports"

    def test_errors_name_the_prefixed_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EU_REFERSION_LATE_HOURS", "soon")
        settings = RefersionComponent(account="shop", environment_prefix="EU_").load_settings()
        assert (settings.problem() or "").startswith("EU_REFERSION_LATE_HOURS ")

    @pytest.mark.parametrize(
        ("own", "usual", "allowed"),
        [("true", None, True), (None, "true", False), ("true", "false", False), ("true", "true", True)],
    )
    def test_writes_are_allowed_by_the_accounts_variable_unless_the_usual_one_forbids_them(
        self, monkeypatch: pytest.MonkeyPatch, own: str | None, usual: str | None, allowed: bool
    ) -> None:
        for name, value in (("SHOP_EU_REFERSION_ALLOW_WRITES", own), ("REFERSION_ALLOW_WRITES", usual)):
            if value is not None:
                monkeypatch.setenv(name, value)
        assert RefersionComponent(account="shop_eu").load_settings().actions.allow_writes is allowed

    def test_keys_of_dlts_configuration_are_not_an_accounts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """They would load another account's rows."""
        monkeypatch.setenv("SOURCES__REFERSION_SOURCE__API_KEY", "pub_other.sec_other")
        usual, own = RefersionResource(), PrefixedRefersionResource()
        assert usual.account().credentials.has_rest
        assert not own.account().credentials.has_rest
        source = own.source(ReadReport(), LoadRequest())
        with pytest.raises(ResourceExtractionError, match="REFERSION_SECRET_KEY"):
            list(source.with_resources("affiliate_list"))
        made = definitions("shop_eu", **LIABILITY).resources or {}
        assert isinstance(made["shop_eu_refersion"], PrefixedRefersionResource)


FOREIGN = """
import dagster as dg
from refersion_dagster import AllAccountsComponent, RefersionComponent

class Foreign(dg.ConfigurableResource):
    number: int

@dg.asset
def foreign(warehouse: Foreign, settings: Foreign, dlt: Foreign) -> int:
    return warehouse.number + settings.number + dlt.number

@dg.op
def nothing() -> None: ...

@dg.job
def refersion_refresh() -> None:
    nothing()

@dg.job
def refersion_backfill() -> None:
    nothing()

defs = dg.Definitions.merge(
    dg.Definitions(
        assets=[foreign],
        jobs=[refersion_refresh, refersion_backfill],
        resources={"warehouse": Foreign(number=1), "settings": Foreign(number=2), "dlt": Foreign(number=3)},
        executor=dg.multiprocess_executor,
    ),
    RefersionComponent(account="shop_eu", summaries=["affiliates"]).build_defs(
        dg.ComponentTree.for_test().load_context
    ),
)
"""


class TestForeignCodeLocation:
    @pytest.mark.processes
    def test_resources_jobs_and_executor_of_others_stay_and_all_materialises(
        self, account: SandboxServer, tmp_path: Path
    ) -> None:
        """Each step in a process of its own, as the other project's executor has it."""
        (tmp_path / "merged.py").write_text(FOREIGN)
        location = Location.of(tmp_path).with_settings(**variables("shop_eu", account, tmp_path))
        valid = location.run("dagster", "definitions", "validate", "-f", "merged.py")
        assert valid.code == 0, valid.output
        ours = (
            *(f"refersion/{name}" for name in ("affiliate_list", "affiliate_get", "affiliates")),
            "summaries/affiliates",
        )
        wanted = ("foreign", *(f"shop_eu/{key}" for key in ours))
        ended = location.run("dagster", "asset", "materialize", "-f", "merged.py", "--select", ",".join(wanted))
        assert ended.code == 0, ended.output
        assert "multiprocess" in ended.output.lower()
        ((rows,),) = location.query("SELECT count(*) FROM refersion_summaries.affiliates")
        assert rows
        ended = location.run("dagster", "job", "execute", "-f", "merged.py", "-j", "refersion_refresh")
        assert ended.code == 0, ended.output


class TestTwoAccounts:
    @pytest.mark.exhaustive
    def test_fit_in_one_file_and_one_fails_while_the_other_succeeds(
        self, account: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("shop_eu", "shop_us", "shop_uk"):
            for variable, value in variables(name, account, tmp_path).items():
                monkeypatch.setenv(variable, value)
        with SandboxServer(replace(account.settings, seed=account.settings.seed + 1)) as other:
            for variable, value in variables("shop_us", other, tmp_path).items():
                monkeypatch.setenv(variable, value)
            monkeypatch.delenv("SHOP_UK_REFERSION_SECRET_KEY")
            monkeypatch.delenv("SHOP_UK_REFERSION_GRAPHQL_TOKEN")
            components = [
                RefersionComponent(
                    account=name,
                    summaries=["currencies"],
                    data_schema=f"{name}_data",
                    summaries_schema=f"{name}_summaries",
                )
                for name in ("shop_eu", "shop_us", "shop_uk")
            ]
            union = AllAccountsComponent(publish_path=str(tmp_path / "united")).unite(components)
            loaded = dg.ComponentTree.for_test().load_context
            defs = dg.Definitions.merge(union, *(one.build_defs(loaded) for one in components))
            ended = {}
            with fresh_instance() as instance:
                for name in ("shop_uk", "shop_eu", "shop_us"):
                    job = defs.resolve_job_def(f"{name}_refersion_refresh")
                    run = job.execute_in_process(instance=instance, raise_on_error=False)
                    ended[name] = outcome(instance, run.run_id)
                run = defs.resolve_implicit_global_asset_job_def().execute_in_process(
                    instance=instance,
                    asset_selection=[dg.AssetKey(["all_accounts", "published", "summaries"])],
                    raise_on_error=False,
                )
                united = outcome(instance, run.run_id)
        assert not ended["shop_uk"].success
        assert "SHOP_UK_REFERSION_GRAPHQL_TOKEN" in ended["shop_uk"].failure
        assert " REFERSION_GRAPHQL_TOKEN" not in ended["shop_uk"].failure
        # The account that failed is in the union, too, with the reason.
        assert united.success, united.failure
        union = tmp_path / "united" / "current" / "refersion.duckdb"
        ((reason,),) = query(union, "SELECT reason FROM all_accounts.accounts WHERE account = 'shop_uk'")
        assert "nothing is published" in reason
        database = tmp_path / "warehouse.duckdb"
        for name, sandbox in (("shop_eu", account), ("shop_us", other)):
            assert ended[name].success, ended[name].failure
            assert {key.split("/")[0] for key in ended[name].metadata} == {name}
            assert (tmp_path / f"{name}_published" / "current").exists()
            ids = {id for (id,) in query(database, f"SELECT id FROM {name}_data.conversions")}
            assert len(ids) > 100
            assert ids <= set(map(str, sandbox.account.conversions))
            ((counted,),) = query(database, f"SELECT sum(conversions) FROM {name}_summaries.currencies")
            assert counted
            in_union = f"SELECT sum(conversions) FROM all_accounts.currencies WHERE account = '{name}'"
            assert query(union, in_union) == [(counted,)]
            assert query(union, f"SELECT reason FROM all_accounts.accounts WHERE account = '{name}'") == [(None,)]
        schemas = query(database, "SELECT DISTINCT schema_name FROM duckdb_tables()")
        assert {name for (name,) in schemas if "staging" not in name} == {
            f"{name}_{kind}" for name in ("shop_eu", "shop_us") for kind in ("data", "summaries")
        }

    @pytest.mark.exhaustive
    def test_fit_in_one_postgres_database_and_write_at_the_same_time(
        self, account: SandboxServer, postgres: PostgresDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = ("shop_eu", "shop_us")
        with SandboxServer(replace(account.settings, seed=account.settings.seed + 1)) as other:
            sandboxes = dict(zip(names, (account, other), strict=True))
            for name, sandbox in sandboxes.items():
                own = {
                    f"{name.upper()}_REFERSION_DESTINATION": "postgres",
                    f"{name.upper()}_REFERSION_LOCK_TIMEOUT_SECONDS": "0",
                }
                for variable, value in (variables(name, sandbox, tmp_path) | own).items():
                    monkeypatch.setenv(variable, value)
            schemas: dict[str, Any] = {
                name: {"data_schema": f"{name}_data", "summaries_schema": f"{name}_summaries"} for name in names
            }
            defs = dg.Definitions.merge(
                *(definitions(name, summaries=["currencies"], **schemas[name]) for name in names)
            )
            eu = RenamedWarehouse(destination="postgres", lock_timeout_seconds=0, **schemas["shop_eu"])
            with fresh_instance() as instance:

                def refresh(name: str) -> Outcome:
                    job = defs.resolve_job_def(f"{name}_refersion_refresh")
                    return outcome(instance, job.execute_in_process(instance=instance, raise_on_error=False).run_id)

                # While one account writes, only its own further runs are refused.
                with eu.write_lock(print), eu.session() as session:
                    assert "refersion_dagster" in eu.database.write_access(session).writer
                    us = refresh("shop_us")
                    assert us.success, us.failure
                    refused = refresh("shop_eu")
                assert not refused.success
                assert "Another run" in refused.failure
                ended = refresh("shop_eu")
                assert ended.success, ended.failure
        for name, sandbox in sandboxes.items():
            ids = {id for (id,) in postgres.query(f"SELECT id FROM {name}_data.conversions")}
            assert len(ids) > 100
            assert ids <= set(map(str, sandbox.account.conversions))
            ((counted,),) = postgres.query(f"SELECT sum(conversions) FROM {name}_summaries.currencies")
            assert counted
        found = postgres.query(
            "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        assert {name for (name,) in found if "staging" not in name} == {
            f"{name}_{kind}" for name in names for kind in ("data", "summaries")
        }

    @pytest.mark.exhaustive
    def test_of_whom_one_has_summaries_in_the_schema_of_the_other_is_refused(
        self, account: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = tmp_path / "warehouse.duckdb"
        ended, built = {}, {}
        with SandboxServer(replace(account.settings, seed=account.settings.seed + 1)) as other:
            for name, sandbox in (("shop_eu", account), ("shop_us", other)):
                for variable, value in variables(name, sandbox, tmp_path).items():
                    monkeypatch.setenv(variable, value)
                defs = definitions(name, summaries=["currencies"], data_schema=f"{name}_data", summaries_schema="sums")
                with fresh_instance() as instance:
                    job = defs.resolve_job_def(f"{name}_refersion_refresh")
                    run = job.execute_in_process(instance=instance, raise_on_error=False)
                    ended[name] = outcome(instance, run.run_id)
                built[name] = query(database, "SELECT * FROM sums.currencies ORDER BY ALL")
            us = RenamedWarehouse(duckdb_path=str(database), data_schema="shop_us_data", summaries_schema="sums")
            keys_of_us = PrefixedRefersionResource.of(load_settings("SHOP_US_").account)
            (found,) = check_account_identity(keys_of_us.account(), us)
        assert ended["shop_eu"].success, ended["shop_eu"].failure
        assert not ended["shop_us"].success
        assert "The schema sums has the summaries of another account" in ended["shop_us"].failure
        # Its raw tables are loaded; the summaries of the first are as they were.
        assert query(database, "SELECT count(*) > 100 FROM shop_us_data.conversions") == [(True,)]
        assert built["shop_us"] == built["shop_eu"]
        assert (found.status, "built from the schema shop_eu_data" in found.message) == ("failed", True)

    @pytest.mark.parametrize("destination", ["duckdb", pytest.param("postgres", marks=pytest.mark.exhaustive)])
    def test_the_schema_of_the_summaries_belongs_to_the_first(
        self, destination: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        if destination == "postgres":
            request.getfixturevalue("postgres")

        def build_as(data_schema: str) -> None:
            warehouse = RenamedWarehouse(
                destination=destination,
                duckdb_path=str(tmp_path / "warehouse.duckdb"),
                data_schema=data_schema,
                summaries_schema="sums",
            )
            with warehouse.session() as session:
                own_summaries(session, warehouse.schemas)

        build_as("shop_eu_data")
        build_as("shop_eu_data")
        with pytest.raises(SummariesOfAnotherAccount, match=r"built from the schema shop_eu_data, .*sums\._built_from"):
            build_as("shop_us_data")
        build_as("shop_eu_data")

    def test_schemas_are_refused_where_they_were_never_tried(self) -> None:
        component = RefersionComponent(
            account="eu", data_schema="eu", summaries_schema="eu_summaries", settings={"destination": "bigquery"}
        )
        with pytest.raises(InvalidSetting, match="only for DuckDB and PostgreSQL so far, and its destination is bigq"):
            component.load_settings()
        warehouse = RenamedWarehouse(destination="bigquery", data_schema="eu", summaries_schema="eu_summaries")
        with pytest.raises(WarehouseNotSet, match="never tried in bigquery"):
            print(warehouse.database)


class TestAllAccounts:
    @pytest.mark.parametrize(
        ("accounts", "name", "said"),
        [
            (["shop_uk"], "all_accounts", "has shop_uk, which does not exist. The project has shop_eu, shop_us."),
            (None, "shop_eu", "name is shop_eu, which is an account of the project"),
        ],
    )
    def test_accounts_that_do_not_exist_are_refused(self, accounts: list[str] | None, name: str, said: str) -> None:
        there = [RefersionComponent(account=account) for account in ("shop_us", "shop_eu")]
        with pytest.raises(UnknownAccounts, match=re.escape(said)):
            AllAccountsComponent(name=name, accounts=accounts).select_accounts(there)
        assert [one.account for one in AllAccountsComponent().select_accounts(there)] == ["shop_eu", "shop_us"]

    def test_it_follows_the_copies_of_each_account_under_its_own_names(self) -> None:
        there = [RefersionComponent(account=account) for account in ("shop_eu", "shop_us")]
        defs = AllAccountsComponent(name="both").unite(there)
        (spec,) = [spec for spec in defs.resolve_all_asset_specs() if spec.key.path[0] == "both"]
        assert spec.key.to_user_string() == "both/published/summaries"
        assert {dep.asset_key.to_user_string() for dep in spec.deps} == {
            f"{account}/published/summaries" for account in ("shop_eu", "shop_us")
        }
        assert AllAccountsComponent(name="both", schedules=False).unite(there).sensors == []


class TestWarehouseOfAnotherProject:
    @pytest.mark.exhaustive
    def test_the_account_uses_it_as_others_of_the_project_do(
        self, account: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for variable, value in variables("shop_eu", account, tmp_path).items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("SHOP_EU_REFERSION_DUCKDB_PATH", str(tmp_path / "not_used.duckdb"))
        own = definitions("shop_eu", warehouse_resource="lake", summaries=["currencies"])
        assert not {"lake", "shop_eu_warehouse", "warehouse"} & (own.resources or {}).keys()

        @dg.asset(deps=[dg.AssetKey(["shop_eu", "summaries", "currencies"])])
        def sales(lake: Warehouse) -> dg.MaterializeResult:
            ((counted,),) = lake.query("SELECT sum(conversions) FROM refersion_summaries.currencies")
            return dg.MaterializeResult(metadata={"conversions": int(counted)})

        def refresh(lake: dg.ConfigurableResource) -> Outcome:
            foreign = dg.Definitions(assets=[sales], resources={"lake": lake})
            defs = dg.Definitions.merge(foreign, own)
            with fresh_instance() as instance:
                wanted = dg.AssetSelection.assets("sales").upstream()
                job = dg.define_asset_job("both", wanted, executor_def=dg.in_process_executor)
                resolved = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("both")
                return outcome(instance, resolved.execute_in_process(instance=instance, raise_on_error=False).run_id)

        done = refresh(Warehouse(duckdb_path=str(tmp_path / "lake.duckdb")))
        assert done.success, done.failure
        assert done.metadata["sales"]["conversions"] > 100
        assert not (tmp_path / "not_used.duckdb").exists()
        refused = refresh(WebhookInbox(path=str(tmp_path / "inbox.sqlite")))
        assert "The resource lake is a WebhookInbox, but has to be a refersion_dagster.resources.Warehouse" in (
            refused.failure
        )
        renamed = RenamedWarehouse(
            duckdb_path=str(tmp_path / "other.duckdb"), data_schema="eu", summaries_schema="eu_summaries"
        )
        assert "The resource lake has the schemas eu and eu_summaries, but" in refresh(renamed).failure

    def test_settings_of_another_warehouse_are_refused(self) -> None:
        with pytest.raises(ValidationError, match="settings has duckdb_path, which warehouse_resource replaces"):
            RefersionComponent(account="eu", warehouse_resource="lake", settings={"duckdb_path": "eu.duckdb"})
