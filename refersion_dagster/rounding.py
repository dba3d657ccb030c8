"""Amounts as text, rounded half up like the tables: 0.125 becomes 0.13. Python's own format rounds half to even."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

# Sums have up to 38 digits.
EXACT = Context(prec=60)


def round_half_up(value: Decimal | int, decimals: int) -> Decimal:
    """A value with this many decimals, halves rounded away from zero; never -0."""
    found = Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, EXACT)
    return found if found else found.copy_abs()


def format_amount(value: Decimal | int, decimals: int = 2) -> str:
    """Formats an amount: 1,234.50"""
    return f"{round_half_up(value, decimals):,}"
