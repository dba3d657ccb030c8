"""Comparison of a statement's results in DuckDB and in another engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb
from sqlglot import exp

from refersion_dagster.warehouse.dialects.dialect import Dialect, constructs_of
from refersion_dagster_tests.engines.engine import Engine
from refersion_dagster_tests.engines.evaluated_account import Evaluated, Loaded
from refersion_dagster_tests.engines.result import NUMBER, Result, comparable


def difference(
    engine: Engine, dialect: Dialect, database: Path, tables: Path, tree: exp.Expr, sums_are_numbers: bool = False
) -> str:
    """The differences between DuckDB's result and the engine's; '' if there are none.

    Args:
        sums_are_numbers: whether the engine makes a decimal of a sum of whole numbers, so that both types are one.
    """
    answer = engine.run(tables, {"": dialect.write(tree.copy())})[""]
    if "error" in answer:
        return answer["error"]
    if not isinstance(tree, exp.Query):
        changed = [] if isinstance(tree, exp.Create) else changed_rows(database, tree)
        return Result([], changed).difference(Result([], Result.of_engine(answer).rows), in_order=False)
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        expected = Result.of_duckdb(connection, tree.sql("duckdb"))
    found = Result.of_engine(answer)
    if sums_are_numbers:
        expected, found = with_numbers(expected), with_numbers(found)
    return expected.difference(found, in_order="order" in tree.args and bool(tree.args["order"]))


def with_numbers(result: Result) -> Result:
    columns = [(name, NUMBER if family == "integer" else family) for name, family in result.columns]
    return Result(columns, result.rows)


def differences(
    engine: Engine,
    dialect: Dialect,
    database: Path,
    tables: Path,
    trees: Mapping[str, exp.Expr],
    sums_are_numbers: bool = False,
) -> dict[str, str]:
    """The differences by the text of the statement; empty if all results are equal."""
    found = {
        text: difference(engine, dialect, database, tables, tree, sums_are_numbers) for text, tree in trees.items()
    }
    return {text: said for text, said in found.items() if said}


def changed_rows(database: Path, tree: exp.Expr) -> list[tuple[str | None, ...]]:
    """The new rows of a statement in DuckDB, with empty rows for deleted ones. The statement is rolled back."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.begin()
        changed = connection.execute(f"{tree.sql('duckdb')} RETURNING *").fetchall()
        connection.rollback()
    return [() if isinstance(tree, exp.Delete) else tuple(map(comparable, row)) for row in changed]


def executed_constructs(loaded: Loaded, accounts: Iterable[Evaluated]) -> frozenset[str]:
    """The constructs of all executed statements."""
    selects = [tree for account in accounts for tree in (*account.named.values(), *account.others.values())]
    return frozenset[str]().union(*map(constructs_of, (*selects, *loaded.statements.values())))
