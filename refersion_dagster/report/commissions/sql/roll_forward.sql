/*
description: How what is due moved in each currency and month from $since on, the running month included.
*/
SELECT
  currency,
  month,
  opening_due,
  newly_due,
  manual_credits,
  paid,
  reversed,
  closing_due,
  closing_lowest,
  closing_highest,
  difference,
  basis
FROM refersion_summaries.commission_roll_forward
WHERE month >= $since
ORDER BY currency, month
