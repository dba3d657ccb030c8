"""Sums of the raw conversions, per currency, that summaries must preserve.

They are calculated directly from the raw rows, independently of every summary, so that an error cannot hide itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES

IS_PAID = """(
  coalesce(payment_status, '') = 'PAID' OR coalesce(payment_id, payment__id) IS NOT NULL OR payment__created IS NOT NULL
)"""
IS_BY_HAND = "coalesce(type, '') = 'MANUAL_CREDIT_BY_CLIENT'"
IS_CANCELLATION = f"""(
  left(coalesce(type, ''), 13) = 'CANCELLATION_'
  OR total < 0
  OR (commission_total < 0 AND order_id IS NOT NULL AND NOT {IS_BY_HAND})
)"""
# An order of value 0 is left out, because it adds nothing to sales.
IS_SALE = f"(total > 0 AND NOT {IS_CANCELLATION} AND (order_id IS NOT NULL OR NOT {IS_BY_HAND}))"

# name: (summed expression, row condition, description)
MEASURES: dict[str, tuple[str, str, str]] = {
    "rows": ("1", "TRUE", "number of conversions"),
    "commission": ("commission_total", "TRUE", "commission of all conversions, whatever their status"),
    "pending": ("commission_total", "status = 'PENDING'", "commission waiting for approval"),
    "due": ("commission_total", f"status = 'APPROVED' AND NOT {IS_PAID}", "commission approved and not paid"),
    "paid": ("commission_total", f"status = 'APPROVED' AND {IS_PAID}", "commission approved and paid"),
    "denied": ("commission_total", "status = 'DENIED'", "commission denied"),
    "unqualified": ("commission_total", "status = 'UNQUALIFIED'", "commission unqualified"),
    "unknown": (
        "commission_total",
        "coalesce(status, '') NOT IN ('PENDING', 'APPROVED', 'DENIED', 'UNQUALIFIED')",
        "commission in an unknown status",
    ),
    "sales": ("total", f"{IS_SALE} AND status IN ('PENDING', 'APPROVED')", "gross affiliate sales"),
    "net_sales": (
        "total",
        f"({IS_SALE} OR {IS_CANCELLATION}) AND status = 'APPROVED'",
        "approved orders less approved cancellations",
    ),
}
# Measures restricted to rows for which a column of summaries/conversions is true.
# name: (base measure, column, description)
COUNTED: dict[str, tuple[str, str, str]] = {
    "programme_sales": ("sales", "counts_once", "gross affiliate sales, each purchase once"),
    "programme_net_sales": ("net_sales", "counts_once", "approved purchases less approved cancellations"),
    "affiliate_sales": ("sales", "counts_for_affiliate", "gross affiliate sales, each purchase once per affiliate"),
    "affiliate_net_sales": (
        "net_sales",
        "counts_for_affiliate",
        "approved purchases, each once per affiliate, less approved cancellations",
    ),
}


def measure_names() -> tuple[str, ...]:
    """Returns the measure names that a header's `sums` may use."""
    return (*MEASURES, *COUNTED)


def described(name: str) -> str:
    """Returns the description of a measure."""
    return COUNTED[name][2] if name in COUNTED else MEASURES[name][2]


def raw_sums(measures: Mapping[str, str]) -> str:
    """Returns SQL for measures of the raw rows per currency, in one scan: the columns currency and the given names.

    Args:
        measures: names of measures, by output column.
    """
    columns = ", ".join(f"sum({_amount(measure)}) AS {name}" for name, measure in measures.items())
    return (
        f"SELECT currency, {columns} FROM {DATASET}.conversions "  # noqa: S608 - names of ours
        "WHERE NOT coalesce(is_test_conversion, FALSE) AND vanished_at IS NULL GROUP BY currency"
    )


def _amount(measure: str) -> str:
    """Returns SQL for the amount that a row adds to a measure."""
    of, counted, _ = COUNTED.get(measure, (measure, "", ""))
    what, which, _ = MEASURES[of]
    if counted:
        which = f"{which} AND id IN (SELECT conversion_id FROM {SUMMARIES}.conversions WHERE {counted})"  # noqa: S608
    return f"CASE WHEN {which} THEN {what} ELSE 0 END"
