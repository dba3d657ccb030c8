/*
group: owed
description: >
  Share of the programme's orders that is finally approved, by the month of the order. Rates are over decided
  orders only; pending orders are shown next to them, because the rate of a month with many of them can still change.
  The rates of each affiliate are in commission_by_affiliate.
grain: one row per currency and month of the order, for the programme as a whole
primary_key: [currency, month]
owners: [team:data]
macros: [share]
questions:
  - What share of orders, and of their commission, is finally approved?
  - Are we denying more than we used to?
columns:
  currency: Currency of every amount of the row.
  month: First day of the month the orders were made in, in the reporting time zone.
  sales: Gross affiliate sales, the sum of totals of orders pending or approved, each purchase once.
  conversions: Number of orders' conversions in any status. Cancellations and manual credits are not orders.
  conversions_approved: Number of those approved.
  conversions_denied: Number of those denied.
  conversions_unqualified: Number of those unqualified.
  conversions_pending: Number of those that wait for approval; not part of any rate.
  conversions_unknown: Number of those in an undocumented status; not part of any rate.
  commission_approved: Commission of those approved.
  commission_denied: Commission of those denied.
  commission_unqualified: Commission of those unqualified.
  commission_pending: Commission of those that wait for approval.
  approval_rate: >
    Approved divided by approved and denied conversions, a fraction; NULL before any was decided. Unqualified ones are
    left out, as Refersion sets that on arrival and they were never pending.
  approval_rate_by_value: The same by their commission, where it is above 0.
  quality_rate: Approved divided by approved, denied and unqualified conversions.
  quality_rate_by_value: The same by their commission, where it is above 0.
  pending_share: >
    Pending conversions divided by all conversions, a fraction; the closer to 0, the more final the rates.
sums:
  sales: programme_sales
plot: {x: month, y: approval_rate_by_value, by: currency}
states:
  conversions: [conversions.DENIED, conversions.UNQUALIFIED]
  conversions_denied: [conversions.DENIED]
  conversions_unqualified: [conversions.UNQUALIFIED]
  commission_denied: [conversions.DENIED]
  commission_unqualified: [conversions.UNQUALIFIED]
  approval_rate: [conversions.DENIED]
  approval_rate_by_value: [conversions.DENIED]
  quality_rate: [conversions.DENIED, conversions.UNQUALIFIED]
  quality_rate_by_value: [conversions.DENIED, conversions.UNQUALIFIED]
  pending_share: [conversions.DENIED, conversions.UNQUALIFIED]
*/
WITH per_month AS (
  SELECT
    currency,
    booked_month AS month,
    sum(CASE WHEN counts_once AND is_sale THEN total ELSE 0 END) AS sales,
    count(*) AS conversions,
    count(CASE WHEN is_approved THEN 1 END) AS approved,
    count(CASE WHEN is_decided AND NOT is_approved THEN 1 END) AS denied,
    count(CASE WHEN commission_state = 'unqualified' THEN 1 END) AS unqualified,
    count(CASE WHEN commission_state = 'pending' THEN 1 END) AS pending,
    count(CASE WHEN commission_state = 'unknown' THEN 1 END) AS unknown,
    sum(CASE WHEN is_approved THEN commission ELSE 0 END) AS commission_approved,
    sum(CASE WHEN commission_state = 'denied' THEN commission ELSE 0 END) AS commission_denied,
    sum(CASE WHEN commission_state = 'unqualified' THEN commission ELSE 0 END) AS commission_unqualified,
    sum(CASE WHEN commission_state = 'pending' THEN commission ELSE 0 END) AS commission_pending,
    sum(CASE WHEN is_approved AND commission > 0 THEN commission ELSE 0 END) AS value_approved,
    sum(CASE WHEN is_decided AND commission > 0 THEN commission ELSE 0 END) AS value_decided,
    sum(CASE WHEN commission_state = 'unqualified' AND commission > 0 THEN commission ELSE 0 END) AS value_unqualified
  FROM refersion_summaries.conversions
  WHERE conversion_kind = 'order'
  GROUP BY currency, booked_month
)

SELECT
  currency,
  month,
  CAST(sales AS DECIMAL(38, 4)) AS sales,
  conversions,
  approved AS conversions_approved,
  denied AS conversions_denied,
  unqualified AS conversions_unqualified,
  pending AS conversions_pending,
  unknown AS conversions_unknown,
  CAST(commission_approved AS DECIMAL(38, 4)) AS commission_approved,
  CAST(commission_denied AS DECIMAL(38, 4)) AS commission_denied,
  CAST(commission_unqualified AS DECIMAL(38, 4)) AS commission_unqualified,
  CAST(commission_pending AS DECIMAL(38, 4)) AS commission_pending,
  share(approved, approved + denied) AS approval_rate,
  share(value_approved, value_decided) AS approval_rate_by_value,
  share(approved, approved + denied + unqualified) AS quality_rate,
  share(value_approved, value_decided + value_unqualified) AS quality_rate_by_value,
  share(pending, conversions) AS pending_share
FROM per_month
ORDER BY month DESC, currency
