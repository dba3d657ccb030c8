"""PostgreSQL's dialect."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from refersion_dagster.warehouse.dialects.dialect import Dialect

# The only letter of a living script whose upper case differs between DuckDB and PostgreSQL.
SHARP_S, CAPITAL_SHARP_S = exp.Literal.string("ß"), exp.Literal.string("ẞ")


@dataclass(frozen=True)
class PostgresDialect(Dialect):
    """PostgreSQL's dialect.

    Numbers: DuckDB always divides in floating point; PostgreSQL divides whole numbers without a remainder. For
    PostgreSQL the dividend is first cast to an exact number, which is never less precise.

    Texts: DuckDB compares them by code point, PostgreSQL by the language of the database, so sort order, ranks and
    min(text) would differ between servers. Columns are therefore created with collation "C", which everything
    calculated from them inherits.

    Args:
        case_of: the collation that converts the case of all scripts; "C" converts English letters only.
    """

    name = "postgres"
    case_of: str = "default"

    def fit(self, tree: exp.Expr) -> exp.Expr:
        return tree.transform(self._fit_case)

    def _fit_case(self, node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Div):
            node.set("this", exp.cast(node.this, "DECIMAL"))
            node.set("typed", True)
            node.set("safe", False)
        elif isinstance(node, exp.ColumnDef) and node.kind and node.kind.is_type(*exp.DataType.TEXT_TYPES):
            by_code_point = exp.ColumnConstraint(kind=exp.CollateColumnConstraint(this=_collation("C")))
            node.set("constraints", [by_code_point, *node.args.get("constraints", [])])
        elif isinstance(node, exp.Lower | exp.Upper) and not isinstance(node.this, exp.Collate):
            node.set("this", exp.Collate(this=exp.paren(node.this), expression=_collation(self.case_of)))
            changed = exp.Collate(this=node, expression=_collation("C"))
            return exp.func("replace", changed, SHARP_S, CAPITAL_SHARP_S) if isinstance(node, exp.Upper) else changed
        return node


def _collation(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)
