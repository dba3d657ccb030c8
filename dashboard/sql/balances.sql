/*
description: >
  What is due to each affiliate in each currency, by age, what would be paid out now, and why the rest would not.
*/
SELECT
  l.currency,
  l.affiliate_id,
  l.affiliate_name,
  l.affiliate_status,
  l.due,
  l.due_0_30_days,
  l.due_31_60_days,
  l.due_61_90_days,
  l.due_over_90_days,
  l.credits_not_set_off,
  l.oldest_unpaid_days,
  l.pending,
  l.accrued,
  l.accrued_if_none_approved,
  l.accrued_if_all_approved,
  l.minimum_payout,
  p.payable_now,
  p.held_back,
  p.block_reason,
  p.not_known
FROM refersion_summaries.commission_liability AS l
LEFT JOIN refersion_summaries.payout_preview AS p ON p.affiliate_id = l.affiliate_id AND p.currency = l.currency
WHERE l.due IS NULL OR l.due <> 0 OR l.pending IS NULL OR l.pending <> 0
ORDER BY l.currency, l.due DESC, l.affiliate_id
