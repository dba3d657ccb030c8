/*
group: core
description: >
  When the account was last read. Every age and every "now" in the other summaries refers to this time and not to the
  computer's clock, so that the same data always give the same figures.
grain: one row, or none before the first load
primary_key: [as_of]
owners: [team:data]
questions:
  - How fresh are these figures, and in which time zone are their days and months?
columns:
  as_of: When Refersion was last read, UTC.
  today: The day of that moment in the reporting time zone.
  timezone: The reporting time zone (REFERSION_REPORT_TIMEZONE) of every day and month in the summaries.
needs:
  as_of: []
  today: []
*/
WITH readings AS (
  SELECT max(read_at) AS read_at FROM refersion_data.conversions
  UNION ALL
  SELECT max(vanished_at) AS read_at FROM refersion_data.conversions
  UNION ALL
  SELECT max(read_at) AS read_at FROM refersion_data.affiliates
)

SELECT
  max(read_at) AS as_of,
  CAST(max(read_at) AT TIME ZONE $report_timezone AS DATE) AS today,
  $report_timezone AS timezone
FROM readings
HAVING max(read_at) IS NOT NULL
