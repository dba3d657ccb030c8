/*
description: The conversions that a payment ($payment_id) paid, the largest first, up to $most; and those that left it.
*/
WITH named AS (
  SELECT conversion_id, currency, commission, order_id, conversion_kind, commission_state, created_at, 'paid' AS link
  FROM refersion_summaries.conversions
  WHERE payment_id = $payment_id
    AND conversion_id NOT IN (
      SELECT conversion_id FROM refersion_summaries.payments_taken_back WHERE payment_id = $payment_id
    )
  UNION ALL
  SELECT t.conversion_id, t.currency, t.commission, c.order_id, c.conversion_kind, c.commission_state, c.created_at,
    'taken back' AS link
  FROM refersion_summaries.payments_taken_back AS t
  JOIN refersion_summaries.conversions AS c ON c.conversion_id = t.conversion_id
  WHERE t.payment_id = $payment_id
)

SELECT
  link,
  conversion_id,
  order_id,
  conversion_kind,
  commission_state,
  created_at,
  currency,
  commission,
  count(*) OVER () AS of_all
FROM named
ORDER BY currency, abs(commission) DESC, conversion_id
LIMIT $most
