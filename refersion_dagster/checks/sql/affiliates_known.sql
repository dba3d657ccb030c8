/*
asset: summaries/conversions
description: Every conversion's affiliate is one that Refersion lists.
meaning: >
  These affiliates sold but are not listed, for example because they were deleted in Refersion. Their commission counts;
  name, status and PayPal e-mail are not known.
severity: warning
*/
SELECT
  c.affiliate_id,
  max(c.affiliate_name) AS affiliate_name,
  c.currency,
  count(*) AS conversions,
  sum(c.commission) AS commission
FROM refersion_summaries.conversions AS c
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = c.affiliate_id
WHERE a.affiliate_id IS NULL OR a.vanished_at IS NOT NULL
GROUP BY c.affiliate_id, c.currency
ORDER BY count(*) DESC, c.affiliate_id, c.currency
