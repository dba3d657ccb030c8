/*
description: What is owed in each currency now, by age, what may become due, and what could be paid out.
*/
SELECT
  l.currency,
  CAST(sum(l.due) AS DECIMAL(38, 4)) AS due,
  CAST(sum(l.due_0_30_days) AS DECIMAL(38, 4)) AS due_0_30_days,
  CAST(sum(l.due_31_60_days) AS DECIMAL(38, 4)) AS due_31_60_days,
  CAST(sum(l.due_61_90_days) AS DECIMAL(38, 4)) AS due_61_90_days,
  CAST(sum(l.due_over_90_days) AS DECIMAL(38, 4)) AS due_over_90_days,
  CAST(sum(l.credits_not_set_off) AS DECIMAL(38, 4)) AS credits_not_set_off,
  -- Of unknown amounts it is not known whose are above or below 0.
  CASE WHEN count(l.due) > 0 THEN count(CASE WHEN l.due <> 0 THEN 1 END) END AS affiliates,
  CAST(sum(CASE WHEN l.due < 0 THEN l.due WHEN l.due IS NOT NULL THEN 0 END) AS DECIMAL(38, 4)) AS negative_balances,
  CASE WHEN count(CASE WHEN p.payable_now IS NULL AND l.due <> 0 THEN 1 END) = 0 AND count(l.due) > 0 THEN
    CAST(coalesce(sum(p.payable_now), 0) AS DECIMAL(38, 4))
  END AS payable_now,
  CASE WHEN count(CASE WHEN p.held_back IS NULL AND l.due <> 0 THEN 1 END) = 0 AND count(l.due) > 0 THEN
    CAST(coalesce(sum(p.held_back), 0) AS DECIMAL(38, 4))
  END AS held_back,
  min(CASE WHEN l.due <> 0 THEN p.not_known END) AS payable_not_known,
  CAST(sum(l.pending) AS DECIMAL(38, 4)) AS pending,
  CAST(sum(l.accrued) AS DECIMAL(38, 4)) AS accrued
FROM refersion_summaries.commission_liability AS l
LEFT JOIN refersion_summaries.payout_preview AS p ON p.affiliate_id = l.affiliate_id AND p.currency = l.currency
LEFT JOIN refersion_summaries.currencies AS c ON c.currency = l.currency
WHERE ($currency IS NULL OR l.currency = $currency) AND ($affiliate_id IS NULL OR l.affiliate_id = $affiliate_id)
GROUP BY l.currency, c.place
ORDER BY c.place, l.currency
