/*
description: >
  When the account was last read, and the day that was in the reporting time zone; no row before the first load.
*/
SELECT as_of, today, timezone
FROM refersion_summaries.data_as_of
