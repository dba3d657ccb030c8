/*
group: owed
description: >
  What is owed to each affiliate: commission due by age, commission that waits for approval, and how much of that is
  likely to become due. Only affiliates with something due or pending have a row. Negative rows (cancellations,
  commission taken back by hand) lower what is due; until they are set off by a payment they are shown in a column of
  their own, so that no age is negative because of them.
grain: one row per affiliate and currency with commission due or pending
primary_key: [affiliate_id, currency]
owners: [team:data]
questions:
  - What do we owe, to whom, and since when?
  - How much more is likely to become due?
  - Who cannot be paid, and why?
columns:
  affiliate_id: Affiliate.
  affiliate_name: Name.
  affiliate_email: E-mail.
  affiliate_status: PENDING, ACTIVE, DENIED or DISABLED; NULL where Refersion does not list the affiliate.
  currency: Currency of every amount of the row.
  due: Commission approved and not paid, the sum of the four buckets and credits_not_set_off.
  due_0_30_days: >
    Commission due of rows above 0, approved up to 30 days ago, counted to the day of the last reading in the reporting
    time zone. Where the approval is not known, its last change counts instead, else its creation (conversions.aged_since).
  due_31_60_days: Commission due, approved 31 to 60 days ago.
  due_61_90_days: Commission due, approved 61 to 90 days ago.
  due_over_90_days: Commission due, approved more than 90 days ago.
  credits_not_set_off: Cancellations and negative credits that are due, of any age; 0 or less.
  due_conversions: Number of conversions due.
  oldest_unpaid_at: >
    When the oldest conversion due was approved, UTC (conversions.aged_since); those that lower the balance are left
    out.
  oldest_unpaid_days: Its age in days; NULL where nothing due is above 0.
  pending: Commission that waits for approval.
  pending_conversions: Number of conversions that wait for approval.
  approval_rate: >
    Share of decided orders' commission that was approved, a fraction; NULL where nothing was decided yet. Orders with
    commission above 0 are counted that are approved or denied; unqualified ones never were pending. The affiliate's
    own rate is combined with the programme's rate in this currency, weighted by decided_orders:
    REFERSION_CREDIBILITY_ORDERS orders weigh as much as the programme.
  decided_orders: Number of the affiliate's orders that are counted.
  approval_rate_of: >
    Whose rate it is, affiliate and programme or, where nothing of the affiliate's was decided yet, programme; nobody
    where nothing was decided at all.
  accrued: Due + pending x approval rate; where there is no rate, pending counts in full.
  accrued_if_none_approved: The accrual if none of what is pending is approved, which is what is due.
  accrued_if_all_approved: The accrual if all of it is.
  minimum_payout: Commission below this is not paid out yet (REFERSION_MINIMUM_PAYOUT).
  payment_method: >
    Method of the affiliate's last payment; without one, the method of all other affiliates if there is only one.
    NULL where it is not known.
  due_paid_before: >
    The part of due that was paid once and taken back (payments_taken_back), unless REFERSION_PAY_AGAIN names it.
  paid_before_by: Ids of the payments that paid it, separated by commas; conversion:<id> where no reading said which.
  block_reason: >
    Why the rest of what is due cannot be paid now, reasons separated by semicolons; NULL where nothing is in the way. A
    missing PayPal e-mail counts where the affiliate is paid by PayPal, or where no other way is known. Given for
    affiliates whose commission is only pending, too.
  not_known: >
    Why it is not known whether it can be paid: PayPal e-mails are not shown by Refersion. NULL where it is known.
renamed:
  due_0_30_days: due_0_30
  due_31_60_days: due_31_60
  due_61_90_days: due_61_90
  due_over_90_days: due_over_90
  block_reason: blocked_by
sums:
  due: due
  pending: pending
needs:
  affiliate_id:
    - conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
    - conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  affiliate_name: []
  affiliate_email: []
  payment_method: payments.payment_method
  due_paid_before: &paid >-
    conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  paid_before_by: *paid
  block_reason: &payable
    - *paid
    - affiliates.id | affiliate_get.id | affiliate_list.id
    - affiliates.paypal_email | payments.payment_method
  not_known: *payable
*/
WITH aged AS (
  SELECT
    c.affiliate_id,
    c.affiliate_name,
    c.affiliate_email,
    c.currency,
    c.commission_state,
    c.commission,
    c.aged_since,
    date_diff('day', CAST(c.aged_since AT TIME ZONE $report_timezone AS DATE), d.today) AS days,
    c.is_approved,
    CASE WHEN c.conversion_kind = 'order' AND c.is_decided AND c.commission > 0 THEN c.commission ELSE 0 END AS decided,
    b.payment_id AS paid_before_by,
    c.commission_state = 'due' AND NOT coalesce(b.is_released, TRUE) AS was_paid_before,
    c.conversion_id
  FROM refersion_summaries.conversions AS c
  CROSS JOIN refersion_summaries.data_as_of AS d
  -- By the id alone: DuckDB 2.0 makes comparisons of the sums false where the join's conditions leave none of b.
  LEFT JOIN refersion_summaries.payments_taken_back AS b ON b.conversion_id = c.conversion_id
),

