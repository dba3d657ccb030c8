/*
asset: summaries/payment_proof
macros: [payment_and_proof]
description: Every payment is proven by the conversions it paid.
meaning: >
  These payments are neither proven nor wrong. If one was taken back or deleted in Refersion, its conversions may be
  due again: payments_taken_back lists them, and payout_preview holds them back until you decide (REFERSION_PAY_AGAIN).
  For the others, conversions were never loaded or do not name the payment that paid them.
severity: warning
*/
SELECT
  payment_and_proof(),
  conversions_left,
  commission_left,
  remark
FROM refersion_summaries.payment_proof
WHERE proof IN ('taken back', 'gone', 'rows from before the first load', 'no rows named', 'no payment named')
ORDER BY paid_at DESC, payment_id, currency
