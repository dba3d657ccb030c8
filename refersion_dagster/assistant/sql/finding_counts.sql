/*
description: Findings to review in each currency, by kind. Amounts of different kinds must not be added up.
*/
SELECT
  currency,
  kind,
  count(*) AS findings,
  CAST(sum(conversions) AS BIGINT) AS conversions,
  CAST(sum(amount_at_stake) AS DECIMAL(38, 4)) AS amount_at_stake,
  CAST(sum(amount_unpaid) AS DECIMAL(38, 4)) AS amount_unpaid
FROM refersion_summaries.conversion_exceptions
WHERE ($currency IS NULL OR currency = $currency) AND ($kind IS NULL OR kind = $kind)
GROUP BY currency, kind
ORDER BY currency, kind
