/*
description: The affiliates of each currency with the highest balances, up to $most of each.
*/
WITH placed AS (
  SELECT *, row_number() OVER (PARTITION BY currency ORDER BY due DESC, affiliate_id) AS place
  FROM refersion_summaries.commission_liability
  WHERE due <> 0
    AND ($currency IS NULL OR currency = $currency)
    AND ($affiliate_id IS NULL OR affiliate_id = $affiliate_id)
)

SELECT
  currency,
  affiliate_id,
  affiliate_name,
  affiliate_status,
  due,
  due_over_90_days,
  credits_not_set_off,
  pending,
  oldest_unpaid_days,
  block_reason
FROM placed
WHERE place <= $most
ORDER BY currency, place
