"""Statements as HTML pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from refersion_dagster.report.money import amount
from refersion_dagster.report.page import render
from refersion_dagster.report.statements.bounds import BoundedStatement
from refersion_dagster.report.statements.figures import Lines, Statement, StatementConversion
from refersion_dagster.report.statements.reconciliation import NOTHING, by_currency
from refersion_dagster.report.statements.request import StatementRequest

TOTALS = "totals.csv"
# Maximum number of conversions on a page for each currency; the CSV file has them all.
MOST_SHOWN = 2_000
LABELS = (
    ("Owed at the beginning of the month", "opening"),
    ("Approved", "approved"),
    ("Adjustments", "adjustments"),
    ("Less reversed", "reversed"),
    ("Less paid", "paid"),
    ("Owed at the end of the month", "closing"),
)


@dataclass
class Section:
    """The section of one currency on an affiliate's page.

    Args:
        shown: the first MOST_SHOWN conversions.
        count: number of all conversions.
    """

    statement: Statement | BoundedStatement
    shown: list[StatementConversion] = field(default_factory=list)
    count: int = 0

    @property
    def is_known(self) -> bool:
        """Whether the month is known in full in this currency."""
        return isinstance(self.statement, Statement)

    def add(self, row: StatementConversion) -> None:
        self.count += 1
        if self.count <= MOST_SHOWN:
            self.shown.append(row)


def statement_page(issue: StatementRequest, sections: Sequence[Section], csv: str) -> str:
    """Renders the page of one affiliate.

    Args:
        sections: one for each currency, at least one.
        csv: name of the file with the same figures.
    """
    # Amounts in long tables are plain text: there are millions, and the CSV file has their exact values.
    return render("statements/statement.html.j2", issue=issue, sections=sections, csv=csv, figure=amount)


def index_page(
    issue: StatementRequest, named: Sequence[tuple[Statement | BoundedStatement, str]], rolled: Mapping[str, Lines]
) -> str:
    """Renders the index, which links to all statements and shows that they add up to the roll-forward.

    Args:
        named: statements with the name of their files.
        rolled: the month in the roll-forward, by currency.
    """
    known = [(one, name) for one, name in named if isinstance(one, Statement)]
    partly = [(one, name) for one, name in named if isinstance(one, BoundedStatement)]
    sums = by_currency(statement for statement, _ in known)
    return render(
        "statements/index.html.j2",
        issue=issue,
        named=named,
        # The statements of one affiliate have nothing to compare with.
        ties=[]
        if issue.affiliate
        else [(currency, of, rolled.get(currency, NOTHING)) for currency, of in sums.items()],
        by_currency=_by_currency(known),
        partly=[(currency, [*own]) for currency, own in groupby(_sort_by_amount(partly), lambda one: one[0].currency)],
        labels=LABELS,
        totals=TOTALS,
        figure=amount,
    )


def _sort_by_amount(partly: Iterable[tuple[BoundedStatement, str]]) -> list[tuple[BoundedStatement, str]]:
    """Sorts by currency, then by highest possible closing balance, descending."""
    return sorted(partly, key=lambda one: (one[0].order, -one[0].closing.highest, one[0].affiliate_id))


def _by_currency(named: Iterable[tuple[Statement, str]]) -> list[tuple[str, list[tuple[Statement, str]]]]:
    """Returns the statements of each currency, those with the largest closing balances first."""
    found: dict[str, list[tuple[Statement, str]]] = {}
    for one in sorted(named, key=lambda one: (one[0].order, -one[0].lines.closing, one[0].affiliate_id)):
        found.setdefault(one[0].currency, []).append(one)
    return list(found.items())
