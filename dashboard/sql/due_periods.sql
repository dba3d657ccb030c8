/*
description: >
  The conversions whose commission is due now, and since when, up to $most of each affiliate and currency; $most
  compared with of_all says whether there are more.
*/
WITH placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY currency, affiliate_id ORDER BY due_from_latest, conversion_id, step) AS place,
    count(*) OVER (PARTITION BY currency, affiliate_id) AS of_all
  FROM refersion_summaries.due_periods
  WHERE still_due <> 0
)

SELECT
  currency,
  affiliate_id,
  conversion_id,
  conversion_kind,
  entry_reason,
  due_from,
  due_from_earliest,
  due_from_latest,
  still_due,
  of_all
FROM placed
WHERE place <= $most
ORDER BY currency, affiliate_id, place
