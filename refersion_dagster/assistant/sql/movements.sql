/*
description: >
  The affiliates behind the largest movements of a month ($month): what began to be due, and what stopped to be.
  `amount` raises what is due where it is above 0.
*/
WITH moved AS (
  SELECT currency, affiliate_id, entry_reason AS movement, amount AS amount
  FROM refersion_summaries.due_periods
  WHERE from_month = $month
  UNION ALL
  SELECT currency, affiliate_id, exit_reason AS movement, -amount AS amount
  FROM refersion_summaries.due_periods
  WHERE until_month = $month
),

summed AS (
  SELECT
    currency,
    affiliate_id,
    movement,
    count(*) AS conversions,
    CAST(sum(amount) AS DECIMAL(38, 4)) AS amount
  FROM moved
  WHERE $currency IS NULL OR currency = $currency
  GROUP BY currency, affiliate_id, movement
),

placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY currency ORDER BY abs(amount) DESC, movement, affiliate_id) AS place
  FROM summed
  WHERE amount <> 0
)

SELECT
  p.currency,
  p.movement,
  p.affiliate_id,
  a.name AS affiliate_name,
  p.conversions,
  p.amount
FROM placed AS p
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = p.affiliate_id
WHERE p.place <= $most
ORDER BY p.currency, p.place
