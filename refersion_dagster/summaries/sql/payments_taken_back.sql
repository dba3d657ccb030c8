/*
group: owed
description: >
  Conversions that were paid once, as a reading showed, and are due or pending again, because their payment was undone
  in Refersion. Paying them again would pay twice if the money was sent: payout_preview holds them back until a person
  decides. A new payment in Refersion settles them automatically; otherwise name the payment, or the conversion as
  conversion:<id>, in REFERSION_PAY_AGAIN.
grain: one row per conversion that was paid and is due or pending again
primary_key: [conversion_id]
owners: [team:data]
questions:
  - Which payments were taken back, and what would be paid a second time?
columns:
  conversion_id: Conversion id.
  affiliate_id: Affiliate who gets the commission now.
  currency: Currency of the commission.
  commission_state: due or pending.
  commission: Its commission now.
  payment_id: >
    Payment that paid it; NULL where the reading that showed it paid did not say which.
  payment_is: >
    there (Refersion still shows the payment, without this conversion), gone (Refersion no longer shows it), or not
    known.
  seen_paid_at: Last reading that showed it paid, UTC.
  seen_taken_back_at: First reading after that, UTC.
  is_released: Whether REFERSION_PAY_AGAIN says that it may be paid again.
renamed:
  commission_state: state
needs:
  "*": &paid conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  conversion_id: *paid
*/
WITH again AS (
  SELECT conversion_id, affiliate_id, currency, commission_state, commission
  FROM refersion_summaries.conversions
  WHERE commission_state IN ('due', 'pending')
),

readings AS (
  SELECT
    h.id,
    h.seen_at,
    h.payment_id,
    coalesce(h.payment_status, '') = 'PAID' OR h.payment_id IS NOT NULL AS is_paid
  FROM refersion_data.conversion_history AS h
  JOIN again AS a ON a.conversion_id = h.id
),

last_paid AS (
  SELECT id, max(seen_at) AS seen_paid_at
  FROM readings
  WHERE is_paid
  GROUP BY id
),

dated AS (
  SELECT
    p.id,
    p.seen_paid_at,
    max(CASE WHEN r.seen_at = p.seen_paid_at THEN r.payment_id END) AS payment_id,
    min(CASE WHEN r.seen_at > p.seen_paid_at THEN r.seen_at END) AS seen_taken_back_at
  FROM last_paid AS p
  JOIN readings AS r ON r.id = p.id
  GROUP BY p.id, p.seen_paid_at
)

SELECT
  a.conversion_id,
  a.affiliate_id,
  a.currency,
  a.commission_state,
  a.commission,
  d.payment_id,
  CASE
    WHEN d.payment_id IS NULL THEN 'not known'
    WHEN p.id IS NULL OR p.vanished_at IS NOT NULL THEN 'gone'
    ELSE 'there'
  END AS payment_is,
  d.seen_paid_at,
  d.seen_taken_back_at,
  position(concat(';', d.payment_id, ';') IN CAST($pay_again AS TEXT)) > 0
    OR position(concat(';conversion:', a.conversion_id, ';') IN CAST($pay_again AS TEXT)) > 0 AS is_released
FROM dated AS d
JOIN again AS a ON a.conversion_id = d.id
LEFT JOIN refersion_data.payments AS p ON p.id = d.payment_id
ORDER BY d.seen_taken_back_at DESC, a.conversion_id
