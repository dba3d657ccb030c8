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
# Conversions that a page shows of each currency; the CSV beside it has them all.
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
    """One currency of an affiliate's page.

    Args:
        shown: the first MOST_SHOWN of its conversions.
        count: the number of all of them.
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
    """The page of one affiliate.

    Args:
        sections: one for each currency, at least one.
        csv: name of the file with the same figures.
    """
    # Amounts of long tables are plain texts: there are millions, and the CSV has their exact values.
    return render("statements/statement.html.j2", issue=issue, sections=sections, csv=csv, figure=amount)


def index_page(
    issue: StatementRequest, named: Sequence[tuple[Statement | BoundedStatement, str]], rolled: Mapping[str, Lines]
) -> str:
    """The page that leads to all statements, and shows that they add up to the roll-forward.

    Args:
        named: each statement with the name of its files.
        rolled: the month in the roll-forward, by currency.
    """
    known = [(one, name) for one, name in named if isinstance(one, Statement)]
    partly = [(one, name) for one, name in named if isinstance(one, BoundedStatement)]
    sums = by_currency(statement for statement, _ in known)
    return render(
        "statements/index.html.j2",
        issue=issue,
        named=named,
        # Those of one affiliate are not compared with anything.
        ties=[]
        if issue.affiliate
        else [(currency, of, rolled.get(currency, NOTHING)) for currency, of in sums.items()],
        by_currency=_by_currency(known),
        partly=[(currency, [*own]) for currency, own in groupby(_most_first(partly), lambda one: one[0].currency)],
        labels=LABELS,
        totals=TOTALS,
        figure=amount,
    )


def _most_first(partly: Iterable[tuple[BoundedStatement, str]]) -> list[tuple[BoundedStatement, str]]:
    """By currency, those of the highest possible closing balances first."""
    return sorted(partly, key=lambda one: (one[0].order, -one[0].closing.highest, one[0].affiliate_id))


def _by_currency(named: Iterable[tuple[Statement, str]]) -> list[tuple[str, list[tuple[Statement, str]]]]:
    """The statements of each currency, those of the largest closing balances first."""
    found: dict[str, list[tuple[Statement, str]]] = {}
    for one in sorted(named, key=lambda one: (one[0].order, -one[0].lines.closing, one[0].affiliate_id)):
        found.setdefault(one[0].currency, []).append(one)
    return list(found.items())
