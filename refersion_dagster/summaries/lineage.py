"""Column lineage: the source columns of each column of a summary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.query import RAW_COLUMNS, Summary
from refersion_dagster.warehouse.sql import DIALECT
from refersion_dagster.warehouse.sql_file import SqlFile, SqlFileError, SqlHeader

HeaderType = TypeVar("HeaderType", bound=SqlHeader)
Source = tuple[str, str, str]  # schema, table, column


def column_sources(summary: Summary, others: Iterable[Summary]) -> dict[str, list[Source]]:
    """Returns the columns from which each column of the summary is calculated.

    Args:
        others: summaries that it may read.

    Raises SqlglotError if the SELECT names a column that its table does not have.
    """
    root = _scope(summary.file.tree, summary.depends_on, others)
    if root is None:
        return {column: [] for column in summary.columns}
    traced = _LineageQuery()
    return {column: sorted(traced.sources(root, place)) for place, column in enumerate(summary.columns)}


def deciding_sources(
    tree: exp.Query, depends_on: Sequence[tuple[str, str]], others: Iterable[Summary]
) -> frozenset[Source]:
    """Returns the columns that decide whether a query returns rows: those in its conditions, not in its output."""
    root = _scope(tree, depends_on, others)
    if root is None:
        return frozenset()
    traced = _LineageQuery()
    found: set[Source] = set()
    for scope in root.traverse():
        conditions = [scope.expression.args.get(part) for part in ("where", "having")]
        conditions += [join.args.get("on") for join in scope.expression.args.get("joins") or ()]
        for condition in filter(None, conditions):
            found |= traced.read(scope, condition)
    return frozenset(found)


def check_columns(file: SqlFile[HeaderType], depends_on: Sequence[tuple[str, str]], others: Iterable[Summary]) -> None:
    """Raises SqlFileError with the line of a column that none of the tables has.

    Args:
        depends_on: (schema, table) pairs that the file reads.
        others: summaries that it may read.
    """
    known = [*others]
    if wrong := _find_error(file.tree, depends_on, known):
        words = set(re.findall(r"\w+", wrong))
        named = [one for one in file.tree.find_all(exp.Column, exp.Table) if one.name in words]
        # The same name may be right elsewhere in the SELECT.
        causes = [one for one in named if _find_error(_without(file.tree, one), depends_on, known) != wrong]
        place = next(iter([*causes, *named]), None)
        line = file.find_node_line(place) if place else file.line
        raise SqlFileError(f"{file.path}:{line}: the columns of this SELECT cannot be resolved: {wrong}.")


def _find_error(tree: exp.Query, depends_on: Sequence[tuple[str, str]], others: Iterable[Summary]) -> str | None:
    """Returns why a query's columns cannot be resolved; None if they can."""
    try:
        _scope(tree, depends_on, others)
    except SqlglotError as error:
        return re.split(r"\.? \(?Line: |\n", str(error))[0].rstrip(".")
    return None


def _without(tree: exp.Query, node: exp.Expr) -> exp.Query:
    """Returns a copy of a query with NULL for a column."""
    if not isinstance(node, exp.Column):
        return tree
    place = next(at for at, one in enumerate(tree.walk()) if one is node)
    copied = tree.copy()
    found = [*copied.walk()][place]
    is_output = isinstance(found.parent, exp.Select) and found.arg_key == "expressions"
    found.replace(exp.alias_(exp.Null(), node.name) if is_output else exp.Null())
    return copied


def _scope(tree: exp.Query, depends_on: Sequence[tuple[str, str]], others: Iterable[Summary]) -> Scope | None:
    columns = {(DATASET, table): names for table, names in RAW_COLUMNS.items()}
    columns |= {(SUMMARIES, other.name): other.columns for other in others}
    schema: dict[str, object] = {}
    for dataset in {dataset for dataset, _ in depends_on}:
        read = [table for of, table in depends_on if of == dataset and (of, table) in columns]
        schema[dataset] = {table: dict.fromkeys(columns[dataset, table], "text") for table in read}
    return build_scope(
        qualify(tree.copy(), schema=schema, dialect=DIALECT, infer_schema=False, quote_identifiers=False)
    )


class _LineageQuery:
    """A qualified query whose scopes are each traced once.

    sqlglot.lineage copies the query for every column, which takes longer than building most summaries.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], set[Source]] = {}
        self._places: dict[int, dict[str, int]] = {}

    def sources(self, scope: Scope, place: int) -> set[Source]:
        """Returns the sources of a scope's column, by its position."""
        key = (id(scope), place)
        if key not in self._found:
            self._found[key] = set()  # a recursive CTE has the sources of its anchor
            self._found[key] = self._follow(scope, place)
        return self._found[key]

    def _follow(self, scope: Scope, place: int) -> set[Source]:
        query = scope.expression
        if isinstance(query, exp.SetOperation):
            return set().union(*(self.sources(part, place) for part in scope.set_operation_scopes))
        if isinstance(query, exp.Query):
            return self.read(scope, query.selects[place]) if place < len(query.selects) else set()
        return self.read(scope, query)  # a table function has the sources of its arguments

    def read(self, scope: Scope, expression: exp.Expr) -> set[Source]:
        """Returns the sources of an expression in a scope."""
        found: set[Source] = set()
        for column in expression.find_all(exp.Column):
            source = _read(scope, column.table)
            if isinstance(source, Scope):
                place = self._place(source, column.name)
                found |= set() if place is None else self.sources(source, place)
            elif isinstance(source, exp.Table) and source.db:
                found.add((source.db, source.name, column.name))
            elif isinstance(source, exp.Table) and isinstance(source.this, exp.Func):
                found |= self.read(scope, source.this)
        return found

    def _place(self, scope: Scope, column: str) -> int | None:
        """Returns the position of a column in a scope; 0 for a table function, which has any column."""
        if not isinstance(scope.expression, exp.Query):
            return 0
        if id(scope) not in self._places:
            names = scope.expression.named_selects
            self._places[id(scope)] = {name: place for place, name in reversed(list(enumerate(names)))}
        return self._places[id(scope)].get(column)


def _read(scope: Scope, table: str) -> exp.Expr | Scope | None:
    """Resolves a table name in the scope itself, in its subqueries or in its parent."""
    for one in (scope, *scope.subquery_scopes, *([scope.parent] if scope.parent else [])):
        if table in one.sources:
            return one.sources[table]
    return None
