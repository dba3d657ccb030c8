/*
description: The findings of each currency with most commission that can still be stopped.
*/
WITH placed AS (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY currency ORDER BY amount_unpaid DESC, amount_at_stake DESC, exception_id
    ) AS place
  FROM refersion_summaries.conversion_exceptions
)

SELECT
  currency,
  kind,
  affiliate_id,
  affiliate_name AS name,
  order_id,
  amount_unpaid AS unpaid,
  evidence
FROM placed
WHERE place <= $most
ORDER BY currency, place
