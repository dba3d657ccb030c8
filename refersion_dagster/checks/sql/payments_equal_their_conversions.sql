/*
asset: summaries/payment_proof
macros: [payment_and_proof]
description: >
  No payment differs from the sum and the number of the conversions that name it. The check payments_proven
  lists payments that cannot be compared.
meaning: >
  Money was paid that no loaded conversion explains, or conversions are marked as paid without a payment. Read the
  months of these conversions again (job refersion_backfill). If a difference remains, ask Refersion.
*/
SELECT
  payment_and_proof(),
  commission_difference,
  conversions_paid,
  conversions_named,
  remark
FROM refersion_summaries.payment_proof
WHERE proof IN ('differs', 'payment not loaded')
ORDER BY paid_at DESC, payment_id, currency
