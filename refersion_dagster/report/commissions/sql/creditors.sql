/*
description: The affiliates of each currency to whom most is due now.
*/
WITH placed AS (
  SELECT *, row_number() OVER (PARTITION BY currency ORDER BY due DESC, affiliate_id) AS place
  FROM refersion_summaries.commission_liability
  WHERE due > 0
)

SELECT
  currency,
  affiliate_id,
  affiliate_name AS name,
  due,
  due_over_90_days,
  oldest_unpaid_days,
  nullif(
    concat_ws(
      '; ',
      block_reason,
      CASE WHEN paid_before_by IS NOT NULL THEN concat('paid once before and taken back: ', paid_before_by) END
    ),
    ''
  ) AS block_reason
FROM placed
WHERE place <= $most
ORDER BY currency, place
