/*
group: owed
description: >
  How much commission of approved orders is taken back, by cancellations and by negative manual credits, in two sets of
  columns. Those that end in _of_orders_made count each reversal in the month of its order, which shows the quality
  of that month's orders; they keep changing while reversals arrive. Those that end in _in_month count each reversal
  in the month in which it arrived, as in accounting. Each set contains every reversal once, so each column can be
  added up over months; never add a column of one set to one of the other. Only approved reversals count.
grain: one row per currency and month
primary_key: [currency, month]
owners: [team:data]
macros: [rate]
questions:
  - What share of commission is taken back because orders are cancelled or refunded?
  - Were the orders of some months worse than those of others?
columns:
  currency: Currency of every amount of the row.
  month: First day of the month in the reporting time zone.
  approved_conversions: Number of orders' conversions made in the month and approved.
  approved_commission: Commission of those.
  cancellations_of_orders_made: Number of approved cancellations of orders that were made in the month.
  reversed_of_orders_made: Commission that they take back, as a positive amount.
  credits_against_of_orders_made: >
    Commission that approved negative manual credits take back of orders that were made in the month, as a positive
    amount. Refersion recommends such credits for the commission of a partial refund.
  reversal_rate_of_orders_made: >
    Reversed divided by approved commission, a fraction; NULL without approved commission.
  rate_with_credits_of_orders_made: The same for cancellations and credits together.
  pending_cancellations_of_orders_made: >
    Number of cancellations of orders that were made in the month that wait for approval; not part of any rate.
  pending_commission_of_orders_made: Commission that those would take back.
  cancellations_in_month: Number of approved cancellations that came in the month, whenever the order was made.
  reversed_in_month: Commission that they take back, as a positive amount.
  credits_against_in_month: Commission that approved negative manual credits of the month take back.
  reversal_rate_in_month: >
    Reversed divided by approved commission, a fraction; NULL without approved commission. It may be above 1, where
    orders of earlier months were cancelled.
  rate_with_credits_in_month: The same for cancellations and credits together.
  pending_cancellations_in_month: Number of cancellations that came in the month that wait for approval.
  pending_commission_in_month: Commission that those would take back.
  unmatched_cancellations: >
    Number of approved cancellations that came in the month and whose order is not known. They are part of
    cancellations_in_month and in no column of orders made.
  unmatched_commission: Commission that those take back.
  unmatched_credits_against: >
    Commission that approved negative manual credits of the month take back that name no order, or one that is not known.
needs:
  cancellations_of_orders_made: &order conversions.order_id
  reversed_of_orders_made: *order
  credits_against_of_orders_made: &credit [*order, conversions.type]
  reversal_rate_of_orders_made: *order
  rate_with_credits_of_orders_made: *order
  pending_cancellations_of_orders_made: *order
  pending_commission_of_orders_made: *order
  credits_against_in_month: conversions.type
  unmatched_cancellations: *order
  unmatched_commission: *order
  unmatched_credits_against: *credit
*/
WITH approved AS (
  SELECT currency, booked_month AS month, count(*) AS conversions, sum(commission) AS commission
  FROM refersion_summaries.conversions
  WHERE conversion_kind = 'order' AND is_approved
  GROUP BY currency, booked_month
),

found AS (
  SELECT
    c.currency,
    c.booked_month AS reversal_month,
    o.booked_month AS order_month,
    CASE WHEN c.is_approved THEN c.conversion_kind ELSE 'pending' END AS what,
    -c.commission AS amount
  FROM refersion_summaries.conversions AS c
  LEFT JOIN refersion_summaries.conversions AS o ON o.conversion_id = c.original_id
  WHERE (c.conversion_kind = 'cancellation' AND c.is_earned)
    OR (c.conversion_kind = 'manual credit' AND c.commission < 0 AND c.is_approved)
),

taken_back AS (
  SELECT
    currency,
    reversal_month,
    order_month,
    CASE WHEN what = 'cancellation' THEN 1 ELSE 0 END AS cancelled,
    CASE WHEN what = 'cancellation' THEN amount ELSE 0 END AS reversed,
    CASE WHEN what = 'manual credit' THEN amount ELSE 0 END AS credited,
    CASE WHEN what = 'pending' THEN 1 ELSE 0 END AS waits,
    CASE WHEN what = 'pending' THEN amount ELSE 0 END AS waiting
  FROM found
),

