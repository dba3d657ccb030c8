/*
group: core
description: >
  Every payment to an affiliate, with whom it went to and the day it was made.
grain: one row per payment
primary_key: [payment_id]
owners: [team:data]
questions:
  - What was paid to whom, and when?
columns:
  payment_id: Payment id.
  affiliate_id: >
    Affiliate that was paid; found by e-mail or by the conversions it paid where the payment does not say, else
    (unknown).
  amount: Amount paid.
  currency: Currency of the amount.
  conversions: Number of conversions that Refersion says it paid.
  paid_at: When it was made, UTC.
  paid_day: Day in the reporting time zone.
  paid_month: First day of the month in the reporting time zone.
  payment_method: How it was paid.
needs:
  affiliate_id: >-
    payments.affiliate__id | payments.affiliate__email | conversions.payment_id | conversions.payment__id
kept: [affiliate_id]
*/
WITH emails AS (
  SELECT lower(email) AS email, min(affiliate_id) AS affiliate_id
  FROM refersion_summaries.affiliates
  WHERE email IS NOT NULL
  GROUP BY lower(email)
),

paid_rows AS (
  SELECT payment_id, min(affiliate_id) AS affiliate_id
  FROM refersion_summaries.conversions
  WHERE payment_id IS NOT NULL
  GROUP BY payment_id
)

SELECT
  p.id AS payment_id,
  coalesce(
    p.affiliate__id, r.affiliate_id, e.affiliate_id, nullif(lower(trim(p.affiliate__email)), ''), '(unknown)'
  ) AS affiliate_id,
  p.commission_total AS amount,
  p.currency,
  p.total_conversions AS conversions,
  p.created AS paid_at,
  CAST(p.created AT TIME ZONE $report_timezone AS DATE) AS paid_day,
  CAST(date_trunc('month', p.created AT TIME ZONE $report_timezone) AS DATE) AS paid_month,
  p.payment_method
FROM refersion_data.payments AS p
LEFT JOIN paid_rows AS r ON r.payment_id = p.id
LEFT JOIN emails AS e ON e.email = lower(trim(p.affiliate__email))
