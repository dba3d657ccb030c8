"""SQL in DuckDB's dialect, given values and put into the words of another warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

import sqlglot
from sqlglot import exp

DIALECT = "duckdb"

# The only letter of a living script of which DuckDB and PostgreSQL know another capital.
SHARP_S, CAPITAL_SHARP_S = exp.Literal.string("ß"), exp.Literal.string("ẞ")

# Statements of at most so many values are kept once they are written.
FEW_VALUES = 4

# What may be given for a `$name`.
Value = str | int | bool | Decimal | date | datetime | None


class UnknownParameter(ValueError):
    """SQL names a parameter that nobody gave."""


@lru_cache(maxsize=256)
def _parsed(sql: str) -> exp.Expr:
    return sqlglot.parse_one(sql, dialect=DIALECT)


def parse(sql: str) -> exp.Expr:
    """One statement in DuckDB's dialect, as a tree of one's own. Raises sqlglot's ParseError."""
    return _parsed(sql).copy()


def written(sql: str, values: Mapping[str, Value], dialect: str, case_of: str = "default") -> str:
    """One statement in DuckDB's dialect, given its values, in the words of a warehouse; see to_dialect.

    Writing takes longer than running a small statement, so the latest ones are kept, but for those of many values,
    which are rows to insert and never the same again.

    Raises UnknownParameter for a `$name` without a value.
    """
    if len(values) > FEW_VALUES:
        return to_dialect(bind(_parsed(sql), values), dialect, case_of)
    # 1, True and Decimal(1) are equal and written differently.
    return _written(sql, tuple((name, type(value), value) for name, value in values.items()), dialect, case_of)


@lru_cache(maxsize=256)
def _written(sql: str, values: tuple[tuple[str, type, Value], ...], dialect: str, case_of: str) -> str:
    return to_dialect(bind(_parsed(sql), {name: value for name, _, value in values}), dialect, case_of)


def parameters(tree: exp.Expr) -> tuple[str, ...]:
    """Names of the `$name` parameters, each once, in order."""
    return tuple(dict.fromkeys(found.name for found in tree.find_all(exp.Placeholder)))


def literal(value: Value) -> exp.Expr:
    """A value as SQL. It becomes part of the tree, not of a text, so nothing in it can be read as SQL."""
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
    """The tree with a value in place of each `$name`. Raises UnknownParameter."""

    def bound(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Placeholder):
            return node
        if node.name not in values:
            raise UnknownParameter(f"there is no parameter ${node.name}; available are {', '.join(sorted(values))}")
        return literal(values[node.name])

    return tree.transform(bound)


def to_dialect(tree: exp.Expr, dialect: str, case_of: str = "default") -> str:
    """The tree as SQL of a warehouse, with the same result.

    Numbers: DuckDB always divides in floating point; others divide whole numbers without a remainder. There
    the dividend becomes an exact number first, which is never worse.

    Texts: DuckDB compares them by code point, PostgreSQL by the language of the database, so that order, ranks and
    min(text) would differ from server to server. Columns are therefore created with collation "C", which everything
    calculated from them inherits.

    Args:
        case_of: PostgreSQL's collation that knows the capital letters of all scripts; "C" knows English ones alone.
    """
    if dialect == DIALECT:
        return tree.sql(dialect, comments=False)

    def fitted(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Div):
            node.set("this", exp.cast(node.this, "DECIMAL"))
            node.set("typed", True)
            node.set("safe", False)
        elif isinstance(node, exp.ColumnDef) and node.kind and node.kind.is_type(*exp.DataType.TEXT_TYPES):
            by_code_point = exp.ColumnConstraint(kind=exp.CollateColumnConstraint(this=_collation("C")))
            node.set("constraints", [by_code_point, *node.args.get("constraints", [])])
        elif isinstance(node, exp.Lower | exp.Upper) and not isinstance(node.this, exp.Collate):
            node.set("this", exp.Collate(this=exp.paren(node.this), expression=_collation(case_of)))
            changed = exp.Collate(this=node, expression=_collation("C"))
            return exp.func("replace", changed, SHARP_S, CAPITAL_SHARP_S) if isinstance(node, exp.Upper) else changed
        return node

    return tree.transform(fitted).sql(dialect, comments=False, copy=False)


def _collation(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)