of_orders_made AS (
  SELECT
    currency,
    order_month AS month,
    sum(cancelled) AS cancellations,
    sum(reversed) AS reversed,
    sum(credited) AS credited,
    sum(waits) AS pending_cancellations,
    sum(waiting) AS pending
  FROM taken_back
  WHERE order_month IS NOT NULL
  GROUP BY currency, order_month
),

in_month AS (
  SELECT
    currency,
    reversal_month AS month,
    sum(cancelled) AS cancellations,
    sum(reversed) AS reversed,
    sum(credited) AS credited,
    sum(waits) AS pending_cancellations,
    sum(waiting) AS pending,
    sum(CASE WHEN order_month IS NULL THEN cancelled ELSE 0 END) AS unmatched_cancellations,
    sum(CASE WHEN order_month IS NULL THEN reversed ELSE 0 END) AS unmatched,
    sum(CASE WHEN order_month IS NULL THEN credited ELSE 0 END) AS unmatched_credited
  FROM taken_back
  GROUP BY currency, reversal_month
),

months AS (
  SELECT currency, month FROM approved
  UNION
  SELECT currency, month FROM of_orders_made
  UNION
  SELECT currency, month FROM in_month
),

joined AS (
  SELECT
    m.currency,
    m.month,
    coalesce(a.conversions, 0) AS approved_conversions,
    coalesce(a.commission, 0) AS approved_commission,
    CASE WHEN a.commission > 0 THEN a.commission END AS base,
    coalesce(o.cancellations, 0) AS o_cancellations,
    coalesce(o.reversed, 0) AS o_reversed,
    coalesce(o.credited, 0) AS o_credited,
    coalesce(o.pending_cancellations, 0) AS o_pending_cancellations,
    coalesce(o.pending, 0) AS o_pending,
    coalesce(i.cancellations, 0) AS i_cancellations,
    coalesce(i.reversed, 0) AS i_reversed,
    coalesce(i.credited, 0) AS i_credited,
    coalesce(i.pending_cancellations, 0) AS i_pending_cancellations,
    coalesce(i.pending, 0) AS i_pending,
    coalesce(i.unmatched_cancellations, 0) AS unmatched_cancellations,
    coalesce(i.unmatched, 0) AS unmatched,
    coalesce(i.unmatched_credited, 0) AS unmatched_credited
  FROM months AS m
  LEFT JOIN approved AS a ON a.currency = m.currency AND a.month = m.month
  LEFT JOIN of_orders_made AS o ON o.currency = m.currency AND o.month = m.month
  LEFT JOIN in_month AS i ON i.currency = m.currency AND i.month = m.month
)

SELECT
  currency,
  month,
  approved_conversions,
  CAST(approved_commission AS DECIMAL(38, 4)) AS approved_commission,
  CAST(o_cancellations AS BIGINT) AS cancellations_of_orders_made,
  CAST(o_reversed AS DECIMAL(38, 4)) AS reversed_of_orders_made,
  CAST(o_credited AS DECIMAL(38, 4)) AS credits_against_of_orders_made,
  rate(o_reversed, base) AS reversal_rate_of_orders_made,
  rate(o_reversed + o_credited, base) AS rate_with_credits_of_orders_made,
  CAST(o_pending_cancellations AS BIGINT) AS pending_cancellations_of_orders_made,
  CAST(o_pending AS DECIMAL(38, 4)) AS pending_commission_of_orders_made,
  CAST(i_cancellations AS BIGINT) AS cancellations_in_month,
  CAST(i_reversed AS DECIMAL(38, 4)) AS reversed_in_month,
  CAST(i_credited AS DECIMAL(38, 4)) AS credits_against_in_month,
  rate(i_reversed, base) AS reversal_rate_in_month,
  rate(i_reversed + i_credited, base) AS rate_with_credits_in_month,
  CAST(i_pending_cancellations AS BIGINT) AS pending_cancellations_in_month,
  CAST(i_pending AS DECIMAL(38, 4)) AS pending_commission_in_month,
  CAST(unmatched_cancellations AS BIGINT) AS unmatched_cancellations,
  CAST(unmatched AS DECIMAL(38, 4)) AS unmatched_commission,
  CAST(unmatched_credited AS DECIMAL(38, 4)) AS unmatched_credits_against
FROM joined
ORDER BY month DESC, currency
