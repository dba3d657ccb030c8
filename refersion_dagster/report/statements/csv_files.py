"""Writes statements as CSV: texts are escaped for spreadsheets, amounts are plain numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import IO, Any

from refersion_dagster.report.spreadsheet import harmless
from refersion_dagster.report.statements.bounds import BoundedStatement
from refersion_dagster.report.statements.figures import Statement, StatementConversion

OF_AFFILIATE = ("month", "affiliate_id", "affiliate_name", "currency")
OF_CONVERSION = ("conversion_id", "order_number", "date", "kind", "state", "commission")
BALANCE = ("opening", "earned", "approved", "adjustments", "reversed", "paid", "closing")
# Filled if the month is not known in full; lines that are not known are then empty.
BOUNDS = ("opening_lowest", "opening_highest", "closing_lowest", "closing_highest", "not_known")
STATEMENT, CONVERSION = "statement", "conversion"

TOTALS_HEADER = (*OF_AFFILIATE, *BALANCE, "file", *BOUNDS)
HEADER = (*OF_AFFILIATE, "record", *OF_CONVERSION, *BALANCE, *BOUNDS, "merchant")


class StatementCsv:
    """The file of one affiliate: for each currency a row with the statement's lines, and a row for each conversion.

    In every line that conversions have, their rows add up to the row of their statement.

    Args:
        file: text file open for writing, with newline="".
        month: its first day.
        merchant: the sender's name.
    """

    def __init__(self, file: IO[str], month: date, merchant: str = "") -> None:
        self._write = csv.writer(file).writerow
        self._month = f"{month:%Y-%m}"
        self._merchant = harmless(merchant)
        self._write(HEADER)

    def statement(self, statement: Statement | BoundedStatement) -> None:
        empty = ("",) * len(OF_CONVERSION)
        of = _affiliate_row(self._month, statement)
        self._write((*of, STATEMENT, *empty, *_balance(statement), *_bounds(statement), self._merchant))

    def conversion(self, statement: Statement | BoundedStatement, row: StatementConversion) -> None:
        if isinstance(statement, BoundedStatement):
            moved = (plain(row.earned), "", "", "", "" if statement.paid is None else plain(row.paid))
        else:
            moved = tuple(map(plain, (row.earned, row.approved, row.adjustments, row.reversed, row.paid)))
        self._write(
            (
                *_affiliate_row(self._month, statement),
                CONVERSION,
                harmless(row.conversion_id),
                harmless(row.order_id or ""),
                row.made_on.isoformat(),
                row.conversion_kind,
                row.commission_state,
                plain(row.commission),
                "",
                *moved,
                "",
                *("",) * len(BOUNDS),
                self._merchant,
            )
        )


def write_totals(file: IO[str], month: date, statements: Iterable[tuple[Statement | BoundedStatement, str]]) -> None:
    """Writes a row for each statement.

    Args:
        statements: statements with the name of their files.
    """
    write = csv.writer(file).writerow
    write(TOTALS_HEADER)
    for statement, name in statements:
        of = _affiliate_row(f"{month:%Y-%m}", statement)
        write((*of, *_balance(statement), f"{name}.csv", *_bounds(statement)))


def plain(amount: Decimal) -> str:
    """Formats an amount as a plain number with at least two decimals, exact."""
    text = f"{amount:.4f}"
    return text[:-2] if text.endswith("00") else text


def _affiliate_row(month: str, statement: Statement | BoundedStatement) -> tuple[Any, ...]:
    return (month, harmless(statement.affiliate_id), harmless(statement.name or ""), harmless(statement.currency))


def _balance(statement: Statement | BoundedStatement) -> list[str]:
    """Returns the columns BALANCE of a statement; unknown amounts are empty."""
    if isinstance(statement, Statement):
        return [plain(amount) for amount in statement.lines]
    opening, closing = statement.opening, statement.closing
    known = {
        "opening": opening.lowest if opening.is_known else None,
        "earned": statement.earned,
        "paid": statement.paid,
        "closing": closing.lowest if closing.is_known else None,
    }
    return ["" if (amount := known.get(name)) is None else plain(amount) for name in BALANCE]


def _bounds(statement: Statement | BoundedStatement) -> list[str]:
    if isinstance(statement, Statement):
        return [""] * len(BOUNDS)
    return [*map(plain, (*statement.opening, *statement.closing)), harmless(statement.reason)]
