"""The code location as Dagster and its users see it."""

import re
import shutil
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster.code_location import build_definitions
from refersion_dagster.definitions import defs
from refersion_dagster.resources import POOL
from refersion_dagster.settings import Settings
from refersion_dagster_tests.location import KEYS, REPOSITORY, TABLES, Location

pytestmark = pytest.mark.processes

SPECS = {
    spec.key.to_user_string(): spec
    for spec in sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key.to_user_string())
    if spec.key.path[0] != "actions"  # see actions/test_never_by_itself.py
}
HISTORY = "refersion/conversion_history"
READINGS = "refersion/conversion_readings"
SCHEMAS, CHANGES = "refersion/graphql_schemas", "refersion/schema_changes"
WEBHOOKS = "refersion/webhook_events"
SUMMARY = "summaries/commission_by_affiliate"
PUBLISHED = "published/summaries"
REPORT, STATEMENTS = "report/commissions", "report/statements"
# Files, not tables.
FILES = {PUBLISHED, REPORT, STATEMENTS}
# Names that dashboards rely on.
SUMMARIES = {
    "core": ("affiliates", "conversions", "currencies", "data_as_of", "payments"),
    "sales": (
        "affiliate_activity",
        "affiliate_activity_rates",
        "affiliate_cohorts",
        "affiliate_trends",
        "channel_cost",
        "channel_cost_total",
        "commission_by_affiliate",
        "commission_by_coupon",
        "commission_by_offer",
        "commission_concentration",
        "commission_daily",
        "commission_monthly",
    ),
    "owed": (
        "approval_rates",
        "clawbacks",
        "commission_liability",
        "commission_roll_forward",
        "conversion_states",
        "due_bounds",
        "due_periods",
        "payment_proof",
        "payments_taken_back",
        "payout_lag",
        "payout_preview",
        "reversals",
    ),
    "review": ("auto_approval_watch", "conversion_exceptions", "coupon_leaks", "order_bursts", "self_referrals"),
    "proof": ("control_totals", "proof_coverage"),
}
GROUP_OF = {f"summaries/{name}": group for group, names in SUMMARIES.items() for name in names}


def schema(key: str) -> dg.TableSchema:
    found = SPECS[key].metadata["dagster/column_schema"]
    return found.value if isinstance(found, dg.TableSchemaMetadataValue) else found


