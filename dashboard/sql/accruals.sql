/*
description: What is due and pending in each currency, if none or all of the pending commission is approved.
*/
SELECT
  currency,
  CAST(sum(accrued_if_none_approved) AS DECIMAL(38, 4)) AS accrued_if_none_approved,
  CAST(sum(accrued_if_all_approved) AS DECIMAL(38, 4)) AS accrued_if_all_approved
FROM refersion_summaries.commission_liability
GROUP BY currency
ORDER BY currency
