"""The base class of dialects, and DuckDB's dialect, in which all SQL is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sqlglot import exp

from refersion_dagster.errors import ReportedError


class UntestedSql(ReportedError):
    """SQL contains a construct that was never executed in the dialect of the warehouse.

    Args:
        reason: what was never executed.
        sql: the beginning of the SQL, if the reason does not contain it.
        node: the construct in its tree, if it is known.
    """

    def __init__(self, reason: str, sql: str = "", node: exp.Expr | None = None) -> None:
        super().__init__(f"{reason}: {sql}" if sql else reason)
        self.reason = reason.rstrip(".")
        self.node = node


@dataclass(frozen=True)
class Dialect:
    """Writes SQL so that it has the same result in a database as in DuckDB.

    sqlglot translates syntax, not semantics: much of the SQL it generates runs in another database and returns
    different figures. `fit` corrects the known differences, and `constructs` rejects what no test of the dialect has
    executed.

    Args:
        name: sqlglot's name of the dialect.
        constructs: the constructs that tests have executed, see `constructs_of`; None for any.
        schemas: names of schemas in the database that differ from those in SQL, as (name in SQL, name in the database).
    """

    name: ClassVar[str]
    constructs: ClassVar[frozenset[str] | None] = None
    schemas: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)

    def write(self, tree: exp.Expr) -> str:
        """The tree as SQL of the database. The tree may be modified. Raises UntestedSql."""
        if self.constructs is not None and (untested := constructs_of(tree) - self.constructs):
            raise UntestedSql(
                f"This SQL uses {', '.join(sorted(untested))}, which was never tested in the dialect {self.name}",
                tree.sql("duckdb", comments=False)[:500],
                next(node for node in tree.walk() if _construct(node) in untested),
            )
        for table in tree.find_all(exp.Table) if self.schemas else ():
            if renamed := dict(self.schemas).get(table.db):
                table.set("db", exp.to_identifier(renamed))
        return self.fit(tree).sql(self.name, comments=False, copy=False)

    def fit(self, tree: exp.Expr) -> exp.Expr:
        """The tree, with constructs that have another meaning in the database rewritten."""
        return tree


def constructs_of(tree: exp.Expr) -> frozenset[str]:
    """The constructs of a statement: sqlglot's name of each node, with cast types, function names and time units."""
    return frozenset(map(_construct, tree.walk()))


def _construct(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return f"{node.name.lower()}()"
    if isinstance(node, exp.DataType):
        return f"DataType {node.this.value if isinstance(node.this, exp.DType) else node.this}"
    if isinstance(node, exp.Var):
        return f"Var {node.name.upper()}"
    return type(node).__name__


class DuckDBDialect(Dialect):
    """DuckDB's dialect, which changes nothing."""

    name = "duckdb"


DUCKDB = DuckDBDialect()
