/*
group: sales
description: >
  What the affiliate channel cost and brought in all months together, as channel_cost has it month by month. Amounts of
  different currencies are never added up.
grain: one row per currency
primary_key: [currency]
owners: [team:data]
macros: [rate]
questions:
  - What did the channel cost and return since the first conversion?
columns:
  currency: Currency of every amount of the row.
  first_month: First month with a conversion.
  last_month: Month in which the account was last read, which is not over yet.
  months: Number of months, the last one included.
  sales: Gross affiliate sales, pending or approved orders; base of the platform fee.
  sales_pending: The part of sales that waits for approval and is not in net sales yet.
  net_sales: Sum of totals of approved orders and cancellations.
  commission: Commission approved, with manual credits and less cancellations.
  manual_credits: Part of commission that comes from manual credits.
  commission_pending: Commission that waits for approval; not in the cost yet.
  platform_fee: Fee percentage of sales, rounded month by month.
  subscription: Subscription of all months.
  all_in_cost: Commission, platform fee and subscription.
  all_in_cost_rate: All-in cost divided by net sales, a fraction; NULL where net sales are not above 0.
  roas: Net sales divided by all-in cost (return on advertising spend); NULL where the cost is not above 0.
sums:
  sales: programme_sales
  net_sales: programme_net_sales
  commission_pending: pending
*/
WITH added_up AS (
  SELECT
    currency,
    min(month) AS first_month,
    max(month) AS last_month,
    count(*) AS months,
    CAST(sum(sales) AS DECIMAL(38, 4)) AS sales,
    CAST(sum(sales_pending) AS DECIMAL(38, 4)) AS sales_pending,
    CAST(sum(net_sales) AS DECIMAL(38, 4)) AS net_sales,
    CAST(sum(commission) AS DECIMAL(38, 4)) AS commission,
    CAST(sum(manual_credits) AS DECIMAL(38, 4)) AS manual_credits,
    CAST(sum(commission_pending) AS DECIMAL(38, 4)) AS commission_pending,
    CAST(sum(platform_fee) AS DECIMAL(38, 4)) AS platform_fee,
    CAST(sum(subscription) AS DECIMAL(38, 4)) AS subscription,
    CAST(sum(all_in_cost) AS DECIMAL(38, 4)) AS all_in_cost
  FROM refersion_summaries.channel_cost
  GROUP BY currency
)

SELECT
  currency,
  first_month,
  last_month,
  months,
  sales,
  sales_pending,
  net_sales,
  commission,
  manual_credits,
  commission_pending,
  platform_fee,
  subscription,
  all_in_cost,
  rate(all_in_cost, greatest(net_sales, 0)) AS all_in_cost_rate,
  rate(net_sales, greatest(all_in_cost, 0)) AS roas
FROM added_up
ORDER BY months DESC, currency
