/*
group: owed
description: >
  Money that was paid out and is no longer owed: cancellations of orders whose commission had been paid by then,
  conversions that were denied after they were paid, and affiliates whose balance is below 0. Each of the three has
  its own amount column, because they overlap: a cancellation can be the cause of a negative balance. Each column can
  be added up by the month of the order or of the reversal; never add one column to another.
grain: one row per kind and conversion, or per kind, affiliate and currency for balances
primary_key: [kind, subject, currency]
owners: [team:data]
questions:
  - What did we pay for orders that were cancelled afterwards?
  - Which affiliates owe us, and how much?
columns:
  kind: cancelled after payment, denied after payment or negative balance.
  subject: The cancellation or the denied conversion by its id, or the affiliate with the balance.
  currency: Currency of the amounts.
  affiliate_id: Affiliate.
  affiliate_name: Name.
  affiliate_email: E-mail.
  cancelled_after_payment: >
    Commission that the cancellation takes back, as a positive amount; NULL in rows of another kind.
  denied_after_payment: Commission that was paid and is denied now; NULL in rows of another kind.
  negative_balance: >
    The affiliate's negative commission due in this currency, as a positive amount; NULL in rows of another kind.
  repayment_status: >
    Status: set off (the cancellation was part of a later payment), lowers the balance, waits for approval,
    or nothing lowers the balance (Refersion creates no row that would).
  order_id: The shop's order.
  original_id: The conversion that was paid.
  payment_id: Payment that paid it.
  paid_at: When it was paid, UTC.
  taken_back_at: When the cancellation was made or the conversion denied, UTC; NULL for balances and where not known.
  days_after_payment: Days between the two, in the reporting time zone.
  order_month: First day of the month in which the conversion that was paid was made, in the reporting time zone.
  reversal_month: First day of the month of taken_back_at, in the reporting time zone.
renamed:
  repayment_status: standing
needs:
  subject:
    - conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
    - conversions.order_id
    - conversions.payment__created | payments.created
  negative_balance: &balance
    - conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
    - conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  repayment_status: *balance
  affiliate_name: []
  affiliate_email: []
*/
WITH found AS (
  SELECT
    'cancelled after payment' AS kind,
    c.conversion_id AS subject,
    c.currency,
    c.affiliate_id,
    c.affiliate_name,
    c.affiliate_email,
    -c.commission AS cancelled,
    CAST(NULL AS DECIMAL(38, 4)) AS denied,
    CAST(NULL AS DECIMAL(38, 4)) AS negative,
    CASE c.commission_state
      WHEN 'paid' THEN 'set off'
      WHEN 'due' THEN 'lowers the balance'
      ELSE 'waits for approval'
    END AS repayment_status,
    c.order_id,
    c.original_id,
    o.payment_id,
    o.paid_at,
    c.created_at AS taken_back_at,
    o.booked_month AS order_month
  FROM refersion_summaries.conversions AS c
  JOIN refersion_summaries.conversions AS o ON o.conversion_id = c.original_id
  WHERE c.conversion_kind = 'cancellation' AND c.is_earned AND c.created_at > o.paid_at
  UNION ALL
  SELECT
    'denied after payment' AS kind,
    conversion_id AS subject,
    currency,
    affiliate_id,
    affiliate_name,
    affiliate_email,
    CAST(NULL AS DECIMAL(38, 4)) AS cancelled,
    commission AS denied,
    CAST(NULL AS DECIMAL(38, 4)) AS negative,
    'nothing lowers the balance' AS repayment_status,
    order_id,
    conversion_id AS original_id,
    payment_id,
    paid_at,
    unapproved_at AS taken_back_at,
    booked_month AS order_month
  FROM refersion_summaries.conversions
  WHERE commission_state IN ('denied', 'unqualified')
    AND (payment_id IS NOT NULL OR paid_at IS NOT NULL) AND commission > 0
  UNION ALL
  SELECT
    'negative balance' AS kind,
    affiliate_id AS subject,
    currency,
    affiliate_id,
    affiliate_name,
    affiliate_email,
    CAST(NULL AS DECIMAL(38, 4)) AS cancelled,
    CAST(NULL AS DECIMAL(38, 4)) AS denied,
    -due AS negative,
    'lowers the balance' AS repayment_status,
    CAST(NULL AS VARCHAR) AS order_id,
    CAST(NULL AS VARCHAR) AS original_id,
    CAST(NULL AS VARCHAR) AS payment_id,
    CAST(NULL AS TIMESTAMPTZ) AS paid_at,
    CAST(NULL AS TIMESTAMPTZ) AS taken_back_at,
    CAST(NULL AS DATE) AS order_month
  FROM refersion_summaries.commission_liability
  WHERE due < 0
)

SELECT
  f.kind,
  f.subject,
  f.currency,
  f.affiliate_id,
  coalesce(a.name, f.affiliate_name) AS affiliate_name,
  coalesce(a.email, f.affiliate_email) AS affiliate_email,
  CAST(f.cancelled AS DECIMAL(38, 4)) AS cancelled_after_payment,
  CAST(f.denied AS DECIMAL(38, 4)) AS denied_after_payment,
  CAST(f.negative AS DECIMAL(38, 4)) AS negative_balance,
  f.repayment_status,
  f.order_id,
  f.original_id,
  f.payment_id,
  f.paid_at,
  f.taken_back_at,
  date_diff(
    'day',
    CAST(f.paid_at AT TIME ZONE $report_timezone AS DATE),
    CAST(f.taken_back_at AT TIME ZONE $report_timezone AS DATE)
  ) AS days_after_payment,
  f.order_month,
  CAST(date_trunc('month', f.taken_back_at AT TIME ZONE $report_timezone) AS DATE) AS reversal_month
FROM found AS f
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = f.affiliate_id
ORDER BY
  f.kind DESC,
  CASE WHEN f.repayment_status = 'set off' THEN 1 ELSE 0 END,
  coalesce(f.cancelled, f.denied, f.negative) DESC,
  f.subject,
  f.currency
