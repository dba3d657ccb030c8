"""Values of published tables as a page shows them: an exact text, and what to sort by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from refersion_dagster.charts import remove_control_characters
from refersion_dagster.report.money import amount
from refersion_dagster.report.page import count, day, moment, month, percent

# Amounts have four decimals in every summary, ratios six.
AMOUNT_EXPONENT = -4
MONTHS = ("month", "from_month", "to_month", "paid_month")
Cell = dict[str, str]


def cells(
    row: Mapping[str, Any], lacking: Mapping[str, str], zone: ZoneInfo, currency: str = "currency"
) -> dict[str, Cell | None]:
    """Returns the values of a row by column: `text` and `exact`, or `unknown` with the reason, or None for NULL.

    Args:
        lacking: what the account does not offer, by column that is therefore not known.
        zone: of times.
        currency: the column that names the currency of the amounts.
    """
    of_amounts = row.get(currency)
    return {
        name: {"unknown": describe_lacking(lacking[name])} if name in lacking else _cell(name, value, of_amounts, zone)
        for name, value in row.items()
    }


def describe_lacking(names: str) -> str:
    """Says why a figure is not known."""
    return f"This account does not offer {names}."


def _cell(name: str, value: Any, currency: str | None, zone: ZoneInfo) -> Cell | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return {"text": "yes" if value else "no", "exact": str(int(value))}
    if isinstance(value, int):
        return {"text": count(value), "exact": str(value)}
    if isinstance(value, Decimal):
        is_amount = value.as_tuple().exponent == AMOUNT_EXPONENT
        return {"text": amount(value, currency) if is_amount else percent(value), "exact": f"{value:f}"}
    if isinstance(value, datetime):
        return {"text": moment(value.astimezone(zone)), "exact": value.isoformat()}
    if isinstance(value, date):
        return {"text": month(value) if name in MONTHS else day(value), "exact": value.isoformat()}
    return {"text": remove_control_characters(str(value)), "exact": str(value)}
