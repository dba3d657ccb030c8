/*
asset: summaries/commission_roll_forward
description: >
  The closing of the latest month is what is owed now, in every currency. This proves that the two summaries agree, not
  that either is what Refersion has: control_totals_agree compares with Refersion itself.
meaning: >
  The roll-forward ends with a different amount than the liability shown per affiliate: one of the two is wrong.
blocking: true
*/
WITH latest AS (
  SELECT currency, max(month) AS month
  FROM refersion_summaries.commission_roll_forward
  GROUP BY currency
),

closing AS (
  SELECT r.currency, r.closing_due
  FROM refersion_summaries.commission_roll_forward AS r
  JOIN latest AS l ON l.currency = r.currency AND l.month = r.month
),

liability AS (
  SELECT currency, sum(due) AS due
  FROM refersion_summaries.commission_liability
  GROUP BY currency
)

SELECT
  coalesce(c.currency, l.currency) AS currency,
  c.closing_due,
  l.due AS liability
FROM closing AS c
FULL JOIN liability AS l ON l.currency = c.currency
WHERE coalesce(c.closing_due, 0) <> coalesce(l.due, 0)
ORDER BY 1
