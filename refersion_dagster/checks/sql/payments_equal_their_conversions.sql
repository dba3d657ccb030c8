/*
asset: summaries/payment_proof
description: Every payment is the sum of the conversions that name it, and of as many as it says.
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
WHERE proof NOT IN ('agrees', 'rows not loaded', 'no rows named', 'no payment named')
ORDER BY paid_at DESC, payment_id, currency
