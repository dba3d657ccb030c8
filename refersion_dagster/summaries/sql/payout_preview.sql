/*
group: owed
description: >
  What would be paid out if all affiliates were paid now, and what is held back and why. A balance is paid out if it
  is above 0, reaches the minimum payout, and the affiliate can be paid: by PayPal with a PayPal e-mail, or in the
  way they were paid before. Commission that was paid once and taken back is held back with the payment's number
  until REFERSION_PAY_AGAIN names it. Refersion never pays automatically; whether an affiliate who is not ACTIVE is
  paid is for the merchant to decide, so that does not hold anything back here.
grain: one row per affiliate and currency with commission due
primary_key: [affiliate_id, currency]
owners: [team:data]
questions:
  - How much money is needed for the next payout?
  - What is held back, and what needs to be done about it?
columns:
  affiliate_id: Affiliate.
  affiliate_name: Name.
  affiliate_email: E-mail, to ask for what is missing.
  affiliate_status: PENDING, ACTIVE, DENIED or DISABLED; NULL where Refersion does not list the affiliate.
  currency: Currency of every amount of the row.
  conversions: Number of conversions due.
  due: Commission due, payable_now + held_back.
  payable_now: What would be paid out now; NULL where that is not known (see not_known).
  held_back: What would not be paid out; negative where the affiliate owes money. NULL where it is not known.
  block_reason: Why it is held back, reasons separated by semicolons; NULL where all of it would be paid.
  held_back_paid_before: The part of held_back that was paid once and taken back (payments_taken_back).
  payment_method: Method of the affiliate's last payment or, without one, of all others; NULL where it is not known.
  not_known: Why it is not known whether the affiliate can be paid; NULL where it is known.
  minimum_payout: Commission below this is not paid out yet (REFERSION_MINIMUM_PAYOUT).
  missing_to_minimum: How much more has to become due to reach it; 0 where it is reached.
  oldest_unpaid_days: Days since the oldest conversion due was approved; NULL where nothing due is above 0.
renamed:
  block_reason: held_back_because
sums:
  due: due
needs:
  affiliate_name: []
  affiliate_email: []
  held_back_paid_before: &paid >-
    conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  missing_to_minimum: *paid
  payable_now: &payable
    - *paid
    - affiliates.id | affiliate_get.id | affiliate_list.id
    - affiliates.paypal_email | payments.payment_method
  held_back: *payable
  block_reason: *payable
  not_known: *payable
*/
SELECT
  affiliate_id,
  affiliate_name,
  affiliate_email,
  affiliate_status,
  currency,
  due_conversions AS conversions,
  due,
  CAST(
    CASE WHEN block_reason IS NOT NULL THEN 0 WHEN not_known IS NULL THEN due - due_paid_before END AS DECIMAL(38, 4)
  ) AS payable_now,
  CAST(CASE WHEN block_reason IS NOT NULL THEN due WHEN not_known IS NULL THEN due_paid_before END AS DECIMAL(38, 4))
    AS held_back,
  nullif(
    concat_ws(
      '; ',
      block_reason,
      CASE WHEN paid_before_by IS NOT NULL THEN concat('paid once before and taken back: ', paid_before_by) END
    ),
    ''
  ) AS block_reason,
  due_paid_before AS held_back_paid_before,
  payment_method,
  not_known,
  minimum_payout,
  CAST(greatest(minimum_payout - (due - due_paid_before), 0) AS DECIMAL(38, 4)) AS missing_to_minimum,
  oldest_unpaid_days
FROM refersion_summaries.commission_liability
WHERE due_conversions > 0
ORDER BY payable_now DESC, due DESC, affiliate_id, currency
