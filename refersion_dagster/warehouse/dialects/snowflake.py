"""Snowflake's dialect."""

from __future__ import annotations

import re
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
    keep_existing,
    shows_clocks,
    without_alias,
)

SIMPLE_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# Names that Snowflake accepts only in quotes.
# https://docs.snowflake.com/en/sql-reference/reserved-keywords
WORDS = """
ACCOUNT ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONNECTION CONSTRAINT CREATE CROSS CURRENT
CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DATABASE DELETE DISTINCT DROP ELSE EXISTS FALSE FOLLOWING
FOR FROM FULL GRANT GROUP GSCLUSTER HAVING ILIKE IN INCREMENT INNER INSERT INTERSECT INTO IS ISSUE JOIN LATERAL LEFT
LIKE LOCALTIME LOCALTIMESTAMP MINUS NATURAL NOT NULL OF ON OR ORDER ORGANIZATION QUALIFY REGEXP REVOKE RIGHT RLIKE
ROW ROWS SAMPLE SCHEMA SELECT SET SOME START TABLE TABLESAMPLE THEN TO TRIGGER TRUE TRY_CAST UNION UNIQUE UPDATE
USING VALUES VIEW WHEN WHENEVER WHERE WITH
"""
RESERVED = frozenset(WORDS.split())
# Decimal digits of a quotient: Snowflake adds six to those of the dividend, up to twelve.
QUOTIENT = "DECIMAL(38, 12)"
DAYS, SECONDS = "YYYY-MM-DD", "YYYY-MM-DD HH24:MI:SS"


@dataclass(frozen=True)
class SnowflakeDialect(Dialect):
    """Snowflake's dialect, for sessions in UTC with weeks from Monday.

    The rules follow Snowflake's documentation. The emulator that executes the tests calculates with DuckDB, so it
    accepts more than Snowflake does. See docs/dialects.md.
    """

    name = "snowflake"
    constructs = CONSTRUCTS

    def fit(self, tree: exp.Expr) -> exp.Expr:
        return apply_rules(tree, RULES)


def divide(node: exp.Expr) -> exp.Expr:
    """In Snowflake 1 / 3 has six decimal digits; the quotient of an amount with four digits has ten."""
    node.set("this", exp.cast(node.this, QUOTIENT))
    node.set("typed", True)
    node.set("safe", False)
    return node


def cast(node: exp.Expr) -> exp.Expr:
    """Points in time behave as in DuckDB. TIMESTAMP_TZ would keep each value's original offset."""
    kind = node.args["to"]
    if kind.is_type(exp.DType.TIMESTAMPTZ):
        node.set("to", exp.DataType(this=exp.DType.TIMESTAMPLTZ))
    elif kind.is_type(*exp.DataType.TEXT_TYPES):
        if isinstance(node.this, exp.TimestampTrunc | exp.DateTrunc):
            return format_time(node.this)
        check_written_alike(node.this)
        if node.this.is_type(exp.DType.DATE):
            return call("TO_VARCHAR", node.this, exp.Literal.string(DAYS))
        if node.this.is_type(*exp.DataType.TEMPORAL_TYPES):
            raise UntestedSql(
                f"The text of {node.this.sql('duckdb')} was never tested in Snowflake: cut it to seconds."
            )
    return node


def format_time(node: exp.Expr) -> exp.Expr:
    """Snowflake's text form of a time includes milliseconds."""
    if node.args["unit"].name.upper() != "SECOND":
        raise UntestedSql(f"The text of {node.sql('duckdb')} was never tested in Snowflake: cut it to seconds.")
    return call("TO_VARCHAR", node, exp.Literal.string(SECONDS))


def declare(node: exp.Expr) -> exp.Expr:
    kind = node.args.get("kind")
    if kind and kind.is_type(exp.DType.TIMESTAMPTZ):
        node.set("kind", exp.DataType(this=exp.DType.TIMESTAMPLTZ))
    return node


def convert_time_zone(node: exp.Expr) -> exp.Expr:
    """Convert a point in time to local time, or local time to a point in time."""
    zone = node.args["zone"]
    if shows_clocks(node.this):
        moment = call("CONVERT_TIMEZONE", zone, exp.Literal.string("UTC"), node.this)
        return exp.Cast(this=moment, to=exp.DataType(this=exp.DType.TIMESTAMPLTZ))
    return exp.Cast(this=call("CONVERT_TIMEZONE", zone, node.this), to=exp.DataType(this=exp.DType.TIMESTAMPNTZ))


