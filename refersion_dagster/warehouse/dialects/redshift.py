"""Amazon Redshift's dialect."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from refersion_dagster.warehouse.dialects.constructs import CONSTRUCTS
from refersion_dagster.warehouse.dialects.dialect import Dialect, UntestedSql
from refersion_dagster.warehouse.dialects.redshift_limits import find_limits
from refersion_dagster.warehouse.dialects.redshift_queries import join_members, place_percentiles
from refersion_dagster.warehouse.dialects.rules import (
    Rules,
    apply_rules,
    call,
    change_case,
    check_written_alike,
    keep_existing,
    shows_clocks,
    without_alias,
)

# Of DECIMAL(p1, s1) / DECIMAL(p2, s2) with more than 38 digits, Redshift keeps p1 - s1 + s2 digits before the point and
# the rest after it: 13 with these types. A cast to 12 digits then rounds as in DuckDB.
# https://docs.aws.amazon.com/redshift/latest/dg/r_numeric_computations201.html
DIVIDEND, DIVISOR = "DECIMAL(27, 12)", "DECIMAL(30, 10)"
# Tables are built from ten digits. Series are shorter than 273 years of days, or 833 years of months.
PLACES = {"DAY": 5, "MONTH": 4}
LONGEST = 5
GUIDE = "https://docs.aws.amazon.com/redshift/latest/dg/"
DAYS, SECONDS = "YYYY-MM-DD", "YYYY-MM-DD HH24:MI:SS"


@dataclass(frozen=True)
class RedshiftDialect(Dialect):
    """Amazon Redshift's dialect, for sessions in UTC.

    The rules follow AWS's documentation: there is no engine that could execute the tests. What `redshift_limits` lists
    is refused.
    """

    name = "redshift"
    constructs = CONSTRUCTS

    def fit(self, tree: exp.Expr) -> exp.Expr:
        written = tree.sql("duckdb", comments=False)[:500]
        fitted = apply_rules(place_percentiles(join_members(tree)), RULES)
        if found := [*find_limits(fitted)]:
            names = ", ".join(f"{limit.name} ({GUIDE}{limit.page})" for limit in found)
            node = next(filter(found[0].contains, fitted.walk()))
            raise UntestedSql(f"Redshift lacks, or calculates otherwise: {names}. This SQL uses it", written, node)
        return fitted


def as_type(node: exp.Expr, kind: str) -> exp.Expr:
    """An unconditional cast: exp.cast keeps a decimal unchanged even if the digits differ."""
    return exp.Cast(this=node, to=exp.DataType.build(kind))


def divide(node: exp.Expr) -> exp.Expr:
    """Redshift divides whole numbers without a remainder, and keeps 4 digits in quotients of long decimals."""
    node.set("this", as_type(node.this, DIVIDEND))
    node.set("expression", as_type(node.expression, DIVISOR))
    node.set("typed", True)
    node.set("safe", False)
    return node


def cast(node: exp.Expr) -> exp.Expr:
    """Text forms are written explicitly. Decimals are rounded before they become whole numbers."""
    if isinstance(node.this, exp.Null):
        return node
    if node.is_type(*exp.DataType.INTEGER_TYPES):
        node.set("this", as_type(node.this, "DECIMAL(38, 0)"))
    elif node.is_type(*exp.DataType.TEXT_TYPES):
        if isinstance(node.this, exp.TimestampTrunc | exp.DateTrunc):
            return _text_of_time(node.this)
        check_written_alike(node.this)
        if node.this.is_type(exp.DType.DATE):
            return call("TO_CHAR", node.this, exp.Literal.string(DAYS))
        if node.this.is_type(exp.DType.DOUBLE, exp.DType.FLOAT, *exp.DataType.TEMPORAL_TYPES):
            raise UntestedSql(
                f"The text of {node.this.sql('duckdb')} was never tested in Redshift: cut times to seconds, and make "
                "numbers a DECIMAL."
            )
    return node


def _text_of_time(node: exp.Expr) -> exp.Expr:
    """The text of a time contains fractions of a second only where there are some."""
    if node.args["unit"].name.upper() != "SECOND":
        raise UntestedSql(f"The text of {node.sql('duckdb')} was never tested in Redshift: cut it to seconds.")
    return call("TO_CHAR", node, exp.Literal.string(SECONDS))


def name_text(node: exp.Expr) -> exp.Expr:
    """A text alone in a SELECT has no type in Redshift."""
    if isinstance(node.this, exp.Literal) and node.this.is_string and isinstance(node.parent, exp.Select):
        node.set("this", as_type(node.this, "TEXT"))
    return node


def multiply(node: exp.Expr) -> exp.Expr:
    """A number of intervals. Redshift documents intervals as literals only."""
    interval, number = node.this, node.expression
    if isinstance(interval, exp.Interval) and isinstance(number, exp.Literal) and not number.is_string:
        amount = int(interval.this.name) * int(number.name)
        return exp.Interval(this=exp.Literal.string(str(amount)), unit=interval.args["unit"])
    return node


def add_months(node: exp.Expr) -> exp.Expr:
    """Months are added by DATEADD. An interval literal has a fixed length."""
    step = node.expression
    if not isinstance(step, exp.Interval) or step.args["unit"].name.upper() != "MONTH":
        return node
    if not shows_clocks(node.this):
        raise UntestedSql(
            f"{node.sql('duckdb')} was never tested in Redshift: months are added to a TIMESTAMP, as in "
            "CAST(day AS TIMESTAMP) + INTERVAL '1' MONTH."
        )
    months = int(step.this.name) * (-1 if isinstance(node, exp.Sub) else 1)
    return _add("MONTH", exp.Literal.number(months), node.this)


def _add(unit: str, amount: exp.Expr, moment: exp.Expr) -> exp.Expr:
    return as_type(call("DATEADD", exp.var(unit), amount, moment), "TIMESTAMP")


def concatenate(node: exp.Expr) -> exp.Expr:
    """NULL adds nothing. In Redshift a text and NULL make NULL."""
    return exp.paren(_join([_or_empty(one) for one in node.expressions]))


def _or_empty(node: exp.Expr) -> exp.Expr:
    return node if isinstance(node, exp.Literal) else exp.func("coalesce", node, exp.Literal.string(""))


def _join(parts: list[exp.Expr]) -> exp.Expr:
    first, *others = parts
    for other in others:
        first = exp.DPipe(this=first, expression=other, safe=True)
    return first


def join_texts(node: exp.Expr) -> exp.Expr:
    """NULL is left out. Redshift has no CONCAT_WS."""
    separator, *texts = node.expressions
    if not separator.is_string:
        raise UntestedSql(f"The separator {separator.sql('duckdb')} was never tested in Redshift: it is a text.")
    parts = [_or_empty(exp.paren(_join([separator.copy(), text]))) for text in texts]
    whole = exp.paren(_join(parts))
    return exp.Substring(this=whole, start=exp.Literal.number(len(separator.name) + 1))


def list_texts(node: exp.Expr) -> exp.Expr:
    """LISTAGG also leaves out empty texts. What it makes of nothing is not documented; DuckDB makes NULL."""
    order = node.this if isinstance(node.this, exp.Order) else None
    value = order.this if order else node.this
    if order is None or isinstance(value, exp.Distinct):
        raise UntestedSql(f"{node.sql('duckdb')} was never tested in Redshift: a list has an order and no DISTINCT.")
    counted = exp.GT(this=exp.Count(this=value.copy()), expression=exp.Literal.number(0))
    made = exp.WithinGroup(
        this=call("LISTAGG", value.copy(), node.args["separator"]),
        expression=exp.Order(expressions=[one.copy() for one in order.expressions]),
    )
    return exp.case().when(counted, made)


def compare(node: exp.Expr) -> exp.Expr:
    """IS DISTINCT FROM, which Redshift lacks."""
    unknown = exp.and_(node.this.copy().is_(exp.null()), node.expression.copy().is_(exp.null()))
    return exp.paren(exp.not_(exp.func("coalesce", exp.EQ(this=node.this, expression=node.expression), unknown)))


def extract(node: exp.Expr) -> exp.Expr:
    """Redshift extracts whole seconds since 1970."""
    if node.name.upper() != "EPOCH":
        return node
    start = as_type(exp.Literal.string("1970-01-01 00:00:00"), "TIMESTAMP")
    passed = call("DATEDIFF", exp.var("MICROSECOND"), start, as_type(node.expression, "TIMESTAMP"))
    second = as_type(exp.Literal.number(1_000_000), "DECIMAL(7, 0)")
    return exp.paren(exp.Div(this=as_type(passed, "DECIMAL(20, 0)"), expression=second, typed=True))


def match(node: exp.Expr) -> exp.Expr:
    """A backslash is an escape character in Redshift's patterns."""
    pattern = node.expression
    if not isinstance(pattern, exp.Literal) or "\\" in pattern.name:
        raise UntestedSql(f"LIKE {pattern.sql('duckdb')} was never tested in Redshift: a pattern is a text without \\.")
    return node


