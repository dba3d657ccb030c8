"""Column lineage: which columns of the tables it reads each column of a summary comes from."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.query import RAW_COLUMNS, Summary
from refersion_dagster.warehouse.sql import DIALECT

Source = tuple[str, str, str]  # schema, table, column


def column_sources(summary: Summary, others: Iterable[Summary]) -> dict[str, list[Source]]:
    """The columns that each column of the summary is reckoned from.

    Args:
        others: the summaries that it may read.

    Raises SqlglotError where the SELECT names a column that its table does not have.
    """
    schema: dict[str, object] = {
        DATASET: {table: dict.fromkeys(columns, "text") for table, columns in RAW_COLUMNS.items()},
        SUMMARIES: {other.name: dict.fromkeys(other.columns, "text") for other in others},
    }
    tree = qualify(summary.file.tree.copy(), schema=schema, dialect=DIALECT, infer_schema=False)
    scope = build_scope(tree)
    found: dict[str, list[Source]] = {}
    for column in summary.columns:
        sources: set[Source] = set()
        for node in lineage(column, tree, dialect=DIALECT, scope=scope, trim_selects=False).walk():
            if not node.downstream and isinstance(table := node.expression, exp.Table):
                sources.add((table.db, table.name, node.name.rpartition(".")[2].strip('"')))
        found[column] = sorted(sources)
    return found
