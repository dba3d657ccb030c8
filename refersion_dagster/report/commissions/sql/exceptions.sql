/*
description: Findings to review in each currency, by kind.
*/
SELECT
  currency,
  kind,
  count(*) AS findings,
  CAST(sum(conversions) AS BIGINT) AS conversions,
  CAST(sum(amount_at_stake) AS DECIMAL(38, 4)) AS at_stake,
  CAST(sum(amount_unpaid) AS DECIMAL(38, 4)) AS unpaid
FROM refersion_summaries.conversion_exceptions
GROUP BY currency, kind
ORDER BY currency, unpaid DESC, kind
