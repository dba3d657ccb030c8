"""SQL macros shared by several files: measures, and divisions with the same result in every warehouse.

A file lists the macros that it calls under `macros` in its header; see warehouse/macros.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from refersion_dagster.warehouse.macros import Macro

STATES = ("pending", "due", "paid", "denied", "unqualified", "unknown")


def expand_states(column: str) -> str:
    """Returns one column for each commission state."""
    return ",\n".join(column.replace("STATE", state) for state in STATES)


MACROS: Mapping[str, Macro] = {
    # A part divided by a whole, 0 to 1; NULL if the whole is 0. DuckDB divides in floating point: the first cast drops
    # the inexact digits.
    "share": Macro(("part", "whole"), "CAST(CAST({part} / nullif({whole}, 0) AS DECIMAL(38, 12)) AS DECIMAL(18, 6))"),
    # Like share, for a result of any size.
    "rate": Macro(("above", "below"), "CAST(CAST({above} / nullif({below}, 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6))"),
    # An amount divided by a number. It is exact to the last digit, because the remainder is divided again.
    "average": Macro(
        ("total", "number"),
        """
CAST(
  CAST({total} / nullif({number}, 0) AS DECIMAL(38, 4))
    + CAST(
      ({total} - CAST({total} / nullif({number}, 0) AS DECIMAL(38, 4)) * {number}) / nullif({number}, 0)
      AS DECIMAL(38, 8)
    )
  AS DECIMAL(38, 4)
)""",
    ),
    # A whole number as text. The casts are explicit, because databases format types differently.
    "whole_number": Macro(("number",), "CAST(CAST({number} AS BIGINT) AS TEXT)"),
    # Aggregates conversions; `counted` is counts_once or counts_for_affiliate.
    "sales_measures": Macro(
        ("counted",),
        """
count(CASE WHEN is_sale AND {counted} THEN 1 END) AS orders,
sum(CASE WHEN is_sale AND {counted} THEN total ELSE 0 END) AS sales,
sum(CASE WHEN is_net AND {counted} THEN total ELSE 0 END) AS net_sales,
sum(CASE WHEN is_net THEN total ELSE 0 END) AS net_totals,
sum(CASE WHEN is_net THEN commission ELSE 0 END) AS net_commission,
count(CASE WHEN is_net AND conversion_kind = 'cancellation' THEN 1 END) AS cancellations""",
    ),
    # Aggregates conversions: commission, and commission_pending to commission_unknown.
    "commission_by_state": Macro(
        (),
        "sum(CASE WHEN is_earned THEN commission ELSE 0 END) AS commission,\n"
        + expand_states("sum(CASE WHEN commission_state = 'STATE' THEN commission ELSE 0 END) AS commission_STATE"),
    ),
    # The columns commission_pending to commission_unknown of a row, with their type.
    "commission_columns": Macro(
        ("row",), expand_states("CAST({row}.commission_STATE AS DECIMAL(38, 4)) AS commission_STATE")
    ),
    # The same columns by order date; 0 if there is no row.
    "of_orders_made": Macro(
        ("row",),
        expand_states("CAST(coalesce({row}.commission_STATE, 0) AS DECIMAL(38, 4)) AS commission_STATE_of_orders_made"),
    ),
    # Aggregates conversions: number of orders by state, and the commissions used by approval_rate_by_value.
    "orders_by_state": Macro(
        (),
        """
count(CASE WHEN is_sale AND commission_state = 'pending' THEN 1 END) AS conversions_pending,
count(CASE WHEN conversion_kind = 'order' AND is_approved THEN 1 END) AS conversions_approved,
count(CASE WHEN conversion_kind = 'order' AND is_decided AND NOT is_approved THEN 1 END) AS conversions_denied,
count(CASE WHEN conversion_kind = 'order' AND commission_state = 'unqualified' THEN 1 END) AS conversions_unqualified,
sum(CASE WHEN conversion_kind = 'order' AND is_approved AND commission > 0 THEN commission ELSE 0 END) AS approved,
sum(CASE WHEN conversion_kind = 'order' AND is_decided AND commission > 0 THEN commission ELSE 0 END) AS decided""",
    ),
    # CTEs: clicks and their results, by affiliate or offer (`key`). A click has no currency. Clicks are known from the
    # first one with a key, and only if they have a key.
    "click_results": Macro(
        ("key", "conversions", "counted"),
        """
known_clicks AS (
  SELECT min(created) AS since
  FROM refersion_data.clicks
  WHERE vanished_at IS NULL AND {key} IS NOT NULL
),

clicks AS (
  SELECT {key}, count(created) AS clicks
  FROM refersion_data.clicks
  WHERE vanished_at IS NULL AND {key} IS NOT NULL
  GROUP BY {key}
),

led_to AS (
  SELECT c.*, k.since
  FROM {conversions} AS c
  INNER JOIN known_clicks AS k ON c.created_at >= k.since
  WHERE c.is_from_click
),

orders_of_clicks AS (
  SELECT {key}, count(CASE WHEN is_sale AND {counted} THEN 1 END) AS orders
  FROM led_to
  GROUP BY {key}
),

earned_of_clicks AS (
  SELECT {key}, currency, sum(CASE WHEN is_earned THEN commission ELSE 0 END) AS commission
  FROM led_to
  GROUP BY {key}, currency
)""",
    ),
    # CTE months: every month of each currency, from the first month in `figures` to the month of the last reading.
    "months_of": Macro(
        ("figures",),
        """
spans AS (
  SELECT
    p.currency,
    CAST(min(p.month) AS TIMESTAMP) AS first_month,
    CAST(greatest(max(p.month), CAST(date_trunc('month', max(d.today)) AS DATE)) AS TIMESTAMP) AS last_month
  FROM {figures} AS p
  LEFT JOIN refersion_summaries.data_as_of AS d ON TRUE
  GROUP BY p.currency
),

months AS (
  SELECT s.currency, CAST(series.moment AS DATE) AS month
  FROM spans AS s
  CROSS JOIN LATERAL generate_series(s.first_month, s.last_month, INTERVAL '1' MONTH) AS series(moment)
)""",
    ),
    # Columns of payment_proof that checks show.
    "payment_and_proof": Macro(
        (),
        """
payment_id,
currency,
affiliate_name,
paid_at,
proof,
amount,
conversions_commission""",
    ),
    # Payment status of a raw conversion for the comparison with Refersion's totals; `unpaid` is the number of the
    # account's rows with the status UNPAID.
    "compared_payment_status": Macro(
        ("row", "unpaid"),
        """
CASE
  WHEN {row}.payment_status <> '' THEN {row}.payment_status
  WHEN {unpaid} > 0 THEN '(none)'
  WHEN coalesce({row}.payment_id, {row}.payment__id) IS NOT NULL OR {row}.payment__created IS NOT NULL THEN 'PAID'
  ELSE 'UNPAID'
END""",
    ),
}
