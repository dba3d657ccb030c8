/*
description: How much commission of each currency is proven, and by what; the currency with most conversions first.
*/
SELECT
  currency,
  CAST(sum(commission) AS DECIMAL(38, 4)) AS commission,
  CAST(sum(proven_by_totals) AS DECIMAL(38, 4)) AS by_totals,
  CAST(sum(accepted) AS DECIMAL(38, 4)) AS accepted,
  CAST(sum(proven_by_payments) AS DECIMAL(38, 4)) AS by_payments,
  CAST(sum(not_proven) AS DECIMAL(38, 4)) AS not_proven,
  min(oldest_read_at) AS oldest_read_at
FROM refersion_summaries.proof_coverage
GROUP BY currency
ORDER BY sum(conversions) DESC, currency
