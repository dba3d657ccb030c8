/*
description: How much commission of each currency is proven, and by what; the account's own currency first.
*/
SELECT
  p.currency,
  CAST(sum(p.commission) AS DECIMAL(38, 4)) AS commission,
  CAST(sum(p.proven_by_totals) AS DECIMAL(38, 4)) AS by_totals,
  CAST(sum(p.accepted) AS DECIMAL(38, 4)) AS accepted,
  CAST(sum(p.proven_by_payments) AS DECIMAL(38, 4)) AS by_payments,
  CAST(sum(p.not_proven) AS DECIMAL(38, 4)) AS not_proven,
  CAST(sum(p.not_settled) AS DECIMAL(38, 4)) AS not_settled,
  min(p.oldest_read_at) AS oldest_read_at
FROM refersion_summaries.proof_coverage AS p
LEFT JOIN refersion_summaries.currencies AS c ON c.currency = p.currency
GROUP BY p.currency, c.place
ORDER BY c.place, p.currency
