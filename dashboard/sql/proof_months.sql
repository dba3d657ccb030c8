/*
description: How much commission of each currency and month is proven, and by what.
*/
SELECT
  currency,
  month,
  commission,
  proven_by_totals,
  accepted,
  proven_by_payments,
  not_proven,
  not_settled,
  share_by_totals,
  share_by_payments,
  share_not_proven,
  not_offered
FROM refersion_summaries.proof_coverage
ORDER BY currency, month
