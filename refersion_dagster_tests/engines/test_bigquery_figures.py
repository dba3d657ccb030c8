"""Every statement of the package in GoogleSQL's evaluator, which is BigQuery's language: the same rows as in DuckDB, to
the last digit and of the same types, in two time zones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp

from refersion_dagster.warehouse.dialects.bigquery import BigQueryDialect
from refersion_dagster.warehouse.dialects.bigquery_constructs import CONSTRUCTS
from refersion_dagster.warehouse.dialects.dialect import constructs_of
from refersion_dagster_tests.engines.engine import Engine, started
from refersion_dagster_tests.engines.evaluated_account import (
    SETTINGS,
    Evaluated,
    Loaded,
    case_names,
    evaluated,
    export,
    load_account,
)
from refersion_dagster_tests.engines.result import Result, comparable

pytestmark = pytest.mark.warehouses

# The evaluator reads all of a subquery for each row, which takes minutes: of the checks of sums with one, one runs.
SLOW = "IN (SELECT conversion_id FROM refersion_summaries.conversions WHERE"


class AnyConstruct(BigQueryDialect):
    """BigQuery's dialect before it refuses anything."""

    constructs = None


@pytest.fixture(scope="module")
def googlesql() -> Iterator[Engine]:
    with started("googlesql") as engine:
        yield engine


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_account(tmp_path_factory.mktemp("loaded"))


@pytest.fixture(scope="module")
def accounts(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evaluated]:
    folder = tmp_path_factory.mktemp
    return {zone: evaluated(loaded.database, settings, folder("built")) for zone, settings in SETTINGS.items()}


def difference(engine: Engine, database: Path, tables: Path, tree: exp.Expr) -> str:
    """What differs between DuckDB's result and the engine's; '' where nothing does."""
    answer = engine.run(tables, {"": AnyConstruct().write(tree.copy())})[""]
    if "error" in answer:
        return answer["error"]
    if not isinstance(tree, exp.Query):
        changed = [] if isinstance(tree, exp.Create) else changed_rows(database, tree)
        return Result([], changed).difference(Result([], Result.of_engine(answer).rows), in_order=False)
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        expected = Result.of_duckdb(connection, tree.sql("duckdb"))
    return expected.difference(Result.of_engine(answer), in_order="order" in tree.args and bool(tree.args["order"]))


@pytest.mark.parametrize("zone", SETTINGS)
@pytest.mark.parametrize("case", case_names())
def test_a_file_gives_the_same(googlesql: Engine, accounts: dict[str, Evaluated], case: str, zone: str) -> None:
    account = accounts[zone]
    assert difference(googlesql, account.database, account.tables, account.named[case]) == ""


@pytest.mark.parametrize("zone", SETTINGS)
def test_and_so_does_all_that_reports_statements_and_checks_ask(
    googlesql: Engine, accounts: dict[str, Evaluated], zone: str
) -> None:
    account = accounts[zone]
    slow = [text for text in account.others if SLOW in text]
    fast = {text: tree for text, tree in account.others.items() if text not in slow[1:]}
    assert len(fast) > 20
    found = {text: difference(googlesql, account.database, account.tables, tree) for text, tree in fast.items()}
    assert {text: said for text, said in found.items() if said} == {}


def test_what_a_load_asks_and_records_is_the_same(googlesql: Engine, loaded: Loaded, tmp_path: Path) -> None:
    tables = export(loaded.between, tmp_path / "tables")
    assert len(loaded.statements) > 50
    found = {text: difference(googlesql, loaded.between, tables, one) for text, one in loaded.statements.items()}
    assert {text: said for text, said in found.items() if said} == {}


def changed_rows(database: Path, tree: exp.Expr) -> list[tuple[str | None, ...]]:
    """The new rows of a statement in DuckDB, empty ones for those that it deletes; it is rolled back."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.begin()
        changed = connection.execute(f"{tree.sql('duckdb')} RETURNING *").fetchall()
        connection.rollback()
    return [() if isinstance(tree, exp.Delete) else tuple(map(comparable, row)) for row in changed]


def test_the_dialect_allows_what_was_executed_here_and_nothing_else(
    loaded: Loaded, accounts: dict[str, Evaluated]
) -> None:
    selects = [tree for account in accounts.values() for tree in (*account.named.values(), *account.others.values())]
    executed = frozenset[str]().union(*map(constructs_of, (*selects, *loaded.statements.values())))
    assert executed == CONSTRUCTS, f"bigquery_constructs.py has to be {sorted(executed)}"
