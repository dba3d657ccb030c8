"""Your own checks, from the files that the settings name; see summaries/extensions.py."""

from __future__ import annotations

from collections.abc import Sequence

from refersion_dagster.checks.query import SqlCheck, load_checks, parse
from refersion_dagster.checks.raw import RAW_CHECKS
from refersion_dagster.checks.sums import SUMS
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.assets import PRIMARY_KEY
from refersion_dagster.summaries.extensions import check_names, try_each
from refersion_dagster.summaries.lineage import check_columns
from refersion_dagster.summaries.query import Summary, list_tables
from refersion_dagster.warehouse.sql_file import SqlFileError, SqlText


def load_own_checks(texts: Sequence[SqlText], summaries: Sequence[Summary]) -> list[SqlCheck]:
    """Returns the checks of these files.

    Args:
        summaries: all summaries, in order.

    Raises SqlFileError with the errors of the files, one per line.
    """
    if not texts:
        return []
    known = list_tables(summary.name for summary in summaries)
    shipped = (PRIMARY_KEY, SUMS, *RAW_CHECKS, *(check.file.name for check in load_checks(known)))
    checks = try_each(texts, lambda text: parse(text.text, text.path, known))
    check_names((check.file for check in checks), dict.fromkeys(shipped, "a shipped check"))
    by_name = {summary.name: summary for summary in summaries}
    try_each(checks, lambda check: check_columns(check.file, check.depends_on, summaries))
    try_each(checks, lambda check: _check_order(check, by_name))
    return checks


def _check_order(check: SqlCheck, summaries: dict[str, Summary]) -> None:
    """Raises SqlFileError if a blocking check reads a summary that has to wait for its result."""
    if not check.file.header.blocking:
        return
    for schema, table in check.depends_on:
        if schema == SUMMARIES and table != check.checked[1] and _reads(summaries[table], check.checked):
            raise SqlFileError(
                f"{check.file.path}:{check.file.find_table_line(schema, table)}: this blocking check of "
                f"{check.file.header.asset} reads summaries/{table}, which is built from {check.file.header.asset} "
                f"after the check. Check summaries/{table} instead, or set `blocking: false`."
            )


def _reads(summary: Summary, table: tuple[str, str]) -> bool:
    """Whether a summary is derived from a table, directly or through others."""
    return table in summary.depends_on or any(_reads(one, table) for one in summary.reads.values())
