/*
group: core
description: >
  Every payment to an affiliate, with the recipient and the day. Payments that Refersion no longer shows
  are left out; payment_proof has them.
grain: one row per payment
primary_key: [payment_id]
owners: [team:data]
questions:
  - What was paid to whom, and when?
columns:
  payment_id: Payment id.
  affiliate_id: >
    Affiliate that was paid. Where the payment does not say, found by e-mail, else by the conversions it paid, as they
    were when they were first seen paid: conversions that were moved since do not move the payment. Else (unknown).
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

paid_then AS (
  SELECT
    coalesce(h.payment_id, c.payment_id) AS payment_id,
    h.affiliate_id,
    row_number() OVER (PARTITION BY coalesce(h.payment_id, c.payment_id) ORDER BY h.seen_at, h.id) AS place
  FROM refersion_data.conversion_history AS h
  LEFT JOIN refersion_summaries.conversions AS c ON c.conversion_id = h.id
  WHERE h.affiliate_id IS NOT NULL AND h.payment_status = 'PAID'
    AND coalesce(h.payment_id, c.payment_id) IN (SELECT id FROM refersion_data.payments WHERE affiliate__id IS NULL)
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
    p.affiliate__id, e.affiliate_id, t.affiliate_id, r.affiliate_id, nullif(lower(trim(p.affiliate__email)), ''), '(unknown)'
  ) AS affiliate_id,
  p.commission_total AS amount,
  p.currency,
  p.total_conversions AS conversions,
  p.created AS paid_at,
  CAST(p.created AT TIME ZONE $report_timezone AS DATE) AS paid_day,
  CAST(date_trunc('month', p.created AT TIME ZONE $report_timezone) AS DATE) AS paid_month,
  p.payment_method
FROM refersion_data.payments AS p
LEFT JOIN paid_then AS t ON t.payment_id = p.id AND t.place = 1
LEFT JOIN paid_rows AS r ON r.payment_id = p.id
LEFT JOIN emails AS e ON e.email = lower(trim(p.affiliate__email))
WHERE p.vanished_at IS NULL
