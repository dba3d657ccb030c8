/*
description: What became of the orders made from $since to the end of $month, by the state their commission is in now.
*/
SELECT
  currency,
  commission_state,
  count(*) AS conversions,
  CAST(sum(commission) AS DECIMAL(38, 4)) AS commission
FROM refersion_summaries.conversions
WHERE conversion_kind = 'order' AND booked_month >= $since AND booked_month <= $month
GROUP BY currency, commission_state
ORDER BY currency, commission_state
