"""conversion_history: every change of a conversion, kept forever."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import SMALL, account_of, materialise
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.postgres import PostgresDatabase, PostgresServer

STATE = "status, payment_status, total, commission_total, currency"
ASSETS = ("refersion/conversions", "refersion/conversion_history")
# For tests of which reads count, which does not depend on the database.
in_one_database = pytest.mark.parametrize("loaded", ["duckdb"], indirect=True)


class Loaded:
    """A warehouse that was loaded once, and its account."""

    def __init__(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        self.sandbox = sandbox
        self.account: RefersionResource = account_of(sandbox)
        self.warehouse = warehouse

    def refresh(self, *assets: str, **config: Any) -> None:
        done = materialise(self.account, self.warehouse, *(assets or ASSETS), config=config or None)
        assert done.success, done.failure

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.warehouse.query(sql)

    def states(self) -> dict[str, tuple[Any, ...]]:
        return {row[0]: row[1:] for row in self.query(f"SELECT id, {STATE} FROM refersion_data.conversions")}

    def history(self, where: str = "TRUE") -> list[tuple[Any, ...]]:
        return self.query(
            f"SELECT id, change, {STATE} FROM refersion_data.conversion_history WHERE {where} ORDER BY seen_at, id"
        )


@pytest.fixture(scope="module")
def loaded_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DuckDB file with the first load, which tests copy."""
    path = tmp_path_factory.mktemp("loaded") / "warehouse.duckdb"
    with SandboxServer(SMALL) as sandbox:
        Loaded(sandbox, Warehouse(duckdb_path=str(path))).refresh()
    return path


@pytest.fixture(scope="module")
def loaded_postgres(postgres_server: PostgresServer) -> PostgresDatabase:
    """A PostgreSQL database with the first load, which tests copy."""
    database = postgres_server.create_database()
    with SandboxServer(SMALL) as sandbox, database.in_use():
        Loaded(sandbox, Warehouse(destination="postgres")).refresh()
    return database


@pytest.fixture(params=limit_cases(["duckdb", "postgres"]))
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Loaded]:
    with SandboxServer(SMALL) as sandbox:
        if request.param == "duckdb":
            path = shutil.copy(request.getfixturevalue("loaded_file"), tmp_path)
            yield Loaded(sandbox, Warehouse(duckdb_path=str(path)))
        else:
            with request.getfixturevalue("loaded_postgres").copy().in_use():
                yield Loaded(sandbox, Warehouse(destination="postgres"))


@pytest.mark.exhaustive
def test_the_first_load_is_the_beginning_of_every_rows_history(loaded: Loaded) -> None:
    history = loaded.history()
    assert {change for _, change, *_ in history} == {"new"}
    assert {row[0]: row[2:] for row in history} == loaded.states()


@in_one_database
def test_reading_the_same_again_adds_nothing(loaded: Loaded) -> None:
    before = loaded.history()
    loaded.refresh()
    loaded.refresh(full_reload=True)
    assert loaded.history() == before


def test_each_change_of_status_payment_and_commission_is_kept_beside_what_was_before(loaded: Loaded) -> None:
    before = loaded.states()
    loaded.sandbox.advance(days=45)
    loaded.refresh()
    after = loaded.states()
    changed = {id_ for id_, state in before.items() if after[id_] != state}
    assert len(changed) > 3
    added = loaded.history("change <> 'new'")
    assert {(row[0], row[2:]) for row in added} == {(id_, after[id_]) for id_ in changed}
    assert {change for _, change, *_ in added} == {"changed"}
    for id_ in changed:
        assert [row[2:] for row in loaded.history(f"id = '{id_}'")] == [before[id_], after[id_]]


@pytest.mark.exhaustive
@pytest.mark.parametrize("seconds", [10, 0], ids=["later", "within one second"])
def test_the_same_state_twice_with_another_between_is_three_rows(loaded: Loaded, seconds: int) -> None:
    (id_,) = loaded.query("SELECT id FROM refersion_data.conversions WHERE status = 'PENDING' ORDER BY id LIMIT 1")[0]
    for status in ("DENIED", "PENDING"):
        loaded.sandbox.change_conversion(int(id_), status=status)
        loaded.sandbox.advance(seconds=seconds)
        loaded.refresh()
    loaded.refresh()
    assert [row[2] for row in loaded.history(f"id = '{id_}'")] == ["PENDING", "DENIED", "PENDING"]


@pytest.mark.exhaustive
def test_a_move_to_another_affiliate_is_kept_and_nothing_else_is(loaded: Loaded) -> None:
    (id_, before) = loaded.query("SELECT id, affiliate_id FROM refersion_data.conversions ORDER BY created DESC")[0]
    other = next(one for one in loaded.sandbox.account.affiliates if str(one) != before)
    loaded.sandbox.change_conversion(int(id_), affiliate_id=other)
    loaded.sandbox.advance(seconds=10)
    loaded.refresh()
    loaded.refresh()
    entries = loaded.query(
        f"SELECT change, affiliate_id FROM refersion_data.conversion_history WHERE id = '{id_}' ORDER BY seen_at"
    )
    assert entries == [("new", before), ("changed", str(other))]
    assert len(loaded.history("change <> 'new'")) == 1


