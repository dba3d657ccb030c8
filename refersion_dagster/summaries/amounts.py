"""Which columns of the summaries are amounts of money, and which column names their currency."""

from __future__ import annotations

import re

from refersion_dagster.summaries.query import Summary

# Amounts have four decimals in every summary, ratios six.
AMOUNT_TYPE = re.compile(r"decimal\(\d+,4\)")
CURRENCY = "currency"
# The column with the currency of an amount, where it is not CURRENCY; None where no column has it.
CURRENCY_COLUMNS: dict[tuple[str, str], str | None] = {
    ("conversion_states", "amount_before"): "currency_before",
    **{
        ("control_totals", f"{side}_{amount}"): "totals_currency"
        for side in ("refersion", "loaded")
        for amount in ("commission", "order_total")
    },
    ("control_totals", "commission_difference"): "totals_currency",
    ("control_totals", "order_total_difference"): "totals_currency",
    # In the currency of the offer.
    ("commission_by_offer", "nominal_amount"): None,
    ("conversions", "offer_amount"): None,
}


def is_amount(kind: str) -> bool:
    """Whether a column of a summary with this DuckDB type has amounts of money."""
    return AMOUNT_TYPE.fullmatch(kind.lower().replace(" ", "")) is not None


def currency_column(table: str, column: str) -> str | None:
    """Returns the column of a summary with the currency of an amount; None if no column has it."""
    return CURRENCY_COLUMNS.get((table, column), CURRENCY)


def additive_columns(summary: Summary) -> frozenset[str]:
    """Returns the amounts and counts that can be added up over the rows of a summary, within one currency.

    The check `sums_preserved` compares these sums with the raw rows.
    """
    return frozenset(summary.header.sums)