def read_clock(_: exp.Expr) -> exp.Expr:
    """The start of the statement, in whole seconds. CURRENT_TIMESTAMP does not run on compute nodes."""
    return as_type(call("GETDATE"), "TIMESTAMPTZ")


def generate_series(node: exp.Expr) -> exp.Expr:
    """A series of days or months from a TIMESTAMP, or of whole numbers, by a join with as many numbers.

    Redshift has neither LATERAL nor generate_series on its compute nodes.
    """
    source = node.this
    made, alias, scope = source.this, source.args.get("alias"), node.find_ancestor(exp.Select)
    if alias is None or scope is None or not isinstance(made, exp.GenerateSeries):
        return node
    start, end, step = made.args["start"], made.args["end"], made.args.get("step")
    number = exp.column("number", alias.name)
    unit = step.args["unit"].name.upper() if isinstance(step, exp.Interval) and step.this.name == "1" else ""
    if node.args.get("side") or (step is not None and unit not in PLACES):
        raise UntestedSql(
            f"{node.sql('duckdb')} was never tested in Redshift: a series is one of days or months, and joined without "
            "LEFT."
        )
    value = (
        _add(unit, number, as_type(start, "TIMESTAMP")) if unit else exp.paren(exp.Add(this=number, expression=start))
    )
    for column in scope.find_all(exp.Column):
        if column.table == alias.name:
            column.replace(value.copy())
    numbers = exp.Subquery(
        this=_numbers(PLACES.get(unit, LONGEST)), alias=exp.TableAlias(this=exp.to_identifier(alias.name))
    )
    until = exp.LTE(this=value, expression=end)
    if isinstance(node, exp.Join):
        return exp.Join(this=numbers, on=until)
    scope.where(until, copy=False)
    return exp.From(this=numbers)


def _numbers(places: int) -> exp.Expr:
    """The whole numbers from 0 with so many digits."""
    terms = " + ".join(f"d{place}.digit * {10**place}" for place in range(places))
    digits = " UNION ALL ".join(f"SELECT {digit} AS digit" for digit in range(10))
    tables = " CROSS JOIN ".join(f"({digits}) AS d{place}" for place in range(places))
    return exp.maybe_parse(f"SELECT {terms} AS number FROM {tables}", dialect="redshift")  # noqa: S608 - ours


RULES: Rules = {
    exp.Div: divide,
    exp.Cast: cast,
    exp.Alias: name_text,
    exp.Mul: multiply,
    exp.Add: add_months,
    exp.Sub: add_months,
    exp.Concat: concatenate,
    exp.ConcatWs: join_texts,
    exp.GroupConcat: list_texts,
    exp.NullSafeNEQ: compare,
    exp.Upper: change_case(ß="ẞ"),
    exp.Lower: change_case(Σ="σ", İ="i"),
    exp.Extract: extract,
    exp.Like: match,
    exp.CurrentTimestamp: read_clock,
    exp.Update: without_alias,
    exp.Create: keep_existing,
    exp.Join: generate_series,
    exp.From: generate_series,
}
