"""Sums of the raw conversions, per currency, that summaries must preserve.

They are reckoned here straight from the raw rows, apart from every summary, so that no mistake can hide itself.
"""

from __future__ import annotations

from refersion_dagster.refersion.environment import DATASET

IS_PAID = """(
  coalesce(payment_status, '') = 'PAID' OR coalesce(payment_id, payment__id) IS NOT NULL OR payment__created IS NOT NULL
)"""
IS_ORDER = """(
  total > 0
  AND coalesce(type, '') <> 'MANUAL_CREDIT_BY_CLIENT'
  AND left(coalesce(type, ''), 13) <> 'CANCELLATION_'
  AND NOT (commission_total < 0 AND order_id IS NOT NULL)
)"""

# name: (what is added up, of which rows, in words)
MEASURES: dict[str, tuple[str, str, str]] = {
    "rows": ("1", "TRUE", "number of conversions"),
    "commission": ("commission_total", "TRUE", "commission of all conversions, whatever their status"),
    "pending": ("commission_total", "status = 'PENDING'", "commission that waits for approval"),
    "due": ("commission_total", f"status = 'APPROVED' AND NOT {IS_PAID}", "commission approved and not paid"),
    "paid": ("commission_total", f"status = 'APPROVED' AND {IS_PAID}", "commission approved and paid"),
    "denied": ("commission_total", "status = 'DENIED'", "commission denied"),
    "unqualified": ("commission_total", "status = 'UNQUALIFIED'", "commission unqualified"),
    "unknown": (
        "commission_total",
        "coalesce(status, '') NOT IN ('PENDING', 'APPROVED', 'DENIED', 'UNQUALIFIED')",
        "commission in a status never heard of",
    ),
    "sales": ("total", f"{IS_ORDER} AND status IN ('PENDING', 'APPROVED')", "gross affiliate sales"),
    "net_sales": (
        "total",
        "status = 'APPROVED' AND coalesce(type, '') <> 'MANUAL_CREDIT_BY_CLIENT'",
        "approved orders less approved cancellations",
    ),
}


def measure_sql(name: str) -> str:
    """A measure per currency: columns currency and amount."""
    what, which, _ = MEASURES[name]
    return (
        f"SELECT currency, sum(CASE WHEN {which} THEN {what} ELSE 0 END) AS amount FROM {DATASET}.conversions "  # noqa: S608
        "WHERE NOT coalesce(is_test_conversion, FALSE) AND vanished_at IS NULL GROUP BY currency"
    )
