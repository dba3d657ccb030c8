"""Texts that spreadsheets open."""

from __future__ import annotations

# A spreadsheet takes a cell that begins so for a formula, which may call a program or send other cells somewhere.
FORMULA_BEGINS = "=+-@\t\r"


def harmless(text: str) -> str:
    """A text for a cell of CSV: an apostrophe before what a spreadsheet would take for a formula. Not for numbers."""
    return f"'{text}" if text.startswith(tuple(FORMULA_BEGINS)) else text
