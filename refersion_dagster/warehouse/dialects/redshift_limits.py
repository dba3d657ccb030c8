"""What Amazon Redshift lacks or treats differently from DuckDB, as documented by AWS.

A statement that still contains one of these after translation is refused by name. Pages are those of the Database
Developer Guide, https://docs.aws.amazon.com/redshift/latest/dg/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlglot import exp

AGGREGATES = (exp.Sum, exp.Min, exp.Max, exp.Avg, exp.Count, exp.FirstValue, exp.LastValue)
# Names that Redshift does not accept for columns.
SYSTEM_COLUMNS = frozenset({"oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})


@dataclass(frozen=True)
class Limit:
    """One construct that Redshift does not support, or that has another result there.

    Args:
        name: what a message calls it.
        page: the page of AWS's guide that says so.
        contains: whether a node of a translated statement is this construct.
    """

    name: str
    page: str
    contains: Callable[[exp.Expr], bool]


def find_limits(tree: exp.Expr) -> Iterator[Limit]:
    """The limits that a translated statement exceeds, each once."""
    nodes = [*tree.walk()]
    for limit in LIMITS:
        if any(map(limit.contains, nodes)):
            yield limit


def list_sources(query: exp.Expr) -> frozenset[str]:
    """Names by which columns refer to the tables of a SELECT."""
    joined = [query.args.get("from_"), *(query.args.get("joins") or ())]
    return frozenset(one.this.alias_or_name for one in joined if one is not None)


def is_correlated(node: exp.Expr) -> bool:
    """Whether a SELECT refers to tables of a SELECT around it. Columns without a table name are its own."""
    if not isinstance(node, exp.Select) or not node.find_ancestor(exp.Select, exp.Update, exp.Delete):
        return False
    names = {name for select in node.find_all(exp.Select) for name in list_sources(select)}
    return any(column.table and column.table not in names for column in node.find_all(exp.Column))


def _of(*kinds: type[exp.Expr]) -> Callable[[exp.Expr], bool]:
    return lambda node: isinstance(node, kinds)


def _calls(*names: str) -> Callable[[exp.Expr], bool]:
    return lambda node: isinstance(node, exp.Anonymous) and node.name.lower() in names


def _is_range_frame(node: exp.Expr) -> bool:
    return isinstance(node, exp.WindowSpec) and node.args.get("kind") != "ROWS"


def _lacks_frame(node: exp.Expr) -> bool:
    return (
        isinstance(node, exp.Window)
        and isinstance(node.this, AGGREGATES)
        and node.args.get("order") is not None
        and node.args.get("spec") is None
    )


def _has_default(node: exp.Expr) -> bool:
    return isinstance(node, exp.Lag | exp.Lead) and node.args.get("default") is not None


def _tests_boolean(node: exp.Expr) -> bool:
    return isinstance(node, exp.Is) and isinstance(node.expression, exp.Boolean)


def _compares_booleans(node: exp.Expr) -> bool:
    return isinstance(node, exp.Max | exp.Min) and isinstance(node.this, exp.Predicate | exp.Connector | exp.Not)


def _is_boolean_text(node: exp.Expr) -> bool:
    return (
        isinstance(node, exp.Cast)
        and node.is_type(*exp.DataType.TEXT_TYPES)
        and (isinstance(node.this, exp.Predicate | exp.Connector | exp.Not) or node.this.is_type(exp.DType.BOOLEAN))
    )


def _lacks_digits(node: exp.Expr) -> bool:
    return isinstance(node, exp.DataType) and node.is_type(exp.DType.DECIMAL) and len(node.expressions) < 2


def _is_row(node: exp.Expr) -> bool:
    return isinstance(node, exp.Tuple) and not isinstance(node.parent, exp.Values | exp.In)


def _is_inner_with(node: exp.Expr) -> bool:
    return isinstance(node, exp.With) and node.find_ancestor(exp.CTE) is not None


def _recurses(node: exp.Expr) -> bool:
    return isinstance(node, exp.With) and bool(node.args.get("recursive"))


def _is_unequal_full_join(node: exp.Expr) -> bool:
    if not isinstance(node, exp.Join) or node.side != "FULL":
        return False
    on = node.args.get("on")
    conditions = [*on.flatten()] if isinstance(on, exp.And) else [on]
    return not all(isinstance(one, exp.EQ) for one in conditions)


def _joins_outer(node: exp.Expr) -> bool:
    return (
        isinstance(node, exp.Join)
        and bool(node.side)
        and isinstance(node.find_ancestor(exp.Select, exp.Update), exp.Update)
    )


def _groups_by_subquery(node: exp.Expr) -> bool:
    return isinstance(node, exp.Subquery) and isinstance(
        node.find_ancestor(exp.Group, exp.Having, exp.Select), exp.Group | exp.Having
    )


def _orders_by_text(node: exp.Expr) -> bool:
    return isinstance(node, exp.Ordered) and isinstance(node.this, exp.Literal) and node.this.is_string


def _is_system_column(node: exp.Expr) -> bool:
    return isinstance(node, exp.Alias | exp.ColumnDef) and node.alias_or_name.lower() in SYSTEM_COLUMNS


def _is_distinct_on(node: exp.Expr) -> bool:
    return isinstance(node, exp.Distinct) and node.args.get("on") is not None


def _adds_months(node: exp.Expr) -> bool:
    return isinstance(node, exp.Interval) and node.args["unit"].name.upper() in ("MONTH", "QUARTER", "YEAR")


def _orders_lists_differently(node: exp.Expr) -> bool:
    if node.parent is not None:
        return False
    lists = [one for one in node.find_all(exp.WithinGroup) if one.this.name.upper() == "LISTAGG"]
    return len({one.expression.sql("redshift") for one in lists}) > 1


def _checks_existing(node: exp.Expr) -> bool:
    return isinstance(node, exp.Create) and bool(node.args.get("exists")) and isinstance(node.expression, exp.Query)


FUNCTIONS = "c_unsupported-postgresql-functions.html"
FEATURES = "c_unsupported-postgresql-features.html"
WINDOWS = "c_Window_functions.html"
LIMITS = (
    Limit("generate_series", FUNCTIONS, _of(exp.GenerateSeries)),
    Limit("STRING_AGG", FUNCTIONS, _of(exp.GroupConcat)),
    Limit("ARRAY_AGG", FUNCTIONS, _of(exp.ArrayAgg)),
    Limit("IS DISTINCT FROM", FUNCTIONS, _of(exp.NullSafeEQ, exp.NullSafeNEQ)),
    Limit(
        "a function of PostgreSQL that it lacks",
        FUNCTIONS,
        _calls("every", "div", "width_bucket", "overlay", "format", "clock_timestamp", "justify_days", "bit_length"),
    ),
    Limit("an array", FEATURES, _of(exp.Array, exp.Bracket, exp.Unnest)),
    Limit("a row constructor", FEATURES, _is_row),
    Limit("a system column's name", FEATURES, _is_system_column),
    Limit("COLLATE of a locale", FEATURES, _of(exp.Collate)),
    Limit("LATERAL", "r_FROM_clause30.html", _of(exp.Lateral)),
    Limit("CONCAT of several texts, of which NULL makes NULL", "r_CONCAT.html", _of(exp.Concat, exp.ConcatWs)),
    Limit("DISTINCT ON", "r_SELECT_list.html", _is_distinct_on),
    Limit("FILTER of an aggregate", "c_Aggregate_Functions.html", _of(exp.Filter)),
    Limit("PERCENTILE_DISC as an aggregate", "r_WF_PERCENTILE_DISC.html", _of(exp.PercentileDisc)),
    Limit("LISTAGG in two orders", "r_LISTAGG.html", _orders_lists_differently),
    Limit("a RANGE frame", WINDOWS, _is_range_frame),
    Limit("an aggregate OVER (ORDER BY …) without a frame", WINDOWS, _lacks_frame),
    Limit("LAG or LEAD with a default", "r_WF_LAG.html", _has_default),
    Limit("IS TRUE or IS FALSE", "r_Boolean_type.html", _tests_boolean),
    Limit("MIN or MAX of a condition", "r_MAX.html", _compares_booleans),
    Limit("the text of a condition", "r_Boolean_type.html", _is_boolean_text),
    Limit("DECIMAL without digits, which is DECIMAL(18, 0)", "r_Numeric_types201.html", _lacks_digits),
    Limit("WITH inside WITH", "r_WITH_clause.html", _is_inner_with),
    Limit("WITH RECURSIVE", "r_WITH_clause.html", _recurses),
    Limit("FULL JOIN without equality", "r_Join_examples.html", _is_unequal_full_join),
    Limit("an outer join in UPDATE", "r_UPDATE.html", _joins_outer),
    Limit("a subquery in GROUP BY or HAVING", "r_scalar_subqueries.html", _groups_by_subquery),
    Limit("a correlated subquery", "r_correlated_subqueries.html", is_correlated),
    Limit("a text in ORDER BY", "r_ORDER_BY_clause.html", _orders_by_text),
    Limit("an INTERVAL of months, quarters or years", "r_interval_literals.html", _adds_months),
    Limit("CURRENT_TIMESTAMP", "c_SQL_functions_leader_node_only.html", _of(exp.CurrentTimestamp)),
    Limit("CREATE TABLE IF NOT EXISTS … AS", "r_CREATE_TABLE_AS.html", _checks_existing),
)
