/*
description: Sales and commission of each affiliate in each currency, and whether they keep selling.
*/
SELECT
  c.currency,
  c.affiliate_id,
  c.affiliate_name,
  c.sales_rank,
  c.orders,
  c.sales,
  c.sales_share,
  c.cancelled_sales,
  c.net_sales,
  c.aov,
  c.commission,
  c.commission_pending,
  c.commission_due,
  c.commission_paid,
  c.manual_credits,
  c.approval_rate,
  c.effective_commission_rate,
  c.clicks,
  c.conversion_rate,
  c.last_order_at,
  t.sales_recent,
  t.sales_before,
  t.trend,
  a.status,
  a.activity
FROM refersion_summaries.commission_by_affiliate AS c
LEFT JOIN refersion_summaries.affiliate_trends AS t ON t.affiliate_id = c.affiliate_id AND t.currency = c.currency
LEFT JOIN refersion_summaries.affiliate_activity AS a ON a.affiliate_id = c.affiliate_id
ORDER BY c.currency, c.sales_rank, c.affiliate_id
