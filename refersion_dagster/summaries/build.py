"""Builds one summary as a staging table, checks it and swaps it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlt.destinations.exceptions import DatabaseException

from refersion_dagster.errors import ReportedError
from refersion_dagster.ingest.control_totals.unsettled import describe_unsettled
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.knowledge import (
    UnknownColumn,
    describe_gaps,
    find_unknown_columns,
    lacking_fields,
    load_gaps,
    without_unknown,
)
from refersion_dagster.summaries.query import Summary
from refersion_dagster.warehouse.session import Session
from refersion_dagster.warehouse.sql import Value, bind

# Once an interpretation of Refersion's totals has matched, it is kept; see control_totals.sql.
KEPT_INTERPRETATION = "control_interpretation"
# Cells of the control totals that changed while they were read; see ingest/control_totals/settlement.py.
NOT_SETTLED = "not_settled"
# Number of rows in a table's preview.
FIRST_ROWS = 10


class SummaryFailed(ReportedError):
    """A summary could not be built; the table is unchanged."""


class KeyNotUnique(SummaryFailed):
    """Rows of a summary share a primary key or lack part of it; the table is unchanged.

    Args:
        rows: the first of those keys, each with its number of rows.
    """

    def __init__(self, message: str, rows: Sequence[Sequence[Any]]) -> None:
        super().__init__(message)
        self.rows = rows


@dataclass(frozen=True)
class BuildResult:
    """The result of building a summary.

    Args:
        rows: number of rows.
        columns: name and type of each column.
        first_rows: the first rows, in order.
        unknown: columns that cannot be known on this account.
        lacking: raw fields that it uses and that this account does not offer.
    """

    rows: int
    columns: list[tuple[str, str]]
    first_rows: list[tuple[Any, ...]]
    unknown: Mapping[str, UnknownColumn]
    lacking: str


def build(session: Session, summary: Summary, settings: Mapping[str, Value]) -> BuildResult:
    """Builds the table as a staging table and swaps it in within one transaction.

    Args:
        settings: values of the `$name`s, from ReportSettings.parameters().

    Raises SummaryFailed or KeyNotUnique with the file and line; the existing table is then unchanged.
    """
    found_out = {name: ask(session) for name, ask in FOUND_OUT.items() if name in summary.file.parameters}
    try:
        gaps = load_gaps(session)
        unknown = find_unknown_columns(summary, gaps)
        select = select_of(session, summary, unknown, {**settings, **found_out})
        fresh = session.build_beside(SUMMARIES, summary.name, select)
    except DatabaseException as error:
        absent = [
            f"{'refersion' if schema == DATASET else 'summaries'}/{table}"
            for schema, table in summary.depends_on
            if not session.columns(schema, table)
        ]
        reason = f"materialise {', '.join(absent)} first." if absent else str(error)
        raise SummaryFailed(
            f"{summary.file.path}:{summary.file.line}: the query failed, and {SUMMARIES}.{summary.name} is "
            f"unchanged: {reason}"
        ) from error
    rows, columns, first_rows = _swap_in(session, summary, fresh)
    return BuildResult(rows, columns, first_rows, unknown, lacking_fields(summary, gaps))


def select_of(
    session: Session, summary: Summary, unknown: Mapping[str, UnknownColumn], settings: Mapping[str, Value]
) -> str:
    """Returns the SELECT in the database's dialect, with NULL for columns that cannot be known."""
    hidden = frozenset(column for column, one in unknown.items() if one.is_null)
    key = (session.dialect, hidden, repr(sorted(settings.items())))
    if summary.derived.get("select", (None, ""))[0] != key:
        tree = without_unknown(summary, unknown) if hidden else summary.file.tree
        summary.derived["select"] = (key, session.translated(bind(tree, settings)))
    return summary.derived["select"][1]


def _swap_in(
    session: Session, summary: Summary, fresh: str
) -> tuple[int, list[tuple[str, str]], list[tuple[Any, ...]]]:
    """Checks the primary key of the staging table and swaps it in within one transaction.

    Returns its number of rows, its columns and its first rows.
    """
    if wrong := find_duplicate_keys(session, session.table(SUMMARIES, fresh), summary.header.primary_key):
        session.native(f"DROP TABLE {session.table(SUMMARIES, fresh)}")
        raise KeyNotUnique(
            f"{summary.file.path}:{summary.file.line}: keys ({', '.join(summary.header.primary_key)}) are missing "
            f"or duplicated, and {SUMMARIES}.{summary.name} is unchanged.",
            wrong,
        )
    rows, columns = session.count(SUMMARIES, fresh), session.columns(SUMMARIES, fresh)
    # Read from the staging table, which has the order of its SELECT. After the swap, rows may be stored in any order.
    first_rows = session.first_rows(SUMMARIES, fresh, FIRST_ROWS)
    session.swap_in(SUMMARIES, summary.name, fresh)
    return rows, columns, first_rows


def find_duplicate_keys(session: Session, table: str, key: Sequence[str], limit: int = 20) -> list[tuple[Any, ...]]:
    """Returns the first keys that are missing or duplicated, each with its number of rows."""
    names, missing = ", ".join(key), " OR ".join(f"{name} IS NULL" for name in key)
    return session.native(
        f"SELECT {names}, count(*) FROM {table} GROUP BY {names} HAVING count(*) > 1 OR {missing} LIMIT {limit}"  # noqa: S608
    )


def read_interpretation(session: Session) -> str | None:
    """Returns the interpretations of Refersion's totals that the last control_totals kept.

    None until they can be distinguished.
    """
    columns = dict(session.columns(SUMMARIES, "control_totals"))
    if not columns:
        return None
    # A table built by the previous release has only the old names.
    kept, possible = (
        ("interpretation_kept", "interpretations_possible")
        if "interpretation_kept" in columns
        else ("reading_kept", "readings_possible")
    )
    found = session.query(f"SELECT max({possible}) FROM {SUMMARIES}.control_totals WHERE {kept}")  # noqa: S608
    return found[0][0]


# Parameters that are queried from the database when a summary is built.
FOUND_OUT: Mapping[str, Callable[[Session], Value]] = {
    KEPT_INTERPRETATION: read_interpretation,
    NOT_SETTLED: describe_unsettled,
    "not_offered": lambda session: describe_gaps(load_gaps(session)),
}
