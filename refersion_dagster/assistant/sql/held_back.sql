/*
description: >
  Balances that would not be paid out now, or of which that is not known, up to $most of each currency.
*/
WITH held AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY currency ORDER BY abs(due) DESC, affiliate_id) AS place
  FROM refersion_summaries.payout_preview
  WHERE (held_back <> 0 OR payable_now IS NULL)
    AND ($currency IS NULL OR currency = $currency)
    AND ($affiliate_id IS NULL OR affiliate_id = $affiliate_id)
)

SELECT
  currency,
  affiliate_id,
  affiliate_name,
  affiliate_status,
  due,
  held_back,
  payable_now,
  block_reason,
  held_back_paid_before,
  missing_to_minimum,
  not_known
FROM held
WHERE place <= $most
ORDER BY currency, place