class TestAssets:
    def test_there_is_one_for_each_raw_table_and_summary(self) -> None:
        assert set(SPECS) == {
            *(f"refersion/{table}" for table in TABLES),
            HISTORY,
            READINGS,
            SCHEMAS,
            CHANGES,
            WEBHOOKS,
            *GROUP_OF,
            *FILES,
        }

    def test_each_names_its_kinds_its_group_and_its_table(self) -> None:
        told = {
            key: (
                sorted(spec.kinds),
                spec.group_name,
                spec.metadata["dagster/table_name"],
                spec.metadata["primary_key"],
            )
            for key, spec in SPECS.items()
            if key not in GROUP_OF and key not in FILES
        }
        assert told == {
            "refersion/affiliate_list": (["dlt", "rest"], "refersion", "refersion_data.affiliate_list", "id"),
            "refersion/affiliate_get": (["dlt", "rest"], "refersion", "refersion_data.affiliate_get", "id"),
            "refersion/conversion_totals": (
                ["dlt", "rest"],
                "refersion",
                "refersion_data.conversion_totals",
                "granularity, period_from, status, payment_status, currency",
            ),
            "refersion/affiliates": (["dlt", "graphql"], "refersion", "refersion_data.affiliates", "id"),
            "refersion/conversions": (["dlt", "graphql"], "refersion", "refersion_data.conversions", "id"),
            "refersion/payments": (["dlt", "graphql"], "refersion", "refersion_data.payments", "id"),
            "refersion/offers": (["dlt", "graphql"], "refersion", "refersion_data.offers", "id"),
            "refersion/clicks": (["dlt", "graphql"], "refersion", "refersion_data.clicks", "click_key"),
            HISTORY: (["sql"], "refersion", "refersion_data.conversion_history", "id, seen_at"),
            READINGS: (
                ["sql"],
                "refersion",
                "refersion_data.conversion_readings",
                "read_at, read_from, proven_by, currency",
            ),
            SCHEMAS: (["sql"], "refersion", "refersion_data.graphql_schemas", "seen_at"),
            CHANGES: (["sql"], "refersion", "refersion_data.schema_changes", "seen_at, element"),
            WEBHOOKS: (["dlt", "webhook"], "webhooks", "refersion_data.webhook_events", "event_id"),
        }

    @pytest.mark.parametrize("key", GROUP_OF)
    def test_each_summary_is_in_the_group_of_what_it_is_about(self, key: str) -> None:
        spec = SPECS[key]
        assert (sorted(spec.kinds), spec.group_name) == (["sql"], GROUP_OF[key])
        assert spec.metadata["dagster/table_name"] == f"refersion_summaries.{key.partition('/')[2]}"

    @pytest.mark.parametrize("key", SPECS)
    def test_each_is_watched_for_freshness_but_what_has_no_rhythm(self, key: str) -> None:
        assert (SPECS[key].freshness_policy is None) == (key in (WEBHOOKS, STATEMENTS))

    @pytest.mark.parametrize(("value", "hours"), [("7", 7), ("", 30), ("soon", 30)])
    def test_a_table_is_fresh_for_as_long_as_no_alert_is_sent(self, value: str, hours: int) -> None:
        """A value that is wrong is reported by the alerts."""
        location = build_definitions(Settings.of({"REFERSION_LATE_HOURS": value}))
        expected = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=hours))
        found = {
            spec.freshness_policy for spec in location.resolve_all_asset_specs() if spec.key.path[0] == "refersion"
        }
        assert found == {expected, None}  # None: webhooks have no rhythm

    @pytest.mark.parametrize("key", SPECS)
    def test_summaries_and_copies_follow_their_parents(self, key: str) -> None:
        assert (SPECS[key].automation_condition is None) == (key.startswith("refersion/") or key == STATEMENTS)

    def test_dependencies_are_those_that_the_data_has(self) -> None:
        deps = {key: {dep.asset_key.to_user_string() for dep in spec.deps} for key, spec in SPECS.items()}
        assert {key: found for key, found in deps.items() if found and key.startswith("refersion/")} == {
            "refersion/affiliate_get": {"refersion/affiliate_list"},
            HISTORY: {"refersion/conversions"},
            READINGS: {"refersion/conversions"},
        }
        assert deps["summaries/affiliates"] == {f"refersion/affiliate{one}" for one in ("s", "_list", "_get")}
        assert deps[SUMMARY] == {"refersion/clicks", "summaries/affiliates", "summaries/conversions"}
        assert deps[PUBLISHED] == set(GROUP_OF)

    @pytest.mark.parametrize("key", SPECS)
    def test_each_has_an_owner_and_says_what_a_row_is(self, key: str) -> None:
        assert SPECS[key].owners == ["team:data"]
        assert len(SPECS[key].description or "") > 60

    @pytest.mark.parametrize("key", sorted(SPECS.keys() - FILES))
    def test_each_column_has_a_description(self, key: str) -> None:
        columns = schema(key).columns
        assert columns
        assert [column.name for column in columns if not column.description] == []

    @pytest.mark.parametrize("table", TABLES)
    def test_each_column_of_a_raw_table_has_a_type(self, table: str) -> None:
        assert [column.name for column in schema(f"refersion/{table}").columns if not column.type] == []

    def test_money_is_decimal_and_times_know_their_zone(self) -> None:
        types = {column.name: column.type for column in schema("refersion/conversions").columns}
        assert types["id"] == "text"
        assert types["commission_total"] == "decimal(18,4)"
        assert types["created"] == "timestamptz"
        assert types["is_test_conversion"] == "boolean"

    def test_a_summary_shows_its_query_and_the_questions_it_answers(self) -> None:
        assert "refersion_summaries.conversions" in SPECS[SUMMARY].metadata["query"].value
        assert "- Who drove the sales?" in (SPECS[SUMMARY].description or "")

    @pytest.mark.parametrize("key", GROUP_OF)
    def test_a_summary_leads_to_its_sql_file(self, key: str) -> None:
        found = SPECS[key].metadata["dagster/code_references"]
        assert isinstance(found, dg.CodeReferencesMetadataValue)
        (reference,) = found.code_references
        assert isinstance(reference, dg.LocalFileCodeReference)
        header, _, select = Path(reference.file_path).read_text("utf-8").partition("*/")
        assert reference.line_number == len(f"{header}*/{select[: -len(select.lstrip())]}".splitlines()) + 1

    def test_any_of_the_raw_tables_can_be_materialised_alone(self) -> None:
        tables = defs.resolve_assets_def(dg.AssetKey(["refersion", "conversions"]))
        assert tables.can_subset
        maintained = {key.partition("/")[2] for key in (HISTORY, READINGS, SCHEMAS, CHANGES)}
        assert {key.path[-1] for key in tables.keys} == {*TABLES, *maintained}


class TestRefersionRefresh:
    def test_it_selects_everything_but_the_webhook_inbox_and_the_statements(self) -> None:
        job = defs.resolve_job_def("refersion_refresh")
        selected = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
        assert selected == set(SPECS) - {WEBHOOKS, STATEMENTS}

    def test_it_runs_in_one_process_as_duckdb_takes_one_writer(self) -> None:
        assert defs.resolve_job_def("refersion_refresh").executor_def is dg.in_process_executor


