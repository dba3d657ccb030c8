"""The dialect of Spark clusters, which is Databricks'."""

from __future__ import annotations

from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from refersion_dagster.warehouse.dialects.databricks import DatabricksDialect


@dataclass(frozen=True)
class SparkDialect(DatabricksDialect):
    """Databricks' dialect with an alias for each table, so that a file can take the table's place."""

    def fit(self, tree: exp.Expr) -> exp.Expr:
        fitted = super().fit(tree)
        for table in fitted.find_all(exp.Table):
            if table.db and not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
        return fitted


def find_tables(select: str, schemas: frozenset[str]) -> list[tuple[tuple[str, str], int, int]]:
    """The tables of these schemas in a SELECT of this dialect: schema and table, and where their name begins and ends.

    Reads tokens, so that a text or a comment in the SELECT is never mistaken for a name.
    """
    tokens = sqlglot.tokenize(select, read="databricks")
    return [
        ((schema.text, name.text), schema.start, name.end + 1)
        for schema, dot, name in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if schema.text in schemas and dot.text == "."
    ]
