"""Tries summaries and checks on a loaded warehouse, and their translation to every dialect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dlt.destinations.exceptions import DatabaseException

from refersion_dagster.checks.outcome import OffendingRows, find_offending_rows
from refersion_dagster.checks.query import SqlCheck
from refersion_dagster.checks.sums import SUMS, find_drift
from refersion_dagster.errors import ReportedError
from refersion_dagster.summaries.build import build
from refersion_dagster.summaries.extensions import check_translation
from refersion_dagster.summaries.plot import plot
from refersion_dagster.summaries.query import Summary
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.warehouse.dialects.constructs import CONSTRUCTS
from refersion_dagster.warehouse.dialects.dialect import Dialect, constructs_of
from refersion_dagster.warehouse.session import Session
from refersion_dagster.warehouse.sql_file import SqlFile, SqlFileError


@dataclass(frozen=True)
class SqlResult:
    """The result of one summary or check.

    Args:
        name: `summaries/<name>` or `checks/<name>`.
        rows: rows of the summary, or offending rows of the check; None if it could not be run.
        errors: why it is not valid. Each names file and line.
        refusals: why it has no proven translation, by dialect.
        unproven: constructs that no test has executed, by dialect, where the dialect allows them.
    """

    name: str
    rows: int | None
    errors: Sequence[str]
    refusals: Mapping[str, str] = field(default_factory=dict)
    unproven: Mapping[str, Sequence[str]] = field(default_factory=dict)


def evaluate_summaries(
    session: Session, summaries: Sequence[Summary], dialects: Sequence[Dialect]
) -> Iterator[SqlResult]:
    """Builds summaries, each after those that it reads, and tries their sums, plots and translations."""
    values = ReportSettings().parameters()
    failed: set[str] = set()
    for summary in summaries:
        rows, errors = None, []
        if missing := sorted(failed & summary.reads.keys()):
            errors.append(f"{summary.file.path}:1: not built, because {', '.join(missing)} failed.")
        else:
            try:
                rows = build(session, summary, values).rows
                plot(session, summary)
                if drift := find_drift(session, summary.name, summary.header.sums).rows:
                    errors += [_describe_drift(summary, *row) for row in drift]
            except (ReportedError, DatabaseException) as error:
                errors.append(_name_place(summary.file, error))
        if rows is None:
            failed.add(summary.name)
        refusals, unproven = _translate(summary.file, dialects)
        yield SqlResult(f"summaries/{summary.name}", rows, errors, refusals, unproven)


def evaluate_checks(session: Session, checks: Sequence[SqlCheck], dialects: Sequence[Dialect]) -> Iterator[SqlResult]:
    """Runs checks, and tries their translations. Offending rows are no error of a check."""
    values = ReportSettings().parameters()
    for check in checks:
        found, errors = OffendingRows(0, (), []), []
        try:
            found = find_offending_rows(session, check.file.tree, values)
        except DatabaseException as error:
            errors.append(_name_place(check.file, error))
        refusals, unproven = _translate(check.file, dialects)
        yield SqlResult(f"checks/{check.file.name}", None if errors else found.count, errors, refusals, unproven)


def _name_place(file: SqlFile, error: Exception) -> str:
    text = str(error)
    return text if text.startswith(file.path) else f"{file.path}:{file.line}: the query failed: {text}"


def _describe_drift(summary: Summary, column: object, currency: object, raw: object, summed: object) -> str:
    line = summary.file.line_of(str(column), "sums")
    return (
        f"{summary.file.path}:{line}: {SUMS}: {column} in {currency} is {summed}, but the raw rows add up to {raw} "
        f"({summary.header.sums[str(column)]})."
    )


def _translate(file: SqlFile, dialects: Sequence[Dialect]) -> tuple[Mapping[str, str], Mapping[str, Sequence[str]]]:
    """Returns the refusals and the unproven constructs of a file, by dialect."""
    refusals: dict[str, str] = {}
    unproven: dict[str, Sequence[str]] = {}
    for dialect in dialects:
        try:
            check_translation(file, dialect)
        except SqlFileError as error:
            refusals[dialect.name] = str(error)
        if dialect.constructs is None and (left := sorted(constructs_of(file.tree) - CONSTRUCTS - {"Placeholder"})):
            unproven[dialect.name] = left
    return refusals, unproven