paid_before AS (
  SELECT affiliate_id, currency, string_agg(payment, ', ' ORDER BY payment) AS payments
  FROM (
    SELECT DISTINCT affiliate_id, currency, coalesce(paid_before_by, concat('conversion:', conversion_id)) AS payment
    FROM aged
    WHERE was_paid_before
  ) AS found
  GROUP BY affiliate_id, currency
),

methods AS (
  SELECT
    affiliate_id,
    payment_method,
    row_number() OVER (PARTITION BY affiliate_id ORDER BY paid_at DESC, payment_id DESC) AS place
  FROM refersion_summaries.payments
  WHERE trim(payment_method) <> ''
),

usual AS (
  SELECT CASE WHEN count(DISTINCT payment_method) = 1 THEN max(payment_method) END AS payment_method
  FROM methods
),

per_affiliate AS (
  SELECT
    affiliate_id,
    currency,
    max(affiliate_name) AS name,
    max(affiliate_email) AS email,
    sum(CASE WHEN commission_state = 'due' THEN commission ELSE 0 END) AS due,
    sum(CASE WHEN commission_state = 'due' AND commission > 0 AND days <= 30 THEN commission ELSE 0 END)
      AS due_0_30_days,
    sum(CASE WHEN commission_state = 'due' AND commission > 0 AND days BETWEEN 31 AND 60 THEN commission ELSE 0 END)
      AS due_31_60_days,
    sum(CASE WHEN commission_state = 'due' AND commission > 0 AND days BETWEEN 61 AND 90 THEN commission ELSE 0 END)
      AS due_61_90_days,
    sum(CASE WHEN commission_state = 'due' AND commission > 0 AND days > 90 THEN commission ELSE 0 END)
      AS due_over_90_days,
    sum(CASE WHEN commission_state = 'due' AND commission < 0 THEN commission ELSE 0 END) AS credits_not_set_off,
    sum(CASE WHEN was_paid_before THEN commission ELSE 0 END) AS due_paid_before,
    count(CASE WHEN commission_state = 'due' AND NOT was_paid_before THEN 1 END) AS due_first_time,
    count(CASE WHEN decided > 0 THEN 1 END) AS decided_orders,
    count(CASE WHEN commission_state = 'due' THEN 1 END) AS due_conversions,
    min(CASE WHEN commission_state = 'due' AND commission > 0 THEN aged_since END) AS oldest_unpaid_at,
    max(CASE WHEN commission_state = 'due' AND commission > 0 THEN days END) AS oldest_unpaid_days,
    sum(CASE WHEN commission_state = 'pending' THEN commission ELSE 0 END) AS pending,
    count(CASE WHEN commission_state = 'pending' THEN 1 END) AS pending_conversions,
    sum(CASE WHEN is_approved THEN decided ELSE 0 END) AS approved,
    sum(decided) AS decided
  FROM aged
  GROUP BY affiliate_id, currency
),

per_programme AS (
  SELECT currency, sum(approved) AS approved, sum(decided) AS decided
  FROM per_affiliate
  GROUP BY currency
),

rated AS (
  SELECT
    a.*,
    a.due - a.due_paid_before AS to_pay,
    CAST(a.approved / nullif(a.decided, 0) AS DECIMAL(18, 12)) AS own_rate,
    CAST(p.approved / nullif(p.decided, 0) AS DECIMAL(18, 12)) AS programme_rate,
    CASE
      WHEN a.decided > 0 THEN 'affiliate and programme'
      WHEN p.decided > 0 THEN 'programme'
      ELSE 'nobody'
    END AS approval_rate_of
  FROM per_affiliate AS a
  JOIN per_programme AS p ON p.currency = a.currency
  WHERE a.due_conversions > 0 OR a.pending_conversions > 0
),

weighed AS (
  SELECT
    r.*,
    CAST(
      CAST(
        (coalesce(own_rate, 0) * CAST(decided_orders AS INTEGER) + programme_rate * $credibility_orders)
          / (decided_orders + $credibility_orders)
        AS DECIMAL(38, 12)
      ) AS DECIMAL(18, 6)
    ) AS approval_rate
  FROM rated AS r
),