class TestThePool:
    @pytest.mark.parametrize("job", defs.resolve_all_job_defs(), ids=lambda job: job.name)
    def test_each_step_has_it_as_each_takes_the_warehouse(self, job: dg.JobDefinition) -> None:
        assert {node.definition.pool for node in job.nodes if isinstance(node.definition, dg.OpDefinition)} == {POOL}
        assert all(isinstance(node.definition, dg.OpDefinition) for node in job.nodes)


class TestLoading:
    """By each of the configurations that the repository has, in an empty environment."""

    def test_by_workspace_file(self, tmp_path: Path) -> None:
        location = Location.of(tmp_path).without("REFERSION_DUCKDB_PATH", "REFERSION_RETRY_SECONDS")
        ended = location.run("dagster", "definitions", "validate", "-w", "workspace.yaml", cwd=REPOSITORY)
        assert ended.code == 0, ended.output
        assert "Validation successful for code location refersion_dagster." in ended.output

    def test_by_tool_dagster_of_pyproject(self, tmp_path: Path) -> None:
        location = Location.of(tmp_path).without("REFERSION_DUCKDB_PATH", "REFERSION_RETRY_SECONDS")
        ended = location.run("dagster", "definitions", "validate", cwd=REPOSITORY)
        assert ended.code == 0, ended.output
        assert "Validation successful for code location refersion_dagster." in ended.output

    def test_by_tool_dg_of_pyproject(self, tmp_path: Path) -> None:
        """Dagster takes [tool.dg] where there is no [tool.dagster], as `dg` does."""
        pyproject = (REPOSITORY / "pyproject.toml").read_text()
        alone = re.sub(r"\[tool\.dagster\]\n(?:.+\n)+", "", pyproject)
        assert "[tool.dagster]" not in alone
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "pyproject.toml").write_text(alone)
        location = Location.of(tmp_path).without("REFERSION_DUCKDB_PATH", "REFERSION_RETRY_SECONDS")
        ended = location.run("dagster", "definitions", "validate", cwd=folder)
        assert ended.code == 0, ended.output
        assert "All code locations passed validation." in ended.output

    def test_without_a_folder_of_dagsters_own(self, tmp_path: Path) -> None:
        """An empty environment has no DAGSTER_HOME either; nothing stays behind where it was started."""
        project = tmp_path / "project"
        project.mkdir()
        for name in ("workspace.yaml", "pyproject.toml"):
            shutil.copy(REPOSITORY / name, project)
        environment = {
            name: value for name, value in Location.of(tmp_path).environment.items() if name in ("PATH", "HOME")
        }
        ended = Location(tmp_path, environment).run("dagster", "definitions", "validate", cwd=project)
        assert ended.code == 0, ended.output
        assert sorted(file.name for file in project.iterdir()) == ["pyproject.toml", "workspace.yaml"]


OWN = """
import dagster as dg

@dg.asset(deps=[dg.AssetKey(["summaries", "commission_liability"])])
def our_accruals() -> None: ...
"""
LOADED = """
from refersion_dagster.definitions import defs

print(*sorted(key.to_user_string() for key in defs.resolve_all_asset_keys()), sep="\\n")
"""


def test_definitions_of_the_folder_defs_are_loaded_with_ours(tmp_path: Path) -> None:
    """Where `dg scaffold defs` puts them, in a checkout of its own."""
    checkout = tmp_path / "checkout"
    shutil.copytree(REPOSITORY / "refersion_dagster", checkout / "refersion_dagster")
    shutil.copy(REPOSITORY / "pyproject.toml", checkout)
    before = Location.of(tmp_path).run("python", "-c", LOADED, cwd=checkout)
    assert before.code == 0, before.output
    own = checkout / "refersion_dagster" / "defs" / "finance" / "accruals.py"
    own.parent.mkdir()
    own.write_text(OWN)
    after = Location.of(tmp_path).run("python", "-c", LOADED, cwd=checkout)
    assert after.code == 0, after.output
    assert set(after.output.split()) - set(before.output.split()) == {"our_accruals"}


SNAPSHOT = """
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_shared.serdes import serialize_value
from refersion_dagster.definitions import defs

print(serialize_value(RepositorySnap.from_def(defs.get_repository_def())))
"""


def test_keys_of_the_environment_are_in_no_definition(tmp_path: Path) -> None:
    """What the code location hands to Dagster's web server names the variables, and never holds their values."""
    keys = {name: f"secret-value-of-{name.lower()}" for name in KEYS}
    ended = Location.of(tmp_path).with_settings(**keys).run("python", "-c", SNAPSHOT)
    assert ended.code == 0, ended.output
    assert "REFERSION_SECRET_KEY" in ended.output
    assert "secret-value-of" not in ended.output
