"""Amounts of money as people write them, in English: 1,114.50 and €1,114.50.

Amounts have the decimals of their currency (two of EUR, none of JPY, three of KWD), as Unicode's CLDR says through
Babel, rounded half up. Refersion's currencies are what the shop sent: an unknown code is shown unchanged, with two
decimals.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from refersion_dagster.rounding import grouped

LOCALE = "en_US"
CODE = re.compile(r"[A-Z]{3}")
NO_VALUE = "–"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def amount(value: Decimal | None, currency: str | None) -> str:
    """An amount without its currency, as in a table that names it: 1,114.50; a dash for none."""
    if value is None:
        return NO_VALUE
    return grouped(value, decimals(currency))


def money(value: Decimal | None, currency: str | None) -> str:
    """An amount with its currency: €1,114.50, ¥1,115, CHF 1,114.50, and 1,114.50 x1 if x1 is not a currency code."""
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
    """How many decimals an amount of a currency has."""
    from babel.numbers import get_currency_precision  # here, as loading the code location formats nothing

    return get_currency_precision(currency or "")


@lru_cache(maxsize=1024)
def _symbol(currency: str) -> str:
    from babel.numbers import get_currency_symbol

    return get_currency_symbol(currency, LOCALE)