payable AS (
  SELECT
    w.*,
    a.affiliate_id IS NOT NULL AS is_listed,
    -- Affiliates in some states are not shown, so a missing one may be there.
    CAST($not_offered AS VARCHAR) LIKE '%affiliates.status=%' AS is_listed_in_part,
    a.name AS listed_name,
    a.email AS listed_email,
    a.status,
    a.vanished_at,
    a.has_paypal_email,
    coalesce(m.payment_method, u.payment_method) AS payment_method,
    CASE
      WHEN coalesce(m.payment_method, u.payment_method) IS NULL THEN 'not known'
      WHEN lower(coalesce(m.payment_method, u.payment_method)) LIKE '%paypal%' THEN 'PayPal'
      ELSE 'other'
    END AS paid_by
  FROM weighed AS w
  CROSS JOIN usual AS u
  LEFT JOIN methods AS m ON m.affiliate_id = w.affiliate_id AND m.place = 1
  LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = w.affiliate_id
)

SELECT
  r.affiliate_id,
  coalesce(r.listed_name, r.name) AS affiliate_name,
  coalesce(r.listed_email, r.email) AS affiliate_email,
  r.status AS affiliate_status,
  r.currency,
  CAST(r.due AS DECIMAL(38, 4)) AS due,
  CAST(r.due_0_30_days AS DECIMAL(38, 4)) AS due_0_30_days,
  CAST(r.due_31_60_days AS DECIMAL(38, 4)) AS due_31_60_days,
  CAST(r.due_61_90_days AS DECIMAL(38, 4)) AS due_61_90_days,
  CAST(r.due_over_90_days AS DECIMAL(38, 4)) AS due_over_90_days,
  CAST(r.credits_not_set_off AS DECIMAL(38, 4)) AS credits_not_set_off,
  r.due_conversions,
  r.oldest_unpaid_at,
  -- Not greatest(), which makes 0 of no age at all.
  CAST(CASE WHEN r.oldest_unpaid_days < 0 THEN 0 ELSE r.oldest_unpaid_days END AS BIGINT) AS oldest_unpaid_days,
  CAST(r.pending AS DECIMAL(38, 4)) AS pending,
  r.pending_conversions,
  r.approval_rate,
  r.decided_orders,
  r.approval_rate_of,
  CAST(r.due + CAST(r.pending AS DECIMAL(28, 4)) * coalesce(r.approval_rate, 1) AS DECIMAL(38, 4)) AS accrued,
  CAST(r.due AS DECIMAL(38, 4)) AS accrued_if_none_approved,
  CAST(r.due + r.pending AS DECIMAL(38, 4)) AS accrued_if_all_approved,
  c.minimum_payout,
  r.payment_method,
  CAST(r.due_paid_before AS DECIMAL(38, 4)) AS due_paid_before,
  b.payments AS paid_before_by,
  nullif(
    concat_ws(
      '; ',
      CASE WHEN r.to_pay < 0 THEN 'negative balance' END,
      CASE WHEN r.to_pay = 0 AND r.due_first_time > 0 THEN 'balance of zero' END,
      CASE WHEN r.to_pay > 0 AND r.to_pay < c.minimum_payout THEN 'below the minimum payout' END,
      CASE
        WHEN r.is_listed_in_part AND (NOT r.is_listed OR r.vanished_at IS NOT NULL) THEN NULL
        WHEN NOT r.is_listed THEN 'affiliate not listed by Refersion'
        WHEN r.vanished_at IS NOT NULL THEN 'affiliate no longer in Refersion'
        WHEN NOT r.has_paypal_email AND r.paid_by = 'PayPal' THEN 'no PayPal e-mail'
        WHEN NOT r.has_paypal_email AND r.paid_by = 'not known' THEN 'no PayPal e-mail and no other way to be paid known'
      END
    ),
    ''
  ) AS block_reason,
  CASE
    WHEN r.is_listed_in_part AND (NOT r.is_listed OR r.vanished_at IS NOT NULL)
      THEN 'affiliate not exported, so denied, disabled or deleted'
    WHEN r.is_listed AND r.vanished_at IS NULL AND r.has_paypal_email IS NULL AND r.paid_by <> 'other'
      THEN 'PayPal e-mail not shown by Refersion'
  END AS not_known
FROM payable AS r
JOIN refersion_summaries.currencies AS c ON c.currency = r.currency
LEFT JOIN paid_before AS b ON b.affiliate_id = r.affiliate_id AND b.currency = r.currency
ORDER BY r.due DESC, r.pending DESC, r.affiliate_id, r.currency