@pytest.mark.exhaustive
def test_a_row_that_vanished_is_marked_and_not_deleted(loaded: Loaded) -> None:
    (id_,) = loaded.query("SELECT max(id) FROM refersion_data.conversions WHERE status = 'APPROVED'")[0]
    state = loaded.states()[id_]
    loaded.sandbox.delete_conversion(int(id_))
    loaded.sandbox.advance(seconds=10)
    loaded.refresh()
    loaded.refresh()
    assert [row[1:] for row in loaded.history(f"id = '{id_}'")] == [("new", *state), ("vanished", *state)]
    marked = loaded.query("SELECT id FROM refersion_data.conversions WHERE vanished_at IS NOT NULL")
    assert marked == [(id_,)]


@pytest.mark.exhaustive
@in_one_database
def test_a_row_outside_of_the_span_that_was_read_is_not_taken_for_vanished(loaded: Loaded) -> None:
    loaded.sandbox.advance(seconds=10)
    loaded.refresh(read_from="2025-06-20", read_to="2025-06-21")
    assert loaded.query("SELECT count(*) FROM refersion_data.conversions WHERE vanished_at IS NOT NULL") == [(0,)]


@pytest.mark.exhaustive
def test_a_row_that_comes_back_is_marked_no_more(loaded: Loaded) -> None:
    (id_, created) = loaded.query(
        "SELECT id, epoch(created)::BIGINT FROM refersion_data.conversions ORDER BY created DESC LIMIT 1"
    )[0]
    loaded.sandbox.delete_conversion(int(id_))
    loaded.sandbox.advance(seconds=10)
    loaded.refresh()
    back = loaded.sandbox.insert_conversion(id=int(id_), created=created)
    assert str(back) == id_
    loaded.sandbox.advance(seconds=10)
    loaded.refresh()
    assert [row[1] for row in loaded.history(f"id = '{id_}'")] == ["new", "vanished", "returned"]
    assert loaded.query("SELECT count(*) FROM refersion_data.conversions WHERE vanished_at IS NOT NULL") == [(0,)]


@in_one_database
def test_an_explicit_span_fills_it_like_a_refresh(loaded: Loaded) -> None:
    (id_, day) = loaded.query(
        "SELECT id, strftime(created, '%Y-%m-%d') FROM refersion_data.conversions WHERE status = 'PENDING' LIMIT 1"
    )[0]
    loaded.sandbox.change_conversion(int(id_), status="APPROVED")
    loaded.refresh(read_from=f"{day}T00:00:00Z", read_to=f"{day}T23:59:59Z")
    assert [row[1:3] for row in loaded.history(f"id = '{id_}'")] == [("new", "PENDING"), ("changed", "APPROVED")]


@pytest.mark.exhaustive
@in_one_database
def test_changes_that_a_run_did_not_get_to_write_are_made_up_for_by_the_next(loaded: Loaded) -> None:
    before = loaded.states()
    loaded.sandbox.advance(days=30)
    # Only the table is loaded, as in a run that was interrupted before it wrote the history.
    with loaded.warehouse.session() as session:
        session.query("CREATE TABLE refersion_data.kept AS SELECT * FROM refersion_data.conversion_history")
    loaded.refresh("refersion/conversions")
    with loaded.warehouse.session() as session:
        session.query("DELETE FROM refersion_data.conversion_history")
        session.query("INSERT INTO refersion_data.conversion_history SELECT * FROM refersion_data.kept")
    loaded.refresh("refersion/conversion_history")
    after = loaded.states()
    changed = {id_ for id_, state in before.items() if after[id_] != state}
    assert changed
    assert {row[0] for row in loaded.history("change = 'changed'")} == changed


@pytest.mark.exhaustive
@in_one_database
def test_each_entry_says_when_refersion_changed_the_row(loaded: Loaded) -> None:
    (id_,) = loaded.query("SELECT id FROM refersion_data.conversions WHERE status = 'PENDING' ORDER BY id LIMIT 1")[0]
    loaded.sandbox.advance(days=2)
    loaded.sandbox.change_conversion(int(id_), status="APPROVED")
    loaded.sandbox.advance(days=3)
    loaded.refresh()
    (seen_at, updated) = loaded.query(
        f"SELECT seen_at, updated FROM refersion_data.conversion_history WHERE id = '{id_}' AND status = 'APPROVED'"
    )[0]
    assert (seen_at - updated).days == 3


@pytest.mark.exhaustive
def test_a_history_from_before_that_was_kept_goes_on(loaded: Loaded) -> None:
    before = loaded.history()
    with loaded.warehouse.session() as session:
        session.query("ALTER TABLE refersion_data.conversion_history DROP COLUMN updated")
        session.query("ALTER TABLE refersion_data.conversion_history DROP COLUMN affiliate_id")
    loaded.sandbox.advance(days=30)
    loaded.refresh()
    after = loaded.history()
    assert after[: len(before)] == before
    assert loaded.history("affiliate_id IS NULL") == []
    assert loaded.query("SELECT DISTINCT change FROM refersion_data.conversion_history WHERE updated IS NULL") == [
        ("new",)
    ]
