/*
description: What would be paid out now and what would not, in each currency; NULL where it is not known of an affiliate.
*/
SELECT
  p.currency,
  CAST(sum(p.due) AS DECIMAL(38, 4)) AS due,
  CASE WHEN count(*) = count(p.payable_now) THEN CAST(sum(p.payable_now) AS DECIMAL(38, 4)) END AS payable_now,
  CASE WHEN count(*) = count(p.held_back) THEN CAST(sum(p.held_back) AS DECIMAL(38, 4)) END AS held_back,
  CASE
    WHEN count(*) = count(p.held_back) THEN count(CASE WHEN p.held_back <> 0 THEN 1 END)
  END AS affiliates_held_back,
  min(p.not_known) AS not_known
FROM refersion_summaries.payout_preview AS p
LEFT JOIN refersion_summaries.currencies AS c ON c.currency = p.currency
WHERE ($currency IS NULL OR p.currency = $currency) AND ($affiliate_id IS NULL OR p.affiliate_id = $affiliate_id)
GROUP BY p.currency, c.place
ORDER BY c.place, p.currency