def join_texts(node: exp.Expr) -> exp.Expr:
    """NULL is left out. Snowflake's CONCAT_WS returns NULL if an argument is NULL."""
    separator, *texts = node.expressions
    if not separator.is_string:
        raise UntestedSql(f"The separator {separator.sql('duckdb')} was never tested in Snowflake: it is a text.")
    parts = [
        exp.func("coalesce", exp.Concat(expressions=[separator.copy(), text], safe=True), exp.Literal.string(""))
        for text in texts
    ]
    return call("SUBSTRING", exp.Concat(expressions=parts, safe=True), exp.Literal.number(len(separator.name) + 1))


def list_texts(node: exp.Expr) -> exp.Expr:
    """An empty list is '' in Snowflake and NULL in DuckDB."""
    value = node.this.this if isinstance(node.this, exp.Order) else node.this
    counted = exp.GT(this=exp.Count(this=value.copy()), expression=exp.Literal.number(0))
    return exp.case().when(counted, node.copy())


def extract(node: exp.Expr) -> exp.Expr:
    """Snowflake returns only whole seconds for EPOCH."""
    if node.name.upper() != "EPOCH":
        return node
    microseconds = call("DATE_PART", exp.Literal.string("EPOCH_MICROSECOND"), node.expression)
    return exp.paren(divide(exp.Div(this=microseconds, expression=exp.Literal.number(1_000_000))))


def quote_name(node: exp.Expr) -> exp.Expr:
    """A quoted name differs from an unquoted one, which Snowflake converts to upper case."""
    if not node.args.get("quoted") and node.name.upper() not in RESERVED:
        return node
    simple = SIMPLE_NAME.fullmatch(node.name) is not None
    return exp.to_identifier(node.name.upper() if simple else node.name, quoted=True)


def generate_series(node: exp.Expr) -> exp.Expr:
    """A series of days or months from a point in time, or of whole numbers, as the elements of a number array."""
    made, alias = node.this, node.args.get("alias")
    if alias is None or not isinstance(made, exp.GenerateSeries):
        return node
    start, end, step = made.args["start"], made.args["end"], made.args.get("step")
    value = exp.cast(exp.column("value", alias.name), "BIGINT")
    if step is None:
        first, last = start, end
    elif (
        isinstance(step, exp.Interval) and step.this.name == "1" and step.args["unit"].name.upper() in ("DAY", "MONTH")
    ):
        unit = exp.var(step.args["unit"].name.upper())
        crossed = call("DATEDIFF", unit.copy(), start.copy(), end.copy())
        # DATEDIFF also counts months that have started but not ended.
        over = call("DATEADD", unit.copy(), crossed.copy(), start.copy())
        cut = exp.case().when(exp.GT(this=over, expression=end.copy()), exp.Literal.number(1)).else_("0")
        first, last = exp.Literal.number(0), exp.Sub(this=crossed, expression=cut)
        value = call("DATEADD", unit, value, start.copy())
    else:
        raise UntestedSql(f"Series of {step.sql('duckdb')} were never tested in Snowflake: they are of days or months.")
    scope = node.find_ancestor(exp.Select)
    for column in scope.find_all(exp.Column) if scope else ():
        if column.table == alias.name:
            column.replace(value.copy())
    array = call("ARRAY_GENERATE_RANGE", first, exp.Add(this=last, expression=exp.Literal.number(1)))
    flat = call("FLATTEN", exp.Kwarg(this=exp.var("INPUT"), expression=array))
    named_alone = exp.TableAlias(this=exp.to_identifier(alias.name))
    if isinstance(node, exp.Lateral):
        return exp.Lateral(this=flat, alias=named_alone)
    return exp.Table(this=call("TABLE", flat), alias=named_alone)


RULES: Rules = {
    exp.Div: divide,
    exp.Cast: cast,
    exp.ColumnDef: declare,
    exp.AtTimeZone: convert_time_zone,
    exp.Concat: concatenated,
    exp.ConcatWs: join_texts,
    exp.GroupConcat: list_texts,
    exp.Upper: change_case(ß="ẞ"),
    exp.Lower: change_case(Σ="σ", İ="i"),
    exp.Extract: extract,
    exp.Identifier: quote_name,
    exp.Update: without_alias,
    exp.Create: keep_existing,
    exp.Lateral: generate_series,
    exp.Table: generate_series,
}
