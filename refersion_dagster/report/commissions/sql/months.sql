/*
description: Sales and commission of each currency and month from $since on, the running month included.
*/
SELECT
  currency,
  month,
  is_complete,
  affiliates,
  new_affiliates,
  orders,
  sales,
  net_sales,
  aov,
  commission_of_orders_made AS commission
FROM refersion_summaries.commission_monthly
WHERE month >= $since
ORDER BY currency, month
