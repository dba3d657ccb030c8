"""Follows amounts and their currencies through a query.

Each amount of a summary has a currency: the value of a column of the same row. Amounts are followed through
expressions, subqueries, CTEs, joins and set operations, together with the columns and constants that are known to
equal their currency. Where amounts of several rows meet (aggregates, windows), one of these must be the same for all
rows: grouped by, partitioned by, or compared with a constant. What cannot be followed is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp
from sqlglot.optimizer.scope import Scope

from refersion_dagster.assistant.amounts import (
    QueryRefused,
    Result,
    ResultAmount,
)
from refersion_dagster.assistant.select_flow import SelectFlow
from refersion_dagster.summaries.amounts import currency_column, is_amount


class CurrencyFlow:
    """Follows amounts through the scopes of a query."""

    def __init__(self, tables: Mapping[str, Mapping[str, str]]) -> None:
        self._tables = tables
        self._results: dict[int, Result] = {}

    def follow(self, scope: Scope, outer: Mapping[str, Scope]) -> Result:
        """Returns the result columns of a scope, with what is known of those that are amounts.

        Args:
            outer: by alias, the enclosing scopes whose columns may be used.
        """
        if id(scope) not in self._results:
            query = scope.expression
            if isinstance(query, exp.SetOperation):
                self._results[id(scope)] = self._unite(scope, outer)
            elif isinstance(query, exp.Select):
                self._results[id(scope)] = SelectFlow(self, scope, outer).result()
            elif isinstance(query, exp.Subquery) and scope.subquery_scopes:
                self._results[id(scope)] = self.follow(scope.subquery_scopes[0], outer)
            else:
                raise QueryRefused(f"{query.key.upper()} cannot be followed. Write it as SELECT.")
        return self._results[id(scope)]

    def _unite(self, scope: Scope, outer: Mapping[str, Scope]) -> Result:
        if len(scope.set_operation_scopes) != 2:
            raise QueryRefused("This set operation cannot be followed. Write each part as a SELECT.")
        left, right = (self.follow(one, outer) for one in scope.set_operation_scopes)
        names, others = list(left), list(right)
        if len(names) != len(others):
            raise QueryRefused("The parts of a set operation must have the same number of columns.")
        result: Result = {}
        for name, other in zip(names, others, strict=True):
            a, b = left[name], right[other]
            if a is None and b is None:
                result[name] = None
            elif a is None or b is None:
                result[name] = ResultAmount()
            else:
                renamed = frozenset(names[others.index(one)] for one in b.columns)
                result[name] = ResultAmount(a.columns & renamed, a.tokens & b.tokens, a.is_unnamed and b.is_unnamed)
        return result

    def columns_of(self, source: exp.Expr | Scope) -> Result | None:
        """Returns the columns of a source of FROM; None if it is not known to have any amounts."""
        if isinstance(source, Scope):
            return self.follow(source, {}) if isinstance(source.expression, exp.Query) else None
        if not isinstance(source, exp.Table) or not isinstance(source.this, exp.Identifier):
            return None
        table = source.name.lower()
        return {
            name: self._amount(table, name) if is_amount(kind) else None for name, kind in self._tables[table].items()
        }

    def _amount(self, table: str, column: str) -> ResultAmount:
        currency = currency_column(table, column)
        if currency is None:
            return ResultAmount(is_unnamed=True)
        return ResultAmount(frozenset({currency}) if currency in self._tables[table] else frozenset())
