/*
asset: summaries/payment_proof
description: >
  No payment differs from the sum and the number of the conversions that name it. Those that cannot be compared are in
  the check payments_proven.
meaning: >
  Money went out that no loaded conversion explains, or conversions say they were paid and no payment says so. Read the
  months of these conversions again (job refersion_backfill); what then remains is a question to Refersion.
*/
SELECT
  payment_id,
  currency,
  affiliate_name,
  paid_at,
  proof,
  amount,
  conversions_commission,
  commission_difference,
  conversions_paid,
  conversions_named,
  remark
FROM refersion_summaries.payment_proof
WHERE proof IN ('differs', 'payment not loaded')
ORDER BY paid_at DESC, payment_id, currency
