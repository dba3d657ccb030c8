"""Own summaries and checks in the code location: assets like the shipped ones, which run like them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from pydantic import ValidationError

from refersion_dagster import RefersionComponent
from refersion_dagster.code_location import build_definitions
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.summaries.extensions import find_extensions, join_summaries
from refersion_dagster_tests.component.accounts import definitions, keys, variables
from refersion_dagster_tests.extensions.sql_files import (
    AT,
    CHECK,
    NEGATIVE,
    SELECT,
    SUMMARY,
    SqlFolders,
    check,
    summary,
)
from refersion_dagster_tests.location import Location, MakeOnce, Outcome, fresh_instance, load_small, outcome, query

DUE, SHARE = dg.AssetKey(["summaries", "own_due"]), dg.AssetKey(["summaries", "own_share"])
PUBLISHED = dg.AssetKey(["published", "summaries"])
# Reads a shipped summary and an own one, and calls a macro.
OF_ALL = """\
SELECT d.currency, share(d.due, sum(c.commission)) AS due
FROM refersion_summaries.own_due AS d
INNER JOIN refersion_data.conversions AS r ON r.currency = d.currency
INNER JOIN refersion_summaries.conversions AS c ON c.conversion_id = r.id
GROUP BY d.currency, d.due
"""
SHARE_HEADER = SUMMARY.replace("sums:\n  due: due\n", "").replace("/*\n", "/*\ngroup: owed\nmacros: [share]\n")
FILES = {"own_due": summary(), "finance/own_share": summary(OF_ALL, SHARE_HEADER)}
CHECKS = {"own_never_negative": check(), "own_share_known": check(NEGATIVE.replace("< 0", "> 0"), "own_share")}


@pytest.fixture
def files(tmp_path: Path) -> SqlFolders:
    folders = SqlFolders(tmp_path / "sql")
    folders.write(FILES, CHECKS)
    return folders


def specs(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


class TestGraph:
    def test_each_file_is_an_asset_like_the_shipped_ones(self, files: SqlFolders) -> None:
        found = specs(build_definitions(files.settings()))
        own, other, shipped = (found[f"summaries/{name}"] for name in ("own_due", "own_share", "payments"))
        assert (own.group_name, other.group_name) == ("custom", "owed")
        assert own.owners == ["team:finance"]
        assert (own.description or "").startswith("Commission of each currency that is approved and not paid")
        assert own.code_version
        assert own.metadata.keys() == shipped.metadata.keys()
        assert own.tags == shipped.tags
        assert own.automation_condition == shipped.automation_condition
        assert own.freshness_policy == shipped.freshness_policy
        (reference,) = own.metadata["dagster/code_references"].code_references
        assert (reference.file_path, reference.line_number) == (str(files.path("summaries", "own_due")), AT)
        assert isinstance(own.metadata["documentation"], dg.PathMetadataValue)
        assert str(own.metadata["documentation"].value).endswith("docs/own-sql.md")
        assert {dep.asset_key.to_user_string() for dep in other.deps} == {
            "summaries/own_due",
            "refersion/conversions",
            "summaries/conversions",
        }

    def test_they_belong_to_the_refresh_and_to_the_published_copies(self, files: SqlFolders) -> None:
        defs = build_definitions(files.settings())
        graph = defs.resolve_asset_graph()
        assert {DUE, SHARE} <= graph.get(PUBLISHED).parent_keys
        refreshed = defs.resolve_job_def("refersion_refresh").asset_layer.executable_asset_keys
        assert {DUE, SHARE} <= set(refreshed)
        assert {key.name for key in graph.asset_check_keys if key.asset_key == DUE} == {
            "primary_key",
            "sums_preserved",
            "own_never_negative",
        }

    @pytest.mark.exhaustive
    def test_the_code_version_follows_the_select(self, files: SqlFolders) -> None:
        before = specs(build_definitions(files.settings()))["summaries/own_due"].code_version
        files.write({"own_due": summary(SELECT.replace("'due'", "'paid'"))})
        assert specs(build_definitions(files.settings()))["summaries/own_due"].code_version != before

    @pytest.mark.exhaustive
    def test_nothing_of_them_stays_in_the_process(self, files: SqlFolders) -> None:
        build_definitions(files.settings())
        assert "summaries/own_due" not in specs(build_definitions(SqlFolders(files.folder / "none").settings()))


class TestComponents:
    def test_two_accounts_have_their_own_files(self, tmp_path: Path) -> None:
        found = {}
        for account, factor in (("shop_eu", 1), ("shop_us", 2)):
            folders = SqlFolders(tmp_path / account)
            folders.write({"own_due": summary(SELECT.replace("ELSE 0", f"ELSE 0 * {factor}")), account: summary()})
            defs = definitions(account, settings={"summaries_path": str(folders.path("summaries"))})
            found |= specs(defs)
            assert f"{account}/summaries/{account}" in found
        assert "shop_us/summaries/shop_eu" not in found
        eu, us = (found[f"{account}/summaries/own_due"] for account in ("shop_eu", "shop_us"))
        assert (eu.group_name, us.group_name) == ("shop_eu_custom", "shop_us_custom")
        assert eu.code_version != us.code_version

    def test_own_summaries_can_be_selected(self, files: SqlFolders, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in files.variables.items():
            monkeypatch.setenv(f"SHOP_EU_{name}", value)
        defs = definitions("shop_eu", summaries=["own_due"])
        found = {key.removeprefix("shop_eu/summaries/") for key in keys(defs) if "/summaries/" in key}
        assert {"own_due", "conversions"} <= found
        assert {"own_share", "commission_liability"} & found == set()
        checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
        assert "own_never_negative" in checks
        assert "own_share_known" not in checks

    @pytest.mark.exhaustive
    def test_two_accounts_in_one_database_build_their_own_tables(
        self, account: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = []
        for name, state in (("shop_eu", "due"), ("shop_us", "paid")):
            for variable, value in variables(name, account, tmp_path).items():
                monkeypatch.setenv(variable, value)
            folders = SqlFolders(tmp_path / name)
            header = SUMMARY.replace("  due: due", f"  due: {state}")
            folders.write({"own_due": summary(SELECT.replace("'due'", f"'{state}'"), header)}, {"own_check": check()})
            made.append(
                definitions(
                    name,
                    summaries=["own_due"],
                    data_schema=f"{name}_data",
                    summaries_schema=f"{name}_summaries",
                    settings={f"{kind}_path": str(folders.path(kind)) for kind in ("summaries", "checks")},
                )
            )
        defs = dg.Definitions.merge(*made)
        with fresh_instance() as instance:
            for name in ("shop_eu", "shop_us"):
                run = defs.resolve_job_def(f"{name}_refersion_refresh").execute_in_process(
                    instance=instance, raise_on_error=False
                )
                assert run.success, outcome(instance, run.run_id).failure
        for name, state in (("shop_eu", "due"), ("shop_us", "paid")):
            of_state = f"SELECT currency, sum(CASE WHEN commission_state = '{state}' THEN commission ELSE 0 END) "
            database = tmp_path / "warehouse.duckdb"
            assert query(database, f"FROM {name}_summaries.own_due ORDER BY currency") == query(
                database, f"{of_state} FROM {name}_summaries.conversions GROUP BY currency ORDER BY currency"
            )

    def test_the_summaries_of_another_account_cannot_be_selected(self, files: SqlFolders) -> None:
        own: dict[str, str | int] = {"summaries_path": str(files.path("summaries"))}
        RefersionComponent(account="shop_eu", summaries=["own_due"], settings=own)
        with pytest.raises(ValidationError, match=r"summaries: There is no summary own_due\. There are "):
            RefersionComponent(account="shop_us", summaries=["own_due"])


@dataclass(frozen=True)
class Run:
    """A run in this process, and the evaluations of its checks by name."""

    done: Outcome
    checks: Mapping[str, dg.AssetCheckEvaluation]


@dataclass(frozen=True)
class Account:
    """A loaded warehouse, and own files that read it."""

    files: SqlFolders
    database: Path

    def run(self, *assets: dg.AssetKey) -> Run:
        """Materialise these assets and run their checks."""
        settings = self.files.settings(
            REFERSION_DUCKDB_PATH=str(self.database),
            REFERSION_PUBLISH_PATH=str(self.database.parent / "published"),
        )
        job = build_definitions(settings).resolve_implicit_global_asset_job_def()
        with fresh_instance() as instance:
            run = job.execute_in_process(instance=instance, asset_selection=[*assets], raise_on_error=False)
            found = [entry.asset_check_evaluation for entry in instance.all_logs(run.run_id)]
            return Run(outcome(instance, run.run_id), {one.check_name: one for one in found if one is not None})


@pytest.fixture
def own(files: SqlFolders, made_once: MakeOnce, tmp_path: Path) -> Account:
    return Account(files, Path(shutil.copy(made_once("everything_built", load_small), tmp_path)))


class TestRun:
    def test_they_are_built_checked_and_described(self, own: Account) -> None:
        run = own.run(DUE, SHARE)
        assert run.done.success, run.done.failure
        told = run.done.metadata["summaries/own_share"]
        assert told["dagster/row_count"] == 3
        assert "| currency | due |" in told["preview"]
        lineage = told["dagster/column_lineage"].deps_by_column["due"]
        assert {(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage} == {
            ("summaries/own_due", "due"),
            ("summaries/conversions", "commission"),
        }
        assert {name for name, found in run.checks.items() if found.passed} == {
            "primary_key",
            "sums_preserved",
            "own_never_negative",
        }
        failed = run.checks["own_share_known"]
        assert failed.metadata["offending_rows"].value == 3
        assert failed.description == "Affiliates owe money."
        of_currency = dict(query(own.database, "SELECT currency, due FROM refersion_summaries.own_due"))
        assert of_currency == dict(
            query(own.database, "SELECT currency, sum(due) FROM refersion_summaries.commission_liability GROUP BY 1")
        )
        comments = "SELECT comment FROM duckdb_tables() WHERE table_name = 'own_due'"
        assert query(own.database, comments)[0][0].startswith("Commission of each currency")

    @pytest.mark.exhaustive
    def test_money_that_is_lost_fails_the_check_of_sums(self, own: Account) -> None:
        own.files.write({"own_due": summary(SELECT.replace("'due'", "'paid'"))})
        assert not own.run(DUE).checks["sums_preserved"].passed

    @pytest.mark.exhaustive
    def test_a_duplicate_key_leaves_the_table_unchanged(self, own: Account) -> None:
        own.run(DUE)
        before = query(own.database, "FROM refersion_summaries.own_due ORDER BY currency")
        own.files.write({"own_due": summary(SELECT.replace("GROUP BY currency", "GROUP BY currency, affiliate_id"))})
        done = own.run(DUE).done
        assert not done.success
        assert (
            f"{own.files.path('summaries', 'own_due')}:{AT}: keys (currency) are missing or duplicated" in done.failure
        )
        assert query(own.database, "FROM refersion_summaries.own_due ORDER BY currency") == before

    @pytest.mark.exhaustive
    def test_a_blocking_check_stops_what_is_downstream(self, own: Account) -> None:
        header = CHECK.replace("*/", "blocking: true\n*/")
        own.files.write(checks={"own_never_negative": check(NEGATIVE.replace("< 0", "> 0"), header=header)})
        done = own.run(DUE, SHARE).done
        assert not done.success
        assert "summaries/own_due" in done.metadata
        assert "summaries/own_share" not in done.metadata

    @pytest.mark.exhaustive
    def test_they_are_published(self, own: Account, tmp_path: Path) -> None:
        done = own.run(DUE, SHARE, PUBLISHED).done
        assert done.success, done.failure
        folder = tmp_path / "published" / "current"
        with duckdb.connect(str(folder / "refersion.duckdb"), read_only=True) as copy:
            published = copy.sql("SELECT count(*) FROM own_due").fetchall()
        assert published == [(3,)]
        assert (folder / "parquet" / "own_share.parquet").exists()
        assert (folder / "csv" / "own_share.csv").read_text().startswith("currency,due\n")


@pytest.mark.processes
def test_dagster_materialises_them(files: SqlFolders, made_once: MakeOnce, tmp_path: Path) -> None:
    location = Location.of(tmp_path / "location").with_settings(**files.variables)
    shutil.copy(made_once("everything_built", load_small), location.database)
    ended = location.materialise("summaries/own_due", "summaries/own_share")
    assert ended.code == 0, ended.output
    assert location.query("SELECT count(*) FROM refersion_summaries.own_share") == [(3,)]


def test_own_summaries_come_after_all_shipped_ones(files: SqlFolders) -> None:
    names = [one.name for one in join_summaries(find_extensions(files.settings()).summaries)]
    assert names[-2:] == ["own_due", "own_share"]
