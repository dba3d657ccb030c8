/*
group: sales
description: >
  What the affiliate channel costs and what it brings, month by month in the reporting time zone: commission with manual
  credits, Refersion's fee on sales (REFERSION_PLATFORM_FEE_PERCENT) and its subscription (REFERSION_SUBSCRIPTION), over
  net sales. Commission and net sales are those approved; while orders of the last months wait for approval, the
  subscription weighs more than it will. channel_cost_total has all months together. Amounts of different currencies are
  never added up.
grain: one row per currency and month
primary_key: [currency, month]
owners: [team:data]
questions:
  - What does a dollar of affiliate sales cost, everything included?
  - What does the channel return on what is spent?
columns:
  currency: Currency of every amount of the row.
  month: First day of the month of the conversions, in the reporting time zone.
  is_complete: Whether the month was over when the account was last read; the subscription is that of a whole month.
  sales: Gross affiliate sales, orders pending or approved; what the platform fee is reckoned on.
  sales_pending: The part of sales that waits for approval and is not in net sales yet.
  net_sales: Sum of totals of approved orders and cancellations.
  commission: Commission approved, with manual credits and less cancellations.
  manual_credits: The part of commission that manual credits make.
  commission_pending: Commission that waits for approval; not in the cost yet.
  platform_fee: Fee percent of sales.
  subscription: Subscription of the month.
  all_in_cost: Commission, platform fee and subscription.
  all_in_cost_rate: All-in cost by net sales, a fraction; NULL where net sales are not above 0.
  roas: Net sales by all-in cost, return on advertising spend; NULL where the cost is not above 0.
sums:
  sales: programme_sales
  net_sales: programme_net_sales
  commission_pending: pending
plot: {x: month, y: all_in_cost, by: currency}
*/
WITH per_month AS (
  SELECT
    currency,
    booked_month AS month,
    sum(CASE WHEN kind = 'order' AND counts_once AND state IN ('pending', 'due', 'paid') THEN total ELSE 0 END) AS sales,
    sum(CASE WHEN kind = 'order' AND counts_once AND state = 'pending' THEN total ELSE 0 END) AS sales_pending,
    sum(
      CASE WHEN kind IN ('order', 'cancellation') AND counts_once AND state IN ('due', 'paid') THEN total ELSE 0 END
    ) AS net_sales,
    sum(CASE WHEN state IN ('due', 'paid') THEN commission ELSE 0 END) AS commission,
    sum(CASE WHEN kind = 'manual credit' AND state IN ('due', 'paid') THEN commission ELSE 0 END) AS manual_credits,
    sum(CASE WHEN state = 'pending' THEN commission ELSE 0 END) AS commission_pending
  FROM refersion_summaries.conversions
  GROUP BY currency, booked_month
),

spans AS (
  SELECT
    p.currency,
    CAST(min(p.month) AS TIMESTAMP) AS first_month,
    CAST(greatest(max(p.month), CAST(date_trunc('month', max(d.today)) AS DATE)) AS TIMESTAMP) AS last_month
  FROM per_month AS p
  LEFT JOIN refersion_summaries.data_as_of AS d ON TRUE
  GROUP BY p.currency
),

months AS (
  SELECT s.currency, CAST(series.moment AS DATE) AS month
  FROM spans AS s
  CROSS JOIN LATERAL generate_series(s.first_month, s.last_month, INTERVAL '1' MONTH) AS series(moment)
),

costed AS (
  SELECT
    m.currency,
    m.month,
    CAST(coalesce(p.sales, 0) AS DECIMAL(38, 4)) AS sales,
    CAST(coalesce(p.sales_pending, 0) AS DECIMAL(38, 4)) AS sales_pending,
    CAST(coalesce(p.net_sales, 0) AS DECIMAL(38, 4)) AS net_sales,
    CAST(coalesce(p.commission, 0) AS DECIMAL(38, 4)) AS commission,
    CAST(coalesce(p.manual_credits, 0) AS DECIMAL(38, 4)) AS manual_credits,
    CAST(coalesce(p.commission_pending, 0) AS DECIMAL(38, 4)) AS commission_pending,
    CAST(coalesce(p.sales, 0) * CAST($platform_fee_percent AS DECIMAL(18, 4)) * 0.01 AS DECIMAL(38, 4)) AS platform_fee,
    CAST(c.subscription AS DECIMAL(38, 4)) AS subscription
  FROM months AS m
  JOIN refersion_summaries.currencies AS c ON c.currency = m.currency
  LEFT JOIN per_month AS p ON p.currency = m.currency AND p.month = m.month
),

added_up AS (
  SELECT c.*, CAST(commission + platform_fee + subscription AS DECIMAL(38, 4)) AS all_in_cost
  FROM costed AS c
)

SELECT
  a.currency,
  a.month,
  a.month < CAST(date_trunc('month', now.today) AS DATE) AS is_complete,
  a.sales,
  a.sales_pending,
  a.net_sales,
  a.commission,
  a.manual_credits,
  a.commission_pending,
  a.platform_fee,
  a.subscription,
  a.all_in_cost,
  CAST(CAST(a.all_in_cost / nullif(greatest(a.net_sales, 0), 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6))
    AS all_in_cost_rate,
  CAST(CAST(a.net_sales / nullif(greatest(a.all_in_cost, 0), 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6)) AS roas
FROM added_up AS a
LEFT JOIN refersion_summaries.data_as_of AS now ON TRUE
ORDER BY a.month DESC, a.currency
