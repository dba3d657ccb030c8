/*
asset: summaries/commission_roll_forward
description: >
  In every currency and month, the amount paid in the roll-forward equals the sum of Refersion's payments of the month,
  as far as it can be proven: months with payments that were taken back, deleted in Refersion, or whose conversions are
  not all loaded are not compared (payment_proof has their differences). It proves the months of payments, but not when
  the paid commission was approved.
meaning: >
  Money was paid in a different month or amount than the roll-forward of the months below says. Read these months again
  (job refersion_backfill).
blocking: true
*/
WITH paid AS (
  SELECT currency, month, paid
  FROM refersion_summaries.commission_roll_forward
  WHERE basis <> 'running'
),

payments AS (
  SELECT currency, paid_month AS month, sum(amount) AS amount
  FROM refersion_summaries.payments
  GROUP BY currency, paid_month
),

-- Payments that their conversions do not explain, conversions whose payment is not there, and payments taken back.
unproven AS (
  SELECT currency, paid_month AS month
  FROM refersion_summaries.payment_proof
  WHERE proof <> 'agrees' OR conversions_vanished > 0
  UNION
  SELECT c.currency, CAST(date_trunc('month', c.paid_at AT TIME ZONE $report_timezone) AS DATE) AS month
  FROM refersion_summaries.conversions AS c
  LEFT JOIN refersion_summaries.payments AS p ON p.payment_id = c.payment_id AND p.currency = c.currency
  WHERE c.is_paid AND p.payment_id IS NULL
  UNION
  SELECT d.currency, d.until_month AS month
  FROM refersion_summaries.due_periods AS d
  JOIN refersion_summaries.due_periods AS b
    ON b.conversion_id = d.conversion_id AND b.step > d.step AND b.entry_reason = 'payment taken back'
  WHERE d.exit_reason = 'paid'
  UNION
  SELECT currency, from_month AS month
  FROM refersion_summaries.due_periods
  WHERE entry_reason = 'payment taken back'
)

SELECT
  coalesce(r.currency, p.currency) AS currency,
  coalesce(r.month, p.month) AS month,
  r.paid AS roll_forward_paid,
  p.amount AS payments
FROM paid AS r
FULL JOIN payments AS p ON p.currency = r.currency AND p.month = r.month
LEFT JOIN unproven AS u ON u.currency = coalesce(r.currency, p.currency) AND u.month = coalesce(r.month, p.month)
WHERE u.month IS NULL
  AND EXISTS (SELECT 1 FROM paid AS x WHERE x.currency = coalesce(r.currency, p.currency))
  AND EXISTS (SELECT 1 FROM refersion_summaries.payments AS x WHERE x.currency = coalesce(r.currency, p.currency))
  AND coalesce(r.month, p.month) IN (SELECT x.month FROM paid AS x)
  -- What was paid in a month may be unknown.
  AND (r.month IS NULL OR r.paid IS NOT NULL)
  AND coalesce(r.paid, 0) <> coalesce(p.amount, 0)
ORDER BY 2, 1
