/*
description: >
  The conversions with this order id or conversion id ($id), up to $most: the order, its cancellations and credits, with
  what became of the commission.
*/
SELECT
  conversion_id,
  order_id,
  conversion_kind,
  affiliate_id,
  affiliate_name,
  currency,
  total,
  commission,
  net_total,
  net_commission,
  is_cancelled,
  commission_state,
  status,
  created_at,
  approved_at,
  approved_at_source,
  paid_at,
  payment_id,
  original_id,
  coupon_code,
  read_at
FROM refersion_summaries.conversions
WHERE order_id = $id OR conversion_id = $id
ORDER BY created_at, conversion_id
LIMIT $most
