/*
group: owed
description: >
  How much commission of approved orders is taken back by cancellations, seen in two ways. By the month of the order,
  each cancellation counts where its order was made, which says how good that month's orders were; months keep changing
  while cancellations come in. By the month of the reversal, each counts when it came, which is what the books show.
  Only approved cancellations count.
grain: one row per currency, month and basis
primary_key: [currency, month, basis]
owners: [team:data]
questions:
  - Which share of commission is taken back because orders are cancelled?
  - Were the orders of some month worse than others?
columns:
  currency: Currency of every amount of the row.
  month: First day of the month in the reporting time zone.
  basis: order (cancellations of orders that were made in the month) or reversal (cancellations that came in the month).
  approved_conversions: Number of orders' conversions made in the month and approved.
  approved_commission: Commission of those.
  cancellations: Number of approved cancellations.
  reversed_commission: Commission that they take back, as a positive amount.
  reversal_rate: >
    Reversed by approved commission, a fraction; NULL without approved commission. It may be above 1 by the month of the
    reversal, where orders of earlier months were cancelled.
  unmatched_cancellations: >
    Number of approved cancellations that came in the month and whose order is not known. By the month of the order they
    are left out of the figures before; by the month of the reversal they are part of them.
  unmatched_commission: Commission that those take back.
  pending_cancellations: Number of cancellations that wait for approval, which no rate counts.
  pending_commission: Commission that those would take back.
needs:
  "*": conversions.order_id
  approved_conversions: &paid >-
    conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  approved_commission: *paid
*/
WITH approved AS (
  SELECT currency, booked_month AS month, count(*) AS conversions, sum(commission) AS commission
  FROM refersion_summaries.conversions
  WHERE kind = 'order' AND state IN ('due', 'paid')
  GROUP BY currency, booked_month
),

cancellations AS (
  SELECT
    c.currency,
    c.booked_month AS reversal_month,
    o.booked_month AS order_month,
    o.conversion_id IS NULL AS is_unmatched,
    c.state = 'pending' AS is_pending,
    -c.commission AS reversed
  FROM refersion_summaries.conversions AS c
  LEFT JOIN refersion_summaries.conversions AS o ON o.conversion_id = c.original_id
  WHERE c.kind = 'cancellation' AND c.state IN ('pending', 'due', 'paid')
),

placed AS (
  SELECT
    currency,
    order_month AS month,
    'order' AS basis,
    is_pending,
    FALSE AS is_unmatched,
    TRUE AS is_counted,
    reversed
  FROM cancellations
  WHERE NOT is_unmatched
  UNION ALL
  SELECT currency, reversal_month, 'order', is_pending, TRUE, FALSE, reversed
  FROM cancellations
  WHERE is_unmatched
  UNION ALL
  SELECT currency, reversal_month, 'reversal', is_pending, is_unmatched, TRUE, reversed
  FROM cancellations
),

reversed AS (
  SELECT
    currency,
    month,
    basis,
    count(CASE WHEN is_counted AND NOT is_pending THEN 1 END) AS cancellations,
    sum(CASE WHEN is_counted AND NOT is_pending THEN reversed ELSE 0 END) AS commission,
    count(CASE WHEN is_unmatched AND NOT is_pending THEN 1 END) AS unmatched_cancellations,
    sum(CASE WHEN is_unmatched AND NOT is_pending THEN reversed ELSE 0 END) AS unmatched_commission,
    count(CASE WHEN is_counted AND is_pending THEN 1 END) AS pending_cancellations,
    sum(CASE WHEN is_counted AND is_pending THEN reversed ELSE 0 END) AS pending_commission
  FROM placed
  GROUP BY currency, month, basis
),

months AS (
  SELECT k.currency, k.month, b.basis
  FROM (
    SELECT currency, month FROM approved
    UNION
    SELECT currency, month FROM reversed
  ) AS k
  CROSS JOIN (SELECT 'order' AS basis UNION ALL SELECT 'reversal' AS basis) AS b
)

SELECT
  m.currency,
  m.month,
  m.basis,
  coalesce(a.conversions, 0) AS approved_conversions,
  CAST(coalesce(a.commission, 0) AS DECIMAL(38, 4)) AS approved_commission,
  coalesce(r.cancellations, 0) AS cancellations,
  CAST(coalesce(r.commission, 0) AS DECIMAL(38, 4)) AS reversed_commission,
  CAST(
    CAST(coalesce(r.commission, 0) / nullif(greatest(a.commission, 0), 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6)
  ) AS reversal_rate,
  coalesce(r.unmatched_cancellations, 0) AS unmatched_cancellations,
  CAST(coalesce(r.unmatched_commission, 0) AS DECIMAL(38, 4)) AS unmatched_commission,
  coalesce(r.pending_cancellations, 0) AS pending_cancellations,
  CAST(coalesce(r.pending_commission, 0) AS DECIMAL(38, 4)) AS pending_commission
FROM months AS m
LEFT JOIN approved AS a ON a.currency = m.currency AND a.month = m.month
LEFT JOIN reversed AS r ON r.currency = m.currency AND r.month = m.month AND r.basis = m.basis
ORDER BY m.month DESC, m.currency, m.basis
