/*
description: The latest payments of each affiliate, up to $most in each currency, and whether their conversions explain them.
*/
WITH placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY currency, affiliate_id ORDER BY paid_at DESC, payment_id) AS place,
    count(*) OVER (PARTITION BY currency, affiliate_id) AS of_all
  FROM refersion_summaries.payment_proof
)

SELECT
  currency,
  affiliate_id,
  payment_id,
  paid_at,
  amount,
  conversions_commission,
  commission_difference,
  conversions_paid,
  proof,
  remark,
  of_all
FROM placed
WHERE place <= $most
ORDER BY currency, affiliate_id, place
