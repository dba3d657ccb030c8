/*
asset: summaries/control_totals
description: Each difference in REFERSION_ACCEPTED_DIFFERENCES still exists.
meaning: >
  These differences from Refersion's totals no longer exist or have changed, so their entries accept nothing. Remove
  them from REFERSION_ACCEPTED_DIFFERENCES; a difference that has changed has to be accepted again.
severity: warning
*/
WITH entries AS (
  SELECT split_part($accepted_differences, ';', CAST(s.place AS INT)) AS entry
  FROM generate_series(2, length($accepted_differences) - length(replace($accepted_differences, ';', ''))) AS s(place)
)

SELECT
  split_part(entry, '=', 1) AS difference,
  replace(entry, concat(split_part(entry, '=', 1), '='), '') AS accepted_by
FROM entries
WHERE split_part(entry, '=', 1) NOT IN (
  SELECT difference FROM refersion_summaries.control_totals WHERE difference IS NOT NULL
)
ORDER BY difference
