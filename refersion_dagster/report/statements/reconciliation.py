"""Checks that statements add up: each one by itself, with its conversions, and all of them to the roll-forward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from refersion_dagster.report.statements.figures import Lines, Statement, StatementConversion

NOTHING = Lines(*[Decimal(0)] * len(Lines._fields))
MOVEMENTS = ("earned", "approved", "adjustments", "reversed", "paid")
# Lines that the roll-forward also has.
SHARED = tuple(line for line in Lines._fields if line != "earned")


@dataclass(frozen=True)
class Difference:
    """Two figures that have to be equal but are not.

    Args:
        of: description of what they belong to.
        line: a field of Lines.
        stated: amount in the statements.
        expected: amount that it has to be.
    """

    of: str
    line: str
    stated: Decimal
    expected: Decimal

    def __str__(self) -> str:
        return f"{self.of}: {self.line} is {self.stated:f} but has to be {self.expected:f}"


def add_lines(parts: Iterable[Lines]) -> Lines:
    """Returns the sum of lines, which are all in one currency."""
    return Lines(*(sum(line, Decimal(0)) for line in zip(NOTHING, *parts, strict=True)))


def by_currency(statements: Iterable[Statement]) -> dict[str, Lines]:
    """Returns the sums of statements by currency, the account's own first."""
    parts: dict[str, list[Lines]] = {}
    for statement in sorted(statements, key=lambda one: one.order):
        parts.setdefault(statement.currency, []).append(statement.lines)
    return {currency: add_lines(of) for currency, of in parts.items()}


def compare_with_roll_forward(sums: Mapping[str, Lines], rolled: Mapping[str, Lines]) -> Iterator[Difference]:
    """Yields differences between the sums of all affiliates' statements and the roll-forward, to the last digit.

    Args:
        sums: sums of the statements, by currency.
        rolled: the month in the roll-forward, by currency; a missing currency was not known yet.
    """
    for currency in {**sums, **rolled}:
        stated, expected = sums.get(currency, NOTHING), rolled.get(currency, NOTHING)
        for line in SHARED:
            if getattr(stated, line) != getattr(expected, line):
                yield Difference(f"all statements in {currency}", line, getattr(stated, line), getattr(expected, line))


def check_arithmetic(statements: Iterable[Statement]) -> Iterator[Difference]:
    """Yields statements whose opening and movements do not add up to the closing."""
    for statement in statements:
        lines = statement.lines
        if lines.difference:
            of = f"affiliate {statement.affiliate_id} in {statement.currency}"
            yield Difference(of, "closing", lines.closing, lines.closing + lines.difference)


class RunningSums:
    """Running sums of a statement's conversions.

    Args:
        statement: the statement that they belong to.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self._sums = [Decimal(0)] * len(MOVEMENTS)

    def add(self, row: StatementConversion) -> None:
        moved = (row.earned, row.approved, row.adjustments, row.reversed, row.paid)
        self._sums = [before + more for before, more in zip(self._sums, moved, strict=True)]

    def differences(self) -> Iterator[Difference]:
        """Yields differences between the sums and the statement's lines."""
        of = f"the conversions of affiliate {self.statement.affiliate_id} in {self.statement.currency}"
        for line, found in zip(MOVEMENTS, self._sums, strict=True):
            expected = getattr(self.statement.lines, line)
            if found != expected:
                yield Difference(of, line, found, expected)
