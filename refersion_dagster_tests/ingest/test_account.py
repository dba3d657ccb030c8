"""Rows of two accounts never get into one warehouse. New keys of the same account are accepted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from refersion_dagster.cli import main
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import SMALL, Location, account_of, counts, materialise, query
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.postgres import PostgresDatabase

TINY = replace(SMALL, affiliates=6, orders=40)
OTHER_KEYS = {"public_key": "pub_of_another", "secret_key": "sec_of_another", "graphql_token": "gql_of_another"}
TABLES = ("refersion/affiliate_list", "refersion/affiliates", "refersion/conversions")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with the rows of one account, loaded with keys that no sandbox has by default."""
    path = tmp_path_factory.mktemp("held") / "warehouse.duckdb"
    with SandboxServer(replace(TINY, seed=99, **OTHER_KEYS)) as sandbox:
        done = materialise(account_of(sandbox), Warehouse(duckdb_path=str(path)), *TABLES)
    assert done.success, done.failure
    return path


@pytest.fixture(scope="module")
def sandboxs_own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with the rows of a sandbox, loaded with the sandbox's default keys."""
    path = tmp_path_factory.mktemp("own") / "warehouse.duckdb"
    with SandboxServer(TINY) as sandbox:
        done = materialise(account_of(sandbox), Warehouse(duckdb_path=str(path)), *TABLES)
    assert done.success, done.failure
    return path


def test_the_sandboxs_settings_over_another_accounts_warehouse_are_refused_before_the_first_row(loaded: Path) -> None:
    before = counts(loaded)
    with SandboxServer(TINY) as sandbox:
        done = materialise(account_of(sandbox), Warehouse(duckdb_path=str(loaded)), *TABLES)
        location = Location.of(loaded.parent, sandbox).with_settings(REFERSION_DUCKDB_PATH=str(loaded))
        plain = location.run("python", "-m", "refersion_dagster.pipeline")
    for said in (done.failure, plain.output):
        assert "The warehouse contains rows of another Refersion account: the account of REFERSION_PUBLIC_KEY" in said
        assert "refersion-dagster accept-account" in said
    assert not done.success
    assert plain.code == 1
    assert counts(loaded) == before


@pytest.mark.exhaustive
@pytest.mark.parametrize("change", limit_cases([{"seed": 8}, {"orders": 41}, {"currencies": ("EUR", "USD")}]), ids=str)
def test_a_sandbox_of_another_seed_or_size_is_another_account(change: dict[str, Any], sandboxs_own: Path) -> None:
    before = counts(sandboxs_own)
    with SandboxServer(replace(TINY, **change)) as sandbox:
        for keys in ({}, {"public_key": None, "api_key": None}):
            tables = TABLES if not keys else TABLES[1:]
            done = materialise(account_of(sandbox, **keys), Warehouse(duckdb_path=str(sandboxs_own)), *tables)
            assert "The warehouse contains rows of another Refersion account" in done.failure
    assert counts(sandboxs_own) == before


def test_a_token_of_another_account_is_refused_beside_a_pair_that_is_right(loaded: Path) -> None:
    before = counts(loaded)
    with SandboxServer(replace(TINY, seed=99, **OTHER_KEYS)) as sandbox, SandboxServer(TINY) as other:
        mixed = account_of(sandbox, graphql_token=other.graphql_token, graphql_url=other.graphql_url)
        done = materialise(mixed, Warehouse(duckdb_path=str(loaded)), *TABLES)
    assert "another Refersion account: the account of REFERSION_GRAPHQL_TOKEN" in done.failure
    assert counts(loaded) == before


def test_a_template_is_not_accepted_as_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFERSION_DUCKDB_PATH", str(tmp_path / "warehouse.duckdb"))
    monkeypatch.setenv("REFERSION_PUBLIC_KEY", "pub_…")
    monkeypatch.setenv("REFERSION_SECRET_KEY", "sec_…")
    ended = CliRunner().invoke(main, ["accept-account", "--yes"])
    assert "REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY are placeholders from an example" in ended.output
    assert ended.exit_code == 1
    assert not (tmp_path / "warehouse.duckdb").exists()


def test_new_keys_of_the_same_account_load_and_are_known_from_then_on(loaded: Path) -> None:
    rotated = {name: f"{key}_2" for name, key in OTHER_KEYS.items()}
    with SandboxServer(replace(TINY, seed=99, **rotated)) as sandbox:
        asked = []
        for _ in range(2):
            before = sandbox.requests().get("rest:/affiliate/list", 0)
            done = materialise(account_of(sandbox), Warehouse(duckdb_path=str(loaded)), "refersion/affiliate_list")
            assert done.success, done.failure
            asked.append(sandbox.requests()["rest:/affiliate/list"] - before)
    assert asked[0] == asked[1] + 1  # one request to compare the accounts
    known = query(loaded, "SELECT salt, fingerprint FROM refersion_data._account")
    assert len(known) == 3  # both keys of the first load, and the new public key
    assert not [key for key in (*OTHER_KEYS.values(), *rotated.values()) if key in str(known)]


@pytest.mark.exhaustive
def test_in_postgres_too_and_a_person_can_accept_keys(
    postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(sandbox: SandboxServer) -> str:
        done = materialise(account_of(sandbox), Warehouse(destination="postgres"), "refersion/affiliate_list")
        return "" if done.success else done.failure

    def accept(answer: str) -> str:
        return CliRunner().invoke(main, ["accept-account"], input=answer).output

    with SandboxServer(replace(TINY, seed=99, **OTHER_KEYS)) as sandbox:
        assert load(sandbox) == ""
    before = postgres.counts()
    with SandboxServer(TINY) as sandbox:
        for name, value in (sandbox.environment() | postgres.environment).items():
            monkeypatch.setenv(name, value)
        assert "another Refersion account: the account of REFERSION_PUBLIC_KEY" in load(sandbox)
        assert "Accepted" not in accept("n\n")
        assert "another Refersion account" in load(sandbox)
        assert postgres.counts() == before
        asked = accept("y\n")
        assert f"/{postgres.name}" in asked
        assert "Accepted. The next run will load." in asked
        assert load(sandbox) == ""
    known = postgres.query("SELECT salt, fingerprint FROM refersion_data._account")
    assert len(known) == 3  # the public key of the first load, and both keys that were accepted
    assert not [key for key in (*OTHER_KEYS.values(), sandbox.public_key, sandbox.graphql_token) if key in str(known)]
