"""A small account of the sandbox with all its summaries, for the generated pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.query import Summary, load_summaries

ROWS = 3


@dataclass(frozen=True)
class SampleTable:
    """A summary as DuckDB builds it.

    Args:
        columns: DuckDB type by column, in order.
        rows: the first rows by primary key.
    """

    summary: Summary
    columns: Mapping[str, str]
    rows: list[tuple[Any, ...]]


def read_tables(database: Path) -> list[SampleTable]:
    """Returns all summaries, by name, with their types and first rows in this DuckDB file."""
    with Warehouse(duckdb_path=str(database)).session(read_only=True) as session:
        return [
            SampleTable(
                summary,
                dict(session.columns(SUMMARIES, summary.name)),
                session.native(
                    f"SELECT * FROM {SUMMARIES}.{summary.name} "  # noqa: S608 - names are those of SQL files
                    f"ORDER BY {', '.join(summary.header.primary_key)} LIMIT {ROWS}"
                ),
            )
            for summary in sorted(load_summaries(), key=lambda one: one.name)
        ]
