/*
group: owed
description: >
  Money that was paid out and is not owed any more: cancellations of orders whose commission had been paid by then,
  conversions that were denied after they were paid, and affiliates whose balance is below 0. The kinds overlap, as a
  cancellation may be what makes a balance negative: never add up amounts of different kinds.
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
  amount: Commission to get back, a positive amount.
  standing: >
    What became of it: set off (the cancellation was part of a later payment), lowers the balance, waits for approval,
    or nothing lowers the balance (Refersion makes no row that would).
  balance: The affiliate's commission due in this currency now.
  order_id: The shop's order.
  original_id: The conversion that was paid.
  payment_id: Payment that paid it.
  paid_at: When it was paid, UTC.
  taken_back_at: When the cancellation was made or the conversion denied, UTC; NULL for balances and where not known.
  days_after_payment: Days between the two, in the reporting time zone.
needs:
  subject:
    - conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
    - conversions.order_id
    - conversions.payment__created | payments.created
  balance: &balance
    - conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
    - conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  standing: *balance
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
    -c.commission AS amount,
    CASE c.state
      WHEN 'paid' THEN 'set off'
      WHEN 'due' THEN 'lowers the balance'
      ELSE 'waits for approval'
    END AS standing,
    c.order_id,
    c.original_id,
    o.payment_id,
    o.paid_at,
    c.created_at AS taken_back_at
  FROM refersion_summaries.conversions AS c
  JOIN refersion_summaries.conversions AS o ON o.conversion_id = c.original_id
  WHERE c.kind = 'cancellation' AND c.state IN ('pending', 'due', 'paid') AND c.created_at > o.paid_at
  UNION ALL
  SELECT
    'denied after payment' AS kind,
    conversion_id AS subject,
    currency,
    affiliate_id,
    affiliate_name,
    affiliate_email,
    commission AS amount,
    'nothing lowers the balance' AS standing,
    order_id,
    conversion_id AS original_id,
    payment_id,
    paid_at,
    unapproved_at AS taken_back_at
  FROM refersion_summaries.conversions
  WHERE state IN ('denied', 'unqualified') AND (payment_id IS NOT NULL OR paid_at IS NOT NULL) AND commission > 0
  UNION ALL
  SELECT
    'negative balance' AS kind,
    affiliate_id AS subject,
    currency,
    affiliate_id,
    affiliate_name,
    affiliate_email,
    -due AS amount,
    'lowers the balance' AS standing,
    CAST(NULL AS VARCHAR) AS order_id,
    CAST(NULL AS VARCHAR) AS original_id,
    CAST(NULL AS VARCHAR) AS payment_id,
    CAST(NULL AS TIMESTAMPTZ) AS paid_at,
    CAST(NULL AS TIMESTAMPTZ) AS taken_back_at
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
  CAST(f.amount AS DECIMAL(38, 4)) AS amount,
  f.standing,
  CAST(coalesce(l.due, 0) AS DECIMAL(38, 4)) AS balance,
  f.order_id,
  f.original_id,
  f.payment_id,
  f.paid_at,
  f.taken_back_at,
  CAST(
    CAST(f.taken_back_at AT TIME ZONE $report_timezone AS DATE) - CAST(f.paid_at AT TIME ZONE $report_timezone AS DATE)
    AS BIGINT
  ) AS days_after_payment
FROM found AS f
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = f.affiliate_id
LEFT JOIN refersion_summaries.commission_liability AS l ON l.affiliate_id = f.affiliate_id AND l.currency = f.currency
ORDER BY f.kind DESC, CASE WHEN f.standing = 'set off' THEN 1 ELSE 0 END, f.amount DESC, f.subject, f.currency
