"""Databricks' dialect: Spark in ANSI mode."""

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
    shows_clocks,
)

DIGITS = 38
DIVIDEND_DIGITS = 30
# Digits of a factor that is an amount. With them, a product with a fraction of 18 digits is exact.
AMOUNT_DIGITS = 19


@dataclass(frozen=True)
class DatabricksDialect(Dialect):
    """Databricks' dialect, for sessions in UTC.

    Each rule exists because Spark rejected sqlglot's SQL or returned a different result for it; see docs/dialects.md.
    """

    name = "databricks"
    constructs = CONSTRUCTS

    def fit(self, tree: exp.Expr) -> exp.Expr:
        return apply_rules(tree, RULES)


def as_type(node: exp.Expr, kind: str) -> exp.Expr:
    """An unconditional cast: exp.cast keeps a decimal unchanged even if the digits differ."""
    return exp.Cast(this=node, to=exp.DataType.build(kind, dialect="databricks"))


def clocks(node: exp.Expr) -> exp.Expr:
    """Cast to a time without a time zone."""
    return as_type(node, "TIMESTAMP_NTZ")


def kind(node: exp.Expr) -> exp.Expr:
    """TIMESTAMP is a point in time in Databricks."""
    return exp.DataType(this=exp.DType.TIMESTAMPNTZ) if node.is_type(exp.DType.TIMESTAMP) else node


def cast(node: exp.Expr) -> exp.Expr:
    """Casts to integers round in DuckDB and truncate in Databricks."""
    if node.args["to"].is_type(*exp.DataType.TEXT_TYPES):
        check_written_alike(node.this)
    elif node.args["to"].is_type(*exp.DataType.INTEGER_TYPES):
        node.set("this", as_type(node.this, f"DECIMAL({DIGITS}, 0)"))
    return node


def convert_time_zone(node: exp.Expr) -> exp.Expr:
    """Convert a point in time to local time, or local time to a point in time."""
    zone, utc = node.args["zone"], exp.Literal.string("UTC")
    if shows_clocks(node.this):
        moment = call("CONVERT_TIMEZONE", zone, utc, node.this)
        return as_type(moment, "TIMESTAMP")
    return call("CONVERT_TIMEZONE", utc, zone, clocks(node.this))


def truncate(node: exp.Expr) -> exp.Expr:
    """DATE_TRUNC always returns a point in time in Databricks."""
    found = call("DATE_TRUNC", exp.Literal.string(node.args["unit"].name.upper()), node.this)
    return clocks(found) if shows_clocks(node.this) else found


def divide(node: exp.Expr) -> exp.Expr:
    """Databricks keeps 6 decimal digits in quotients of long numbers; with 18 before the point it keeps 12 or more."""
    node.set("this", as_type(node.this, f"DECIMAL({DIVIDEND_DIGITS}, 12)"))
    node.set("typed", True)
    node.set("safe", False)
    return node


def multiply(node: exp.Expr) -> exp.Expr:
    """Limit the digits of amounts: Databricks keeps only 6 decimal digits in products of more than 38 digits."""
    for factor in (node.this, node.expression):
        if not isinstance(factor, exp.Cast) or not factor.is_type(exp.DType.DECIMAL):
            continue
        digits, after = (int(one.name) for one in factor.args["to"].expressions)
        if digits > AMOUNT_DIGITS:
            factor.set("to", exp.DataType.build(f"DECIMAL({AMOUNT_DIGITS}, {after})"))
    return node


def join_texts(node: exp.Expr) -> exp.Expr:
    """NULL adds nothing, not even a separator."""
    return call("CONCAT_WS", *node.expressions)


def match(node: exp.Expr) -> exp.Expr:
    """A backslash is an escape character in Databricks' patterns."""
    pattern = node.expression
    if not isinstance(pattern, exp.Literal) or "\\" in pattern.name:
        raise UntestedSql(
            f"LIKE {pattern.sql('duckdb')} was never tested in Databricks: a pattern is a text without \\."
        )
    return node


def extract(node: exp.Expr) -> exp.Expr:
    """Spark cannot extract the seconds since 1970."""
    if node.name.upper() != "EPOCH":
        return node
    microseconds = as_type(call("UNIX_MICROS", node.expression), "DECIMAL(20, 0)")
    return exp.paren(exp.Div(this=microseconds, expression=exp.Literal.number(1_000_000), typed=True))


def percentile(node: exp.Expr) -> exp.Expr:
    """PERCENTILE_DISC returns a floating point number in Databricks."""
    value = node.expression.expressions[0].this
    counted = exp.Mul(this=node.this.this, expression=exp.Count(this=value.copy()))
    place = call("GREATEST", as_type(call("CEIL", counted), "INT"), exp.Literal.number(1))
    return call("TRY_ELEMENT_AT", call("SORT_ARRAY", call("COLLECT_LIST", value)), place)


def update(node: exp.Expr) -> exp.Expr:
    """Databricks can update rows from other tables only with MERGE."""
    source = node.args.get("from_")
    if source is None:
        return node
    change = exp.When(matched=True, then=exp.Update(expressions=node.expressions))
    return exp.Merge(
        this=node.this, using=source.this, on=node.args["where"].this, whens=exp.Whens(expressions=[change])
    )


def generate_series(node: exp.Expr) -> exp.Expr:
    """A series of whole days, months or numbers. SEQUENCE counts down if the end is before the start."""
    made, alias = node.this, node.args.get("alias")
    if alias is None or not isinstance(made, exp.GenerateSeries):
        return node
    bounds, step = [made.args["start"], made.args["end"]], made.args.get("step")
    if isinstance(step, exp.Interval) and step.args["unit"].name.upper() in ("DAY", "MONTH"):
        bounds = [as_type(one, "DATE") for one in bounds]
    elif step is not None:
        raise UntestedSql(
            f"Series of {step.sql('duckdb')} were never tested in Databricks: they are of days or months."
        )
    start, end = bounds
    values = call("SEQUENCE", start, end, *([step] if step else []))
    upwards = exp.case().when(exp.LTE(this=start.copy(), expression=end.copy()), values).else_(call("ARRAY"))
    rows = exp.Table(this=call("EXPLODE", upwards), alias=alias)
    return exp.Lateral(this=rows) if isinstance(node, exp.Lateral) else rows


RULES: Rules = {
    exp.DataType: kind,
    exp.Cast: cast,
    exp.AtTimeZone: convert_time_zone,
    exp.TimestampTrunc: truncate,
    exp.DateTrunc: truncate,
    exp.Div: divide,
    exp.Mul: multiply,
    exp.ConcatWs: join_texts,
    exp.Like: match,
    exp.Upper: change_case(ß="ẞ"),
    exp.Lower: change_case(Σ="σ", İ="i"),
    exp.Extract: extract,
    exp.WithinGroup: percentile,
    exp.Update: update,
    exp.Lateral: generate_series,
    exp.Table: generate_series,
}
