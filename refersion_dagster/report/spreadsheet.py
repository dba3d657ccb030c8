"""Escapes text for spreadsheets."""

from __future__ import annotations

# A spreadsheet treats a cell that begins like this as a formula, which may run a program or leak other cells.
FORMULA_BEGINS = "=+-@\t\r"


def harmless(text: str) -> str:
    """Escapes a text for a CSV cell with an apostrophe if it looks like a formula. Not for numbers."""
    return f"'{text}" if text.startswith(tuple(FORMULA_BEGINS)) else text
