"""Parsing SQL in DuckDB's dialect, and binding values to its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

import sqlglot
from sqlglot import exp

from refersion_dagster.warehouse.dialects.dialect import Dialect

DIALECT = "duckdb"

# Translated statements with at most this many values are cached.
FEW_VALUES = 4

# Values allowed for a `$name`.
Value = str | int | bool | Decimal | date | datetime | None


class UnknownParameter(ValueError):
    """SQL names a parameter for which no value was given."""


@lru_cache(maxsize=256)
def _parse(sql: str) -> exp.Expr:
    return sqlglot.parse_one(sql, dialect=DIALECT)


def parse(sql: str) -> exp.Expr:
    """One statement in DuckDB's dialect, as a new tree. Raises sqlglot's ParseError."""
    return _parse(sql).copy()


def write_statement(sql: str, values: Mapping[str, Value], dialect: Dialect) -> str:
    """Translate one statement from DuckDB's dialect to another, with its values.

    Translating takes longer than running a small statement, so the latest results are cached. Statements with many
    values are not: they insert rows and never occur again.

    Raises UnknownParameter for a `$name` without a value, and UntestedSql.
    """
    if len(values) > FEW_VALUES:
        return dialect.write(bind(_parse(sql), values))
    # 1, True and Decimal(1) are equal, but their SQL differs.
    return _write_statement(sql, tuple((name, type(value), value) for name, value in values.items()), dialect)


@lru_cache(maxsize=256)
def _write_statement(sql: str, values: tuple[tuple[str, type, Value], ...], dialect: Dialect) -> str:
    return dialect.write(bind(_parse(sql), {name: value for name, _, value in values}))


def parameters(tree: exp.Expr) -> tuple[str, ...]:
    """Names of the `$name` parameters, each once, in order."""
    return tuple(dict.fromkeys(found.name for found in tree.find_all(exp.Placeholder)))


def literal(value: Value) -> exp.Expr:
    """A value as SQL. It is added to the tree, not to a text, so nothing in it can be interpreted as SQL."""
    if value is None:
        return exp.Null()
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int):
        return exp.Literal.number(value)
    if isinstance(value, Decimal):
        return exp.cast(exp.Literal.string(f"{value:f}"), "DECIMAL(38, 10)")
    if isinstance(value, datetime):
        return exp.cast(exp.Literal.string(value.isoformat(sep=" ")), "TIMESTAMPTZ" if value.tzinfo else "TIMESTAMP")
    if isinstance(value, date):
        return exp.cast(exp.Literal.string(value.isoformat()), "DATE")
    return exp.Literal.string(value)


def bind(tree: exp.Expr, values: Mapping[str, Value]) -> exp.Expr:
    """The tree with each `$name` replaced by its value. Raises UnknownParameter."""

    def bound(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Placeholder):
            return node
        if node.name not in values:
            raise UnknownParameter(f"there is no parameter ${node.name}; available are {', '.join(sorted(values))}")
        return literal(values[node.name])

    return tree.transform(bound)
