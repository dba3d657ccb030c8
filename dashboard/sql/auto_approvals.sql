/*
description: Pending commission that Refersion is about to approve automatically.
*/
SELECT
  currency,
  affiliate_id,
  affiliate_name,
  conversions,
  commission,
  next_approval_at,
  next_7_days_commission,
  exceptions,
  overdue_conversions,
  overdue_commission
FROM refersion_summaries.auto_approval_watch
ORDER BY currency, next_approval_at, affiliate_id
