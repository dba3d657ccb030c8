/*
asset: summaries/control_totals
description: Each difference that REFERSION_ACCEPTED_DIFFERENCES names is there.
meaning: >
  These differences to Refersion's totals are gone, or are others by now, so that nothing is accepted by their names.
  Take them out of REFERSION_ACCEPTED_DIFFERENCES; one that is another by now has to be accepted anew.
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
