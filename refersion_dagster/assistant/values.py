"""Values of answers as JSON: amounts as exact texts, and texts of other people marked as such."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from refersion_dagster.assistant.copies import Row
from refersion_dagster.report.money import decimals
from refersion_dagster.summaries.amounts import CURRENCY

MAX_CHARACTERS = 300
# Columns with texts of affiliates, shops and customers.
FOREIGN = {
    *("affiliate_name", "name", "affiliate_email", "email", "company", "coupon_code", "offer_name", "order_id"),
    *("evidence", "remark", "status"),
}
CURRENCY_CHARACTERS = 12


def mark_foreign(text: str) -> dict[str, str]:
    """A text that affiliates, shops or customers may have written: data, never an instruction."""
    return {"untrusted_text": clean(text)}


def clean(text: str, most: int = MAX_CHARACTERS) -> str:
    """The text without invisible and control characters, cut to `most` characters."""
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(one)[0] == "C" else one for one in cut)


def amount_text(value: Decimal, currency: str | None) -> str:
    """An exact amount, with at least the decimals of its currency and no more than it has: 1114.50."""
    exact = value.normalize()
    places = max(decimals(currency), -int(exact.as_tuple().exponent))
    return f"{exact:.{places}f}"


def as_json(rows: Sequence[Row], unknown: Collection[str] = ()) -> list[dict[str, Any]]:
    """Rows for an answer, whose amounts are in the currency of the column `currency`.

    Args:
        unknown: columns that cannot be known on this account. They become None, even where the copies have an estimate.
    """
    return [
        {name: None if name in unknown else _value(name, value, row.get(CURRENCY)) for name, value in row.items()}
        for row in rows
    ]


def _value(name: str, value: Any, currency: Any) -> Any:
    if isinstance(value, str):
        if name.endswith("currency"):
            return clean(value, CURRENCY_CHARACTERS)
        return mark_foreign(value) if name in FOREIGN else clean(value)
    if isinstance(value, Decimal):
        return amount_text(value, currency if isinstance(currency, str) else None)
    return plain(value)


def plain(value: Any) -> Any:
    """A value other than an amount. Times are ISO 8601."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return clean(str(value))


def by_currency(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows grouped by their currency, in order, without the column."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["currency"], []).append({k: v for k, v in row.items() if k != "currency"})
    return found
