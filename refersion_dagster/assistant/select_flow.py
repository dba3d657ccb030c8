"""Follows amounts and their currencies through one SELECT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from sqlglot import exp
from sqlglot.optimizer.scope import Scope

from refersion_dagster.assistant.amounts import (
    Equalities,
    FollowedAmount,
    QueryRefused,
    Result,
    ResultAmount,
    Token,
    Tokens,
)
from refersion_dagster.warehouse.sql import DIALECT

# Their result is an amount if one of their arguments is; all amounts among these must have the same currency.
PASSING = (
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Paren, exp.Cast, exp.TryCast, exp.Alias),
    *(exp.Coalesce, exp.Greatest, exp.Least, exp.Nullif, exp.Round, exp.Abs, exp.Floor, exp.Ceil, exp.Ordered),
)
# Their result is never an amount, whatever their arguments are.
ABSORBING = (
    *(exp.Predicate, exp.And, exp.Or, exp.Not, exp.Between, exp.In, exp.Is, exp.Exists, exp.Sign, exp.Distinct),
    *(exp.Count, exp.CountIf, exp.ApproxDistinct, exp.Literal, exp.Null, exp.Boolean, exp.DataType, exp.Interval),
)
# Aggregates and functions of windows whose result is an amount if an argument is.
REDUCING = (
    *(exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Median, exp.Quantile, exp.PercentileCont, exp.PercentileDisc, exp.Stddev),
    *(exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop, exp.AnyValue, exp.First, exp.Last, exp.ArgMax),
    *(exp.ArgMin, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue),
)


class ScopeFlow(Protocol):
    """Follows the scopes that a SELECT reads."""

    def follow(self, scope: Scope, outer: Mapping[str, Scope]) -> Result: ...

    def columns_of(self, source: exp.Expr | Scope) -> Result | None: ...


class SelectFlow:
    """One SELECT of a query."""

    def __init__(self, flow: ScopeFlow, scope: Scope, outer: Mapping[str, Scope]) -> None:
        self._flow, self._scope, self._outer = flow, scope, outer
        assert isinstance(scope.expression, exp.Select)  # noqa: S101 - CurrencyFlow brings only SELECTs
        self._query = scope.expression
        self._sources = {alias: source for alias, (_, source) in scope.selected_sources.items()}
        self._columns = {alias: flow.columns_of(source) for alias, source in self._sources.items()}
        self._inner = {id(one.expression): one for one in scope.subquery_scopes}
        self._equal = Equalities()
        self._learn()
        group = self._query.args.get("group")
        keys = list(group.expressions) if group else []
        if group and group.args.get("all"):
            keys = [one.unalias() for one in self._query.selects if not one.find(exp.AggFunc, exp.Window)]
        self._keys = frozenset(self._tokens(keys))

    def result(self) -> Result:
        """Returns the columns of the SELECT. Raises QueryRefused."""
        for clause in ("joins", "where", "group", "having", "qualify", "order", "distinct", "limit", "offset"):
            of = self._query.args.get(clause)
            for part in of if isinstance(of, list) else [of]:
                if isinstance(part, exp.Expr):
                    self._visit_clause(part)
        result: Result = {}
        for projection in self._query.selects:
            name = projection.alias_or_name
            if not name or name in result:
                raise QueryRefused(
                    f"Give each column of a SELECT a name of its own{f', not {name} twice' if name else ''}."
                )
            result[name] = None
        for projection in self._query.selects:
            money = self._money(projection.unalias())
            if money is not None:
                result[projection.alias_or_name] = self._carry(money)
        return result

    def _visit_clause(self, part: exp.Expr) -> None:
        if isinstance(part, exp.Join):
            if on := part.args.get("on"):
                self._money(on)
            if isinstance(part.this, exp.Unnest):
                self._refuse_amounts(part.this)
        elif isinstance(part, exp.Where | exp.Having | exp.Qualify):
            self._money(part.this)
        elif isinstance(part, exp.Limit | exp.Offset):
            self._refuse_amounts(part)
        else:
            for one in part.expressions:
                self._money(one.this if isinstance(one, exp.Ordered) else one)

    def _learn(self) -> None:
        """Collects the columns and constants that are equal in the rows of this SELECT."""
        if where := self._query.args.get("where"):
            self._equal.always += self._pairs(where.this)
        left: set[str] = set()
        if source := self._query.args.get("from_") or self._query.args.get("from"):
            left.add(source.this.alias_or_name)
            if isinstance(source.this, exp.Unnest):
                self._refuse_amounts(source.this)
        for join in self._query.args.get("joins") or []:
            alias = join.this.alias_or_name
            pairs = list(self._pairs(on)) if (on := join.args.get("on")) else []
            side, kind = str(join.side or "").upper(), str(join.kind or "").upper()
            if join.args.get("method") or kind not in ("", "INNER", "CROSS", "OUTER"):
                pairs = []
            if side == "" and kind != "OUTER":
                self._equal.always += pairs
            elif side in ("LEFT", "RIGHT"):
                optional = {alias} if side == "LEFT" else left
                for a, b in pairs:
                    for one, other in ((a, b), (b, a)):
                        if one[0] is self._scope and one[1] in optional:
                            self._equal.matched.append((one, other))
            left = left | {alias}

    def _pairs(self, condition: exp.Expr) -> Iterator[tuple[Token, Token]]:
        """Yields what a condition says to be equal, as far as all of it must hold."""
        condition = condition.unnest()
        if isinstance(condition, exp.And):
            yield from self._pairs(condition.this)
            yield from self._pairs(condition.expression)
        elif isinstance(condition, exp.EQ):
            a, b = self._token(condition.this), self._token(condition.expression)
            if a and b:
                yield a, b
        elif isinstance(condition, exp.In) and len(condition.expressions) == 1 and not condition.args.get("query"):
            a, b = self._token(condition.this), self._token(condition.expressions[0])
            if a and b:
                yield a, b

    def _token(self, node: exp.Expr) -> Token | None:
        node = node.unnest()
        if isinstance(node, exp.Literal):
            return ("", "", node.this) if node.is_string else None
        if not isinstance(node, exp.Column) or not node.table:
            return None
        holder = self._scope if node.table in self._sources else self._outer.get(node.table)
        return (holder, node.table, node.name) if holder else None

    def _tokens(self, nodes: Iterable[exp.Expr]) -> Iterator[Token]:
        for node in nodes:
            if isinstance(node, exp.Column) and (token := self._token(node)):
                yield token

    def _is_outside(self, token: Token) -> bool:
        """Whether it is the same for all rows of this SELECT: a constant, or a column of an enclosing query."""
        return token[0] is not self._scope

    def _carry(self, money: FollowedAmount) -> ResultAmount:
        """Returns an amount of this SELECT as an amount of its result."""
        columns = frozenset(
            projection.alias_or_name
            for projection in self._query.selects
            if (token := self._token(projection.unalias())) and token in money.tokens
        )
        return ResultAmount(columns, frozenset(filter(self._is_outside, money.tokens)), money.is_unnamed)

    def _refuse_amounts(self, node: exp.Expr) -> None:
        for child in node.iter_expressions():
            if self._money(child) is not None:
                raise QueryRefused(f"{node.sql(DIALECT)[:80]} cannot be followed, because it is about amounts.")

    def _money(self, node: exp.Expr) -> FollowedAmount | None:
        """Returns what is known of an expression that is an amount; None if it is none. Raises QueryRefused."""
        if isinstance(node, exp.Column):
            return self._column(node)
        if isinstance(node, exp.Subquery):
            return self._scalar(node.this)
        if isinstance(node, exp.Query):
            return self._scalar(node)
        if isinstance(node, exp.Window):
            return self._window(node)
        if isinstance(node, exp.Filter):
            return self._filtered(node)
        if isinstance(node, exp.WithinGroup):
            return self._reduce(node, self._keys, self._equal)
        if isinstance(node, REDUCING):
            return self._reduce(node, self._keys, self._equal)
        found = [(child, self._money(child)) for child in _values(node)]
        for condition in _conditions(node):
            self._money(condition)
        amounts = [money for _, money in found if money is not None]
        if not amounts or isinstance(node, ABSORBING):
            return None
        if isinstance(node, (*PASSING, exp.Case, exp.If)):
            return self._combine(amounts, node)
        raise QueryRefused(
            f"{node.sql(DIALECT)[:80]} cannot be followed, because it is about amounts. Use sum, avg, min, max, "
            "median, round, abs, coalesce, CASE and arithmetic."
        )

    def _column(self, node: exp.Column) -> FollowedAmount | None:
        if not node.table:
            # ORDER BY, HAVING and QUALIFY may name a column of the result, which is followed where it is made.
            clause = node.find_ancestor(exp.Order, exp.Having, exp.Qualify, exp.AggFunc, exp.Window)
            if node.name in self._query.named_selects and isinstance(clause, exp.Order | exp.Having | exp.Qualify):
                return None
            raise QueryRefused(f"{node.sql(DIALECT)[:80]} cannot be followed. Qualify it with its table.")
        if node.table not in self._sources:
            holder = self._outer.get(node.table)
            if holder is None:
                raise QueryRefused(f"{node.sql(DIALECT)[:80]} cannot be followed. Qualify it with its table.")
            source = holder.selected_sources[node.table][1]
            columns, scope = self._flow.columns_of(source), holder
        else:
            columns, scope = self._columns[node.table], self._scope
        money = columns.get(node.name) if columns else None
        if money is None:
            return None
        own: set[Token] = {(scope, node.table, name) for name in money.columns}
        return FollowedAmount(self._equal.reach(own | money.tokens), money.is_unnamed)

    def _inside(self, query: exp.Expr) -> Result:
        inner = self._inner.get(id(query)) or self._inner.get(id(query.unnest()))
        if inner is None:
            raise QueryRefused("A subquery cannot be followed. Write it as a CTE.")
        return self._flow.follow(inner, {**self._outer, **dict.fromkeys(self._sources, self._scope)})

    def _scalar(self, query: exp.Expr) -> FollowedAmount | None:
        money = [one for one in self._inside(query).values() if one is not None]
        if not money:
            return None
        return FollowedAmount(self._equal.reach(money[0].tokens), money[0].is_unnamed)

    def _combine(self, amounts: list[FollowedAmount], node: exp.Expr) -> FollowedAmount:
        common = amounts[0].tokens
        for one in amounts[1:]:
            common &= one.tokens
        if len(amounts) > 1 and not common:
            raise QueryRefused(
                f"{node.sql(DIALECT)[:80]} combines amounts whose currencies may differ. Join them on their currency, "
                "or compare both with the same one."
            )
        return FollowedAmount(common, any(one.is_unnamed for one in amounts))

    def _reduce(self, node: exp.Expr, same: Tokens, equal: Equalities) -> FollowedAmount | None:
        """Checks an aggregate or a window function: its rows need one currency.

        Args:
            same: columns that are the same in all of these rows.
        """
        found = [money for child in node.iter_expressions() if (money := self._argument(child)) is not None]
        if not found:
            return None
        amount = self._combine(found, node)
        tokens = equal.reach(amount.tokens)
        kept = frozenset(token for token in tokens if token in same or self._is_outside(token))
        if not kept:
            words = "PARTITION BY" if isinstance(node.parent, exp.Window) else "GROUP BY"
            why = "are in the currencies of offers, which no column names" if amount.is_unnamed else "may differ"
            raise QueryRefused(
                f"{node.sql(DIALECT)[:80]} would combine amounts of different currencies: their currencies {why}. "
                f"Amounts of different currencies are never added. Add the currency to {words} and to the SELECT, or "
                "compare it with one: WHERE currency = 'USD'."
            )
        if isinstance(node, exp.ArgMax | exp.ArgMin) and self._money(node.this) is None:
            return None
        return FollowedAmount(kept, amount.is_unnamed)

    def _argument(self, child: exp.Expr) -> FollowedAmount | None:
        """An argument of an aggregate, which may be DISTINCT or in an order."""
        if isinstance(child, exp.Distinct | exp.Order | exp.Ordered | exp.Tuple):
            found = [money for one in child.iter_expressions() if (money := self._argument(one)) is not None]
            return self._combine(found, child) if found else None
        if isinstance(child, (*REDUCING, exp.IgnoreNulls, exp.RespectNulls)) and isinstance(
            child.parent, exp.WithinGroup
        ):
            return None
        return self._money(child)

    def _filtered(self, node: exp.Filter) -> FollowedAmount | None:
        where = node.expression.this
        self._money(where)
        if not isinstance(node.this, REDUCING):
            return self._money(node.this)
        return self._reduce(
            node.this,
            self._keys,
            Equalities([*self._equal.always, *self._pairs(where)], self._equal.matched),
        )

    def _window(self, node: exp.Window) -> FollowedAmount | None:
        partition = node.args.get("partition_by") or []
        for one in partition:
            self._money(one)
        if order := node.args.get("order"):
            for one in order.expressions:
                self._money(one.this)
        function, equal = node.this, self._equal
        if isinstance(function, exp.IgnoreNulls | exp.RespectNulls):
            function = function.this
        if isinstance(function, exp.Filter):
            pairs = list(self._pairs(function.expression.this))
            equal = Equalities([*equal.always, *pairs], equal.matched)
            function = function.this
        if isinstance(function, REDUCING):
            return self._reduce(function, frozenset(self._tokens(partition)), equal)
        return self._money(function)


def _values(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yields the operands of which an expression's value is one, or is made."""
    if isinstance(node, exp.Case):
        for one in node.args.get("ifs") or []:
            yield one.args["true"]
        if default := node.args.get("default"):
            yield default
    elif isinstance(node, exp.If):
        yield from (one for name in ("true", "false") if (one := node.args.get(name)))
    else:
        yield from node.iter_expressions()


def _conditions(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, exp.Case):
        yield from (one.this for one in node.args.get("ifs") or [])
        if operand := node.this:
            yield operand
    elif isinstance(node, exp.If):
        yield node.this
