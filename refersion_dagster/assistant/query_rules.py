"""Which SQL may run: one SELECT that reads summaries and adds no amounts of different currencies.

The tree that was checked is what runs, so that nothing depends on how another parser understands the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from refersion_dagster.assistant.amounts import QueryRefused
from refersion_dagster.assistant.currency_flow import CurrencyFlow
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.warehouse.sql import DIALECT

# Longer queries are refused before they are parsed.
MAX_CHARACTERS = 10_000
# Functions that read more than their arguments, or change something.
FORBIDDEN_FUNCTIONS = {
    *(
        "current_setting",
        "getenv",
        "getvariable",
        "nextval",
        "currval",
        "setseed",
        "write_log",
        "json_execute_serialized_sql",
    ),
    *(
        "current_database",
        "current_catalog",
        "current_schema",
        "current_schemas",
        "query",
        "query_table",
        "txid_current",
    ),
}
FORBIDDEN_NODES: dict[type[exp.Expr], str] = {
    exp.Lateral: "LATERAL",
    exp.Pivot: "PIVOT and UNPIVOT",
    exp.Rollup: "ROLLUP",
    exp.Cube: "CUBE",
    exp.GroupingSets: "GROUPING SETS",
    exp.Columns: "COLUMNS(…)",
    exp.TableColumn: "a whole row as one value",
    exp.Into: "INTO",
    exp.Lock: "FOR UPDATE",
    exp.Placeholder: "a parameter",
    exp.Parameter: "a variable",
    exp.SessionParameter: "a setting",
    exp.Insert: "INSERT",
    exp.Update: "UPDATE",
    exp.Delete: "DELETE",
    exp.Merge: "MERGE",
    exp.DDL: "CREATE and ALTER",
    exp.Command: "a command",
}


@dataclass(frozen=True)
class CheckedQuery:
    """A query that may run.

    Args:
        tree: the query as it was analysed, with all names qualified.
        currencies: by result column with amounts: `column NAME` or a currency; None where no column names it.
    """

    tree: exp.Query
    currencies: dict[str, str | None]


def check_query(sql: str, tables: Mapping[str, Mapping[str, str]]) -> CheckedQuery:
    """Returns the query to run. Raises QueryRefused.

    Args:
        tables: the DuckDB types of the columns that may be read, by table.
    """
    try:
        return _check(_parse(sql), tables)
    except RecursionError:
        raise QueryRefused("The query is nested too deeply. Use CTEs.") from None


def _check(tree: exp.Query, tables: Mapping[str, Mapping[str, str]]) -> CheckedQuery:
    _refuse_forbidden(tree, tables)
    schema: dict[str, object] = {SUMMARIES: {table: dict(columns) for table, columns in tables.items()}}
    try:
        tree = qualify(tree, dialect=DIALECT, schema=schema, db=SUMMARIES, infer_schema=False)
        scope = build_scope(tree)
    except SqlglotError as error:
        first = str(error).splitlines()[0]
        raise QueryRefused(f"The query cannot be followed: {first} Qualify each column with its table.") from None
    if scope is None or not isinstance(tree, exp.Query):
        raise QueryRefused("The query cannot be followed. Write it as one SELECT.")
    # Names of the qualified tree, such as those that stars stand for.
    _refuse_forbidden(tree, tables)
    result = CurrencyFlow(tables).follow(scope, {})
    currencies: dict[str, str | None] = {}
    for name, money in result.items():
        if money is None:
            continue
        constants = sorted(text for holder, _, text in money.tokens if holder == "")
        if money.columns:
            currencies[name] = f"column {min(money.columns)}"
        elif constants:
            currencies[name] = constants[0]
        elif money.is_unnamed:
            currencies[name] = None
        else:
            raise QueryRefused(
                f"The result has amounts in {name} without their currency. Add the column of their currency to the "
                "SELECT (and to GROUP BY), or compare it with one currency: WHERE currency = 'USD'."
            )
    return CheckedQuery(tree, currencies)


def _parse(sql: str) -> exp.Query:
    if len(sql) > MAX_CHARACTERS:
        raise QueryRefused(f"The query is longer than {MAX_CHARACTERS:,} characters. Ask for less at once.")
    try:
        statements = [statement for statement in sqlglot.parse(sql, dialect=DIALECT) if statement]
    except SqlglotError as error:
        raise QueryRefused(f"The query cannot be parsed: {str(error).splitlines()[0]}") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query) or isinstance(statements[0], exp.Subquery):
        raise QueryRefused("Only one SELECT is allowed: no other statement, and no second one.")
    return statements[0]


def _refuse_forbidden(tree: exp.Expr, tables: Mapping[str, object]) -> None:
    """Raises QueryRefused for anything but reading the tables."""
    parts = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    for node in tree.walk():
        for kind, words in FORBIDDEN_NODES.items():
            if isinstance(node, kind):
                raise QueryRefused(f"{words} is not allowed. Write a SELECT with subqueries, CTEs, joins and GROUP BY.")
        if isinstance(node, exp.With) and node.args.get("recursive"):
            raise QueryRefused("WITH RECURSIVE is not allowed.")
        if isinstance(node, exp.Join) and str(node.args.get("method") or "").upper() == "NATURAL":
            raise QueryRefused("NATURAL JOIN is not allowed. Name the columns with ON or USING.")
        if isinstance(node, exp.SetOperation) and node.args.get("by_name"):
            raise QueryRefused("UNION BY NAME is not allowed. List the columns in the same order.")
        if isinstance(node, exp.Window) and node.alias:
            raise QueryRefused("Named windows are not allowed. Write OVER (PARTITION BY …) each time.")
        if isinstance(node, exp.Func):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
            if name.lower() in FORBIDDEN_FUNCTIONS:
                raise QueryRefused(f"The function {name.lower()} is not allowed.")
        if isinstance(node, exp.Values | exp.GenerateSeries) and node.find(exp.Query, exp.Column):
            raise QueryRefused(f"{node.key.upper()} with columns or subqueries is not allowed. Use a CTE.")
        if isinstance(node, exp.Table):
            _refuse_table(node, tables, parts)


def _refuse_table(table: exp.Table, tables: Mapping[str, object], parts: Iterable[str]) -> None:
    if isinstance(table.this, exp.GenerateSeries):
        return
    known = f"Available are {', '.join(sorted(tables))}."
    if not isinstance(table.this, exp.Identifier):
        raise QueryRefused(f"{table.this.sql(DIALECT)[:80]} is not a table, so it cannot be read. {known}")
    if table.catalog or table.db.lower() not in ("", SUMMARIES):
        raise QueryRefused(f"{table.sql(DIALECT)[:80]} cannot be read, only summaries. {known}")
    if table.name.lower() not in tables and (table.db or table.name.lower() not in parts):
        raise QueryRefused(f"There is no table {table.name[:80]}. {known}")
