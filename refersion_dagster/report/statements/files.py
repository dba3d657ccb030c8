"""Writes a set of statements: HTML and CSV for each affiliate, an index, and the totals of all.

    2026-10/
      index.html  totals.csv  37560058.html  37560058.csv  …

Conversions are written in a stream, so that memory does not grow with the account. They are summed while they are
written, and a set that does not add up is not published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from refersion_dagster.report.statements.bounds import BoundedStatement
from refersion_dagster.report.statements.csv_files import StatementCsv, write_totals
from refersion_dagster.report.statements.errors import StatementsDoNotTie
from refersion_dagster.report.statements.figures import Lines, Statement, StatementConversion
from refersion_dagster.report.statements.file_names import file_name
from refersion_dagster.report.statements.pages import TOTALS, Section, index_page, statement_page
from refersion_dagster.report.statements.reconciliation import Difference, RunningSums
from refersion_dagster.report.statements.request import StatementRequest

INDEX = "index.html"
DIFFERENCES_TOLD = 5


def write_set(
    folder: Path,
    issue: StatementRequest,
    statements: Sequence[Statement | BoundedStatement],
    rows: Iterable[StatementConversion],
    rolled: Mapping[str, Lines],
) -> int:
    """Writes the files. Returns the number of conversions in them.

    Args:
        folder: an empty folder.
        statements: by affiliate and currency.
        rows: their conversions, in the same order.
        rolled: the month in the roll-forward, by currency.

    Raises StatementsDoNotTie if conversions do not add up to their statement, and OSError.
    """
    flow = ConversionStream(rows)
    named: list[tuple[Statement | BoundedStatement, str]] = []
    count = 0
    for affiliate_id, own in groupby(statements, key=lambda statement: statement.affiliate_id):
        name = file_name(affiliate_id)
        with (folder / f"{name}.csv").open("w", encoding="utf-8-sig", newline="") as file:
            table = StatementCsv(file, issue.month, issue.merchant.name)
            sections = [write_section(table, statement, flow) for statement in own]
        (folder / f"{name}.html").write_text(statement_page(issue, sections, f"{name}.csv"), "utf-8")
        named += [(section.statement, name) for section in sections]
        count += sum(section.count for section in sections)
    flow.check_complete()
    with (folder / TOTALS).open("w", encoding="utf-8-sig", newline="") as file:
        write_totals(file, issue.month, named)
    (folder / INDEX).write_text(index_page(issue, named, rolled), "utf-8")
    return count


def write_section(table: StatementCsv, statement: Statement | BoundedStatement, flow: ConversionStream) -> Section:
    """Writes a statement and its conversions as CSV rows and returns the page section. Raises StatementsDoNotTie."""
    section = Section(statement)
    counted = RunningSums(statement) if isinstance(statement, Statement) else None
    table.statement(statement)
    for row in flow.of(statement):
        table.conversion(statement, row)
        section.add(row)
        if counted:
            counted.add(row)
    if counted:
        refuse(list(counted.differences()))
    return section


class ConversionStream:
    """A stream of conversions, sorted by affiliate and currency, which is consumed statement by statement."""

    def __init__(self, rows: Iterable[StatementConversion]) -> None:
        self._groups = groupby(rows, key=lambda row: (row.affiliate_id, row.currency))
        self._next = next(self._groups, None)

    def of(self, statement: Statement | BoundedStatement) -> Iterator[StatementConversion]:
        """Yields the conversions of the next statement, which may have none."""
        if self._next and self._next[0] == (statement.affiliate_id, statement.currency):
            yield from self._next[1]
            self._next = next(self._groups, None)

    def check_complete(self) -> None:
        """Raises StatementsDoNotTie if there are conversions without a statement."""
        if self._next:
            affiliate, currency = self._next[0]
            raise StatementsDoNotTie(
                f"There are conversions of affiliate {affiliate} in {currency} without a statement."
            )


def refuse(differences: Sequence[Difference]) -> None:
    """Raises StatementsDoNotTie if there are differences."""
    if differences:
        told = "; ".join(map(str, differences[:DIFFERENCES_TOLD]))
        more = f"; and {len(differences) - DIFFERENCES_TOLD} more" if len(differences) > DIFFERENCES_TOLD else ""
        raise StatementsDoNotTie(
            f"The statements do not add up: {told}{more}. Materialise the summaries again, because they may be "
            "from different readings. If the difference remains, it is an error in the summaries or in this "
            "program."
        )
