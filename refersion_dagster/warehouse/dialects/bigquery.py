"""BigQuery's dialect."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from refersion_dagster.warehouse.dialects.constructs import CONSTRUCTS
from refersion_dagster.warehouse.dialects.dialect import Dialect, UntestedSql
from refersion_dagster.warehouse.dialects.rules import (
    Rules,
    apply_rules,
    call,
    change_case,
    check_written_alike,
    concatenated,
)


@dataclass(frozen=True)
class BigQueryDialect(Dialect):
    """BigQuery's dialect.

    Each rule exists because Google's evaluator rejected sqlglot's SQL or returned a different result for it; see
    docs/dialects.md.
    """

    name = "bigquery"
    constructs = CONSTRUCTS

    def fit(self, tree: exp.Expr) -> exp.Expr:
        return apply_rules(tree, RULES)


def exact(node: exp.Expr) -> exp.Expr:
    """A number with 38 digits before and after the decimal point. NUMERIC rounds products to 9 digits after it."""
    return exp.Cast(this=node, to=exp.DataType(this=exp.DType.BIGDECIMAL))


def divide(node: exp.Expr) -> exp.Expr:
    """BigQuery divides whole numbers in floating point, and amounts with 9 decimal digits."""
    node.set("this", exact(node.this))
    node.set("typed", True)
    node.set("safe", False)
    return node


def literal(node: exp.Expr) -> exp.Expr:
    """In BigQuery 0.8 is a floating point number, and so is every product with it."""
    return node if node.is_string or "." not in node.name else exact(exp.Literal.string(node.name))


def cast(node: exp.Expr) -> exp.Expr:
    """BigQuery ignores a cast's precision, so round to the digits. The text of a number has no trailing zeros."""
    kind = node.args["to"]
    if kind.is_type(exp.DType.DECIMAL) and kind.expressions:
        number = exact(node.this)
        return number if isinstance(node.this, exp.Null) else exp.Round(this=number, decimals=kind.expressions[-1].this)
    if not kind.is_type(*exp.DataType.TEXT_TYPES):
        return node
    if isinstance(node.this, exp.Round):
        return call("FORMAT", exp.Literal.string(f"%.{node.this.args['decimals'].name}f"), node.this)
    check_written_alike(node.this)
    return node


def convert_time_zone(node: exp.Expr) -> exp.Expr:
    """Convert a point in time to local time, or local time to a point in time."""
    return call("TIMESTAMP" if shows_clocks(node.this) else "DATETIME", node.this, node.args["zone"])


def shows_clocks(node: exp.Expr) -> bool:
    """Whether it is a time without a time zone. BigQuery rejects DATETIME() of a column of that type."""
    if isinstance(node, exp.Paren | exp.Add | exp.Sub):
        return shows_clocks(node.this)
    return isinstance(node, exp.Cast) and node.is_type(exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ)


def truncate(node: exp.Expr) -> exp.Expr:
    """Weeks begin on Sunday in BigQuery and on Monday in DuckDB."""
    unit = node.args["unit"].name.upper()
    return call("DATE_TRUNC", node.this, exp.var("WEEK(MONDAY)" if unit == "WEEK" else unit))


def interval(node: exp.Expr) -> exp.Expr:
    node.set("this", exp.Literal.number(node.this.name))
    return node


def extremum(node: exp.Expr) -> exp.Expr:
    """One NULL makes the result NULL in BigQuery; DuckDB ignores it."""
    first, *others = [node.this, *node.expressions]
    for other in others:
        first = exp.func("coalesce", type(node)(this=first, expressions=[other]), first.copy(), other.copy())
    return first


def join_texts(node: exp.Expr) -> exp.Expr:
    separator, *texts = node.expressions
    return call("ARRAY_TO_STRING", exp.Array(expressions=texts), separator)


def part(node: exp.Expr) -> exp.Expr:
    """The requested part of a text, '' if there are fewer parts, NULL if an argument is NULL."""
    text, delimiter = node.this, node.args["delimiter"]
    found = exp.Bracket(
        this=call("SPLIT", text, delimiter), expressions=[call("SAFE_ORDINAL", node.args["part_index"])]
    )
    unknown = exp.or_(text.copy().is_(exp.null()), delimiter.copy().is_(exp.null()))
    return exp.case().when(unknown, exp.null()).else_(exp.func("coalesce", found, exp.Literal.string("")))


