"""Queries that Redshift cannot run as they are written: subqueries as joins, percentiles by window functions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from sqlglot import exp

from refersion_dagster.warehouse.dialects.dialect import UntestedSql
from refersion_dagster.warehouse.dialects.redshift_limits import list_sources

# A comparison of a column of the subquery with an expression of the query around it.
Comparison = tuple[type[exp.Expr], exp.Expr, exp.Expr]
SWAPPED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.EQ,
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
}


def join_members(tree: exp.Expr) -> exp.Expr:
    """EXISTS, and IN (SELECT …) outside of WHERE, as a LEFT JOIN with the different values of the subquery.

    Redshift documents both for WHERE, and for correlated ones lists patterns that it cannot run.
    https://docs.aws.amazon.com/redshift/latest/dg/r_correlated_subqueries.html
    """
    numbers = count(1)
    for node in [*tree.find_all(exp.Exists, exp.In)]:
        if isinstance(node, exp.Exists) or (node.args.get("query") is not None and not _is_condition(node)):
            _replace(node, _select_of(node), next(numbers))
    return tree


def _select_of(node: exp.Expr) -> exp.Select:
    query = node.this if isinstance(node, exp.Exists) else node.args["query"].unnest()
    aggregates = query.find(exp.AggFunc, exp.Group, exp.Having, exp.Limit, exp.With, exp.Union)
    if not isinstance(query, exp.Select) or aggregates:
        raise UntestedSql(
            f"{node.sql('duckdb')} was never tested in Redshift: the subquery is a SELECT of rows, without WITH, "
            "UNION, GROUP BY and LIMIT."
        )
    return query


def _is_condition(node: exp.Expr) -> bool:
    """Whether it is one of the conditions of a WHERE that AND joins, possibly after NOT."""
    above = node.parent
    while isinstance(above, exp.And | exp.Paren | exp.Not):
        above = above.parent
    return isinstance(above, exp.Where)


def _replace(node: exp.Expr, query: exp.Select, number: int) -> None:
    around = node.find_ancestor(exp.Select, exp.Join, exp.Update, exp.Delete, exp.Having, exp.Group)
    if not isinstance(around, exp.Select) or any(isinstance(one, exp.Star) for one in around.expressions):
        raise UntestedSql(
            f"{node.sql('duckdb')} was never tested in Redshift: it is in WHERE or among the columns of a SELECT "
            "without *."
        )
    comparisons, others = (
        ([(exp.EQ, query.selects[0].unalias(), node.this)], _conditions(query))
        if isinstance(node, exp.In)
        else _split(node, query)
    )
    negated = isinstance(node.parent, exp.Not)
    is_equal = all(kind is exp.EQ for kind, *_ in comparisons)
    if isinstance(node, exp.In) and _is_negated(node):
        # NOT IN is NULL where a value of the subquery is.
        raise UntestedSql(f"NOT {node.sql('duckdb')} was never tested in Redshift outside of WHERE: use NOT EXISTS.")
    if not is_equal and not (negated and _is_condition(node) and comparisons[0][0] is exp.EQ):
        raise UntestedSql(f"{node.sql('duckdb')} was never tested in Redshift: it compares with = only.")
    name = f"members_{number}"
    columns = [exp.alias_(inner.copy(), f"member_{at}") for at, (_, inner, _) in enumerate(comparisons, 1)]
    members = exp.select(*columns, copy=False)
    for part in ("from_", "joins"):
        if value := query.args.get(part):
            members.set(part, [one.copy() for one in value] if isinstance(value, list) else value.copy())
    if others:
        members = members.where(*others, copy=False)
    if is_equal:
        members = members.distinct(copy=False)
    on = [
        kind(this=exp.column(f"member_{at}", name), expression=outer.copy())
        for at, (kind, _, outer) in enumerate(comparisons, 1)
    ]
    around.join(members.subquery(name, copy=False), on=exp.and_(*on), join_type="LEFT", copy=False)
    node.replace(exp.paren(exp.column("member_1", name).is_(exp.null()).not_()))


def _is_negated(node: exp.Expr) -> bool:
    above = node.parent
    while above is not None and not isinstance(above, exp.Not | exp.Select):
        above = above.parent
    return isinstance(above, exp.Not)


def _conditions(query: exp.Select) -> list[exp.Expr]:
    where = query.args.get("where")
    return [] if where is None else [one.copy() for one in _flat(where.this)]


def _flat(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, exp.And):
        yield from _flat(node.left)
        yield from _flat(node.right)
    else:
        yield node


def _split(node: exp.Expr, query: exp.Select) -> tuple[list[Comparison], list[exp.Expr]]:
    """The comparisons with the query around, those with = first, and the conditions of the subquery alone."""
    own, comparisons, others = list_sources(query), list[Comparison](), list[exp.Expr]()
    for one in _conditions(query):
        left, right = (_is_own(side, own) for side in (one.args.get("this"), one.args.get("expression")))
        if all(column.table in own for column in one.find_all(exp.Column)):
            others.append(one)
        elif type(one) in SWAPPED and left and right is False:
            comparisons.append((type(one), one.this, one.expression))
        elif type(one) in SWAPPED and right and left is False:
            comparisons.append((SWAPPED[type(one)], one.expression, one.this))
        else:
            raise UntestedSql(f"{node.sql('duckdb')} was never tested in Redshift: name the table of each column.")
    if not comparisons:
        raise UntestedSql(f"{node.sql('duckdb')} was never tested in Redshift: compare it with the query around it.")
    return sorted(comparisons, key=lambda one: one[0] is not exp.EQ), others


def _is_own(side: exp.Expr | None, own: frozenset[str]) -> bool | None:
    """Whether a side has columns of the subquery only; None if of both or of none."""
    tables = {column.table for column in side.find_all(exp.Column)} if side else set()
    if not tables or "" in tables:
        return None
    return True if tables <= own else None if tables & own else False


def place_percentiles(tree: exp.Expr) -> exp.Expr:
    """PERCENTILE_DISC by the places of the values: in Redshift it is a window function, or approximate.

    https://docs.aws.amazon.com/redshift/latest/dg/r_WF_PERCENTILE_DISC.html
    """
    for select in [*tree.find_all(exp.Select)]:
        found = [
            one
            for one in select.find_all(exp.WithinGroup)
            if isinstance(one.this, exp.PercentileDisc) and one.find_ancestor(exp.Select) is select
        ]
        if found:
            _place(select, found)
    return tree


def _place(select: exp.Select, percentiles: list[exp.WithinGroup]) -> None:
    source, group = select.args["from_"].this, select.args.get("group")
    if select.args.get("joins") or not isinstance(source, exp.Table):
        raise UntestedSql("A percentile was never tested in Redshift over a join: make it in a SELECT from one table.")
    keys = [key.copy() for key in group.expressions] if group else []
    inner = exp.select("*").from_(source.copy())
    if where := select.args.get("where"):
        inner.set("where", where.copy())
        select.set("where", None)
    for at, percentile in enumerate(percentiles, 1):
        value = percentile.expression.expressions[0].this
        order = exp.Order(expressions=[exp.Ordered(this=value.copy(), nulls_first=False)])
        place = exp.Window(this=exp.RowNumber(), partition_by=[key.copy() for key in keys], order=order)
        counted = exp.Window(this=exp.Count(this=value.copy()), partition_by=[key.copy() for key in keys])
        inner.select(exp.alias_(place, f"place_{at}"), exp.alias_(counted, f"count_{at}"), copy=False)
        wanted = exp.Ceil(this=exp.Mul(this=percentile.this.this, expression=exp.column(f"count_{at}")))
        first = exp.Greatest(this=wanted, expressions=[exp.Literal.number(1)])
        is_it = exp.EQ(this=exp.column(f"place_{at}"), expression=first)
        percentile.replace(exp.Max(this=exp.case().when(is_it, value.copy())))
    select.set("from_", exp.From(this=inner.subquery(source.alias_or_name)))
