"""Formats amounts of money in English: 1,114.50 and €1,114.50.

Amounts are rounded half up to the decimals of their currency (two for EUR, none for JPY, three for KWD), which come
from Unicode's CLDR through Babel. Refersion stores whatever currency the shop sent: an unknown code is shown unchanged,
with two decimals.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from refersion_dagster.rounding import format_amount

LOCALE = "en_US"
CODE = re.compile(r"[A-Z]{3}")
NO_VALUE = "–"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def amount(value: Decimal | None, currency: str | None) -> str:
    """Formats an amount without its currency, for a table that names it: 1,114.50; a dash for None."""
    if value is None:
        return NO_VALUE
    return format_amount(value, decimals(currency))


def money(value: Decimal | None, currency: str | None) -> str:
    """Formats an amount with its currency: €1,114.50, ¥1,115, CHF 1,114.50; 1,114.50 x1 for the unknown code x1."""
    text = amount(value, currency)
    if value is None or not currency:
        return text
    if not CODE.fullmatch(currency):
        return f"{text}{NO_BREAK_SPACE}{currency}"
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    symbol = _symbol(currency)
    return f"{sign}{symbol}{NO_BREAK_SPACE if symbol[-1].isalpha() else ''}{digits}"


@lru_cache(maxsize=1024)
def decimals(currency: str | None) -> int:
    """Returns the number of decimals of a currency."""
    from babel.numbers import get_currency_precision  # lazy import: loading the code location formats nothing

    return get_currency_precision(currency or "")


@lru_cache(maxsize=1024)
def _symbol(currency: str) -> str:
    from babel.numbers import get_currency_symbol

    return get_currency_symbol(currency, LOCALE)
