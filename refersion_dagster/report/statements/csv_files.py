"""Statements as CSV: texts made harmless for spreadsheets, amounts as plain numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import IO, Any

from refersion_dagster.report.spreadsheet import harmless
from refersion_dagster.report.statements.figures import Concerned, Lines, Statement

OF_AFFILIATE = ("month", "affiliate_id", "affiliate_name", "currency")
OF_CONVERSION = ("conversion_id", "order_number", "date", "kind", "state", "commission")
BALANCE = ("opening", "earned", "approved", "adjustments", "reversed", "paid", "closing")
STATEMENT, CONVERSION = "statement", "conversion"

TOTALS_HEADER = (*OF_AFFILIATE, *BALANCE, "file")
HEADER = (*OF_AFFILIATE, "record", *OF_CONVERSION, *BALANCE, "merchant")


class StatementCsv:
    """A file of one affiliate: for each currency a row of the statement's lines, and one for each conversion concerned.

    The rows of conversions add up to the row of their statement in every line that they have.

    Args:
        file: open for writing texts, with newline="".
        month: its first day.
        merchant: the name of whom it comes from.
    """

    def __init__(self, file: IO[str], month: date, merchant: str = "") -> None:
        self._write = csv.writer(file).writerow
        self._month = f"{month:%Y-%m}"
        self._merchant = harmless(merchant)
        self._write(HEADER)

    def statement(self, statement: Statement) -> None:
        empty = ("",) * len(OF_CONVERSION)
        self._write(
            (*_of_affiliate(self._month, statement), STATEMENT, *empty, *_plain(statement.lines), self._merchant)
        )

    def conversion(self, statement: Statement, row: Concerned) -> None:
        self._write(
            (
                *_of_affiliate(self._month, statement),
                CONVERSION,
                harmless(row.conversion_id),
                harmless(row.order_id or ""),
                row.made_on.isoformat(),
                row.kind,
                row.state,
                plain(row.commission),
                "",
                plain(row.earned),
                plain(row.approved),
                plain(row.adjustments),
                plain(row.reversed),
                plain(row.paid),
                "",
                self._merchant,
            )
        )


def write_totals(file: IO[str], month: date, statements: Iterable[tuple[Statement, str]]) -> None:
    """A row for each statement.

    Args:
        statements: each with the name of its files.
    """
    write = csv.writer(file).writerow
    write(TOTALS_HEADER)
    for statement, name in statements:
        write((*_of_affiliate(f"{month:%Y-%m}", statement), *_plain(statement.lines), f"{name}.csv"))


def plain(amount: Decimal) -> str:
    """An amount as a number that every program reads: two decimals, or all that it has."""
    text = f"{amount:.4f}"
    return text[:-2] if text.endswith("00") else text


def _of_affiliate(month: str, statement: Statement) -> tuple[Any, ...]:
    return (month, harmless(statement.affiliate_id), harmless(statement.name or ""), harmless(statement.currency))


def _plain(lines: Lines) -> list[str]:
    return [plain(amount) for amount in lines]
