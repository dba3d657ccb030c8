/*
description: What is owed in each currency now, by age, and what may still become due.
*/
WITH known AS (
  SELECT l.*, p.payable_now IS NOT NULL AS is_known
  FROM refersion_summaries.commission_liability AS l
  LEFT JOIN refersion_summaries.payout_preview AS p ON p.affiliate_id = l.affiliate_id AND p.currency = l.currency
)

SELECT
  currency,
  count(CASE WHEN due <> 0 THEN 1 END) AS affiliates,
  CAST(sum(due) AS DECIMAL(38, 4)) AS due,
  CAST(sum(due_0_30_days) AS DECIMAL(38, 4)) AS due_0_30_days,
  CAST(sum(due_31_60_days) AS DECIMAL(38, 4)) AS due_31_60_days,
  CAST(sum(due_61_90_days) AS DECIMAL(38, 4)) AS due_61_90_days,
  CAST(sum(due_over_90_days) AS DECIMAL(38, 4)) AS due_over_90_days,
  CAST(sum(credits_not_set_off) AS DECIMAL(38, 4)) AS credits_not_set_off,
  count(CASE WHEN due_0_30_days <> 0 THEN 1 END) AS affiliates_0_30,
  count(CASE WHEN due_31_60_days <> 0 THEN 1 END) AS affiliates_31_60,
  count(CASE WHEN due_61_90_days <> 0 THEN 1 END) AS affiliates_61_90,
  count(CASE WHEN due_over_90_days <> 0 THEN 1 END) AS affiliates_over_90,
  count(CASE WHEN credits_not_set_off <> 0 THEN 1 END) AS affiliates_credits,
  CAST(
    sum(CASE WHEN due <= 0 OR NOT is_known THEN 0 WHEN block_reason IS NOT NULL THEN due ELSE due_paid_before END)
    AS DECIMAL(38, 4)
  ) AS blocked,
  count(CASE WHEN due > 0 AND is_known AND (block_reason IS NOT NULL OR due_paid_before <> 0) THEN 1 END)
    AS affiliates_blocked,
  CAST(sum(CASE WHEN due > 0 AND NOT is_known THEN due ELSE 0 END) AS DECIMAL(38, 4)) AS not_known,
  count(CASE WHEN due > 0 AND NOT is_known THEN 1 END) AS affiliates_not_known,
  CAST(sum(CASE WHEN due < 0 THEN due ELSE 0 END) AS DECIMAL(38, 4)) AS negative,
  count(CASE WHEN due < 0 THEN 1 END) AS affiliates_negative,
  CAST(sum(pending) AS DECIMAL(38, 4)) AS pending,
  CAST(sum(accrued) AS DECIMAL(38, 4)) AS accrued,
  CAST(sum(accrued_if_all_approved) AS DECIMAL(38, 4)) AS accrued_if_all_approved
FROM known
GROUP BY currency
ORDER BY currency
