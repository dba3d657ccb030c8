/*
description: How what is due moved in a month ($month, its first day), in each currency.
*/
SELECT
  r.currency,
  r.month,
  r.opening_due,
  CASE WHEN r.opening_due IS NULL THEN coalesce(b.basis, 'there is no month before') END AS opening_not_known_because,
  r.newly_due,
  r.manual_credits,
  r.paid,
  r.reversed,
  r.closing_due,
  CASE WHEN r.closing_due IS NULL THEN r.basis END AS closing_not_known_because,
  r.change_in_due,
  r.difference,
  r.closing_lowest,
  r.closing_highest,
  r.vanished_due
FROM refersion_summaries.commission_roll_forward AS r
LEFT JOIN refersion_summaries.commission_roll_forward AS b
  ON b.currency = r.currency AND b.month = CAST(r.month - INTERVAL 1 MONTH AS DATE)
LEFT JOIN refersion_summaries.currencies AS c ON c.currency = r.currency
WHERE r.month = $month AND ($currency IS NULL OR r.currency = $currency)
ORDER BY c.place, r.currency
