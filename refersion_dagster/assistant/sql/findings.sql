/*
description: The findings with most commission that can still be stopped, up to $most of each currency.
*/
WITH placed AS (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY currency ORDER BY amount_unpaid DESC, amount_at_stake DESC, exception_id
    ) AS place
  FROM refersion_summaries.conversion_exceptions
  WHERE ($currency IS NULL OR currency = $currency) AND ($kind IS NULL OR kind = $kind)
)

SELECT
  currency,
  kind,
  affiliate_id,
  affiliate_name,
  conversion_id,
  order_id,
  coupon_code,
  conversions,
  first_at,
  last_at,
  amount_at_stake,
  amount_unpaid,
  evidence,
  suggested_action
FROM placed
WHERE place <= $most
ORDER BY currency, place