def trim(node: exp.Expr) -> exp.Expr:
    """DuckDB trims spaces only, not all white space."""
    if not node.expression:
        node.set("expression", exp.Literal.string(" "))
    return node


def extract(node: exp.Expr) -> exp.Expr:
    """BigQuery returns whole seconds only."""
    if node.name.upper() != "EPOCH":
        return node
    return exp.paren(
        exp.Div(this=exact(call("UNIX_MICROS", node.expression)), expression=exp.Literal.number(1_000_000))
    )


def ordered(node: exp.Expr) -> exp.Expr:
    """NULL is the lowest value in BigQuery, and NULLS LAST is not supported everywhere."""
    window = node.parent
    if not isinstance(window, exp.Window | exp.GroupConcat):
        return node
    by_value = is_by_value(window.args.get("spec"))
    keys: list[exp.Expr] = []
    for key in node.expressions:
        falls, nulls_first = bool(key.args.get("desc")), bool(key.args.get("nulls_first"))
        if falls == nulls_first and not by_value:
            missing = exp.paren(key.this.copy()).is_(exp.null())
            keys.append(exp.Ordered(this=missing, desc=nulls_first, nulls_first=not nulls_first))
        keys.append(exp.Ordered(this=key.this, desc=falls, nulls_first=not falls))
    node.set("expressions", keys)
    return node


def is_by_value(spec: exp.Expr | None) -> bool:
    """Whether the frame is a RANGE up to a distance: one sort key, and rows without a value see only each other."""
    return spec is not None and spec.args["kind"] == "RANGE" and isinstance(spec.args.get("start"), exp.Literal)


def percentile(node: exp.Expr) -> exp.Expr:
    """PERCENTILE_DISC is only a window function in BigQuery."""
    value = node.expression.expressions[0].this
    counted = exp.Mul(this=node.this.this, expression=exp.Count(this=value.copy()))
    place = exp.Cast(this=exp.Ceil(this=counted), to=exp.DataType(this=exp.DType.BIGINT))
    values = exp.ArrayAgg(
        this=exp.IgnoreNulls(this=exp.Order(this=value, expressions=[exp.Ordered(this=value.copy(), nulls_first=True)]))
    )
    return exp.Bracket(this=values, expressions=[call("SAFE_ORDINAL", place)])


def add_where(node: exp.Expr) -> exp.Expr:
    """BigQuery requires a WHERE clause to change rows."""
    if not node.args.get("where"):
        node.set("where", exp.Where(this=exp.true()))
    return node


def generate_series(node: exp.Expr) -> exp.Expr:
    """A series of whole days, months or numbers. Its column has the same name as the table."""
    made, alias = node.this, node.args.get("alias")
    if alias is None or not isinstance(made, exp.GenerateSeries):
        return node
    start, end, step = made.args["start"], made.args["end"], made.args.get("step")
    if step is None:
        values = call("GENERATE_ARRAY", start, end)
    elif isinstance(step, exp.Interval) and step.args["unit"].name.upper() in ("DAY", "MONTH"):
        days = [exp.Cast(this=one, to=exp.DataType(this=exp.DType.DATE)) for one in (start, end)]
        values = call("GENERATE_DATE_ARRAY", *days, step)
    else:
        raise UntestedSql(f"Series of {step.sql('duckdb')} were never tested in BigQuery: they are of days or months.")
    name = alias.this
    scope = node.find_ancestor(exp.Select)
    for column in scope.find_all(exp.Column) if scope else ():
        if column.table == name.name:
            column.replace(exp.column(name.copy()))
    return exp.Unnest(expressions=[values], alias=exp.TableAlias(columns=[name]))


RULES: Rules = {
    exp.Div: divide,
    exp.Literal: literal,
    exp.Cast: cast,
    exp.AtTimeZone: convert_time_zone,
    exp.TimestampTrunc: truncate,
    exp.DateTrunc: truncate,
    exp.Interval: interval,
    exp.Greatest: extremum,
    exp.Least: extremum,
    exp.Concat: concatenated,
    exp.ConcatWs: join_texts,
    exp.SplitPart: part,
    exp.Trim: trim,
    exp.Upper: change_case(ß="ẞ"),
    exp.Lower: change_case(Σ="σ", İ="i"),
    exp.Extract: extract,
    exp.Order: ordered,
    exp.WithinGroup: percentile,
    exp.Update: add_where,
    exp.Delete: add_where,
    exp.Lateral: generate_series,
    exp.Table: generate_series,
}
