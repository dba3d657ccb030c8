/*
asset: summaries/payment_proof
description: Every payment is proven by the conversions that it paid.
meaning: >
  These payments are neither proven nor wrong. Of one that was taken back, or is gone in Refersion, conversions may be due
  again: they are in payments_taken_back, and payout_preview holds them back until you decide (REFERSION_PAY_AGAIN). The
  others lack conversions that were never loaded, or conversions do not say which payment paid them.
severity: warning
*/
SELECT
  payment_id,
  currency,
  affiliate_name,
  paid_at,
  proof,
  amount,
  conversions_commission,
  conversions_left,
  commission_left,
  remark
FROM refersion_summaries.payment_proof
WHERE proof IN ('taken back', 'gone', 'rows from before the first load', 'no rows named', 'no payment named')
ORDER BY paid_at DESC, payment_id, currency
