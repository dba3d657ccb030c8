/*
group: owed
description: >
  What would be paid out if everybody were paid now, and what is held back and why. Paid out is a balance above 0 that
  reaches the minimum payout, to an affiliate with a PayPal e-mail. Refersion pays nothing by itself; whether an
  affiliate who is not ACTIVE is paid is for the merchant to decide, so that does not hold anything back here.
grain: one row per affiliate and currency with commission due
primary_key: [affiliate_id, currency]
owners: [team:data]
questions:
  - How much money is needed for the next payout?
  - What is held back, and what has to be done about it?
columns:
  affiliate_id: Affiliate.
  affiliate_name: Name.
  affiliate_email: E-mail, to ask for what is missing.
  affiliate_status: PENDING, ACTIVE, DENIED or DISABLED; NULL where Refersion does not list the affiliate.
  currency: Currency of every amount of the row.
  conversions: Number of conversions due.
  due: Commission due, payable_now + held_back.
  payable_now: What would be paid out now.
  held_back: What would not; negative where the affiliate owes.
  held_back_because: Why, reasons separated by semicolons; NULL where it would be paid.
  minimum_payout: Commission below this is not paid out yet (REFERSION_MINIMUM_PAYOUT).
  missing_to_minimum: How much more has to become due to reach it; 0 where it is reached.
  oldest_unpaid_days: Days since the oldest conversion due was approved; NULL where nothing due is above 0.
sums:
  due: due
needs:
  affiliate_name: []
  affiliate_email: []
*/
SELECT
  affiliate_id,
  affiliate_name,
  affiliate_email,
  affiliate_status,
  currency,
  due_conversions AS conversions,
  due,
  CAST(CASE WHEN blocked_by IS NULL THEN due ELSE 0 END AS DECIMAL(38, 4)) AS payable_now,
  CAST(CASE WHEN blocked_by IS NULL THEN 0 ELSE due END AS DECIMAL(38, 4)) AS held_back,
  blocked_by AS held_back_because,
  minimum_payout,
  CAST(greatest(minimum_payout - due, 0) AS DECIMAL(38, 4)) AS missing_to_minimum,
  oldest_unpaid_days
FROM refersion_summaries.commission_liability
WHERE due_conversions > 0
ORDER BY payable_now DESC, due DESC, affiliate_id, currency
