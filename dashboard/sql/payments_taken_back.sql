/*
description: Commission that was paid once and is due again, because its payment was taken back in Refersion.
*/
SELECT
  t.currency,
  t.affiliate_id,
  a.name AS affiliate_name,
  t.conversion_id,
  t.payment_id,
  t.payment_is,
  t.commission,
  t.seen_taken_back_at,
  t.is_released
FROM refersion_summaries.payments_taken_back AS t
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = t.affiliate_id
ORDER BY t.currency, t.seen_taken_back_at, t.conversion_id
