/*
description: A payment ($payment_id) and its comparison with the conversions that name it.
*/
SELECT
  p.payment_id,
  p.currency,
  p.affiliate_id,
  p.affiliate_name,
  p.paid_at,
  y.payment_method,
  p.amount,
  p.conversions_commission,
  p.commission_difference,
  p.conversions_paid,
  p.conversions_named,
  p.proof,
  p.conversions_left,
  p.commission_left,
  p.conversions_denied,
  p.conversions_vanished,
  p.remark
FROM refersion_summaries.payment_proof AS p
LEFT JOIN refersion_summaries.payments AS y ON y.payment_id = p.payment_id
WHERE p.payment_id = $payment_id
ORDER BY p.currency
