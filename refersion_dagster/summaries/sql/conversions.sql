/*
group: core
description: >
  Every conversion that counts, with what it is, which state its commission is in, and when that began. Test conversions
  and rows that vanished from Refersion are left out. The other summaries read this table, so each of these decisions is
  taken in one place.
grain: one row per conversion
primary_key: [conversion_id]
owners: [team:data]
questions:
  - Which conversions make up a figure?
  - Is this row an order, a cancellation or a manual credit, and is its commission pending, due, paid or denied?
columns:
  conversion_id: Conversion id.
  affiliate_id: Numeric affiliate id; found by e-mail where the row has none, else the e-mail, else (unknown).
  affiliate_name: Affiliate's name as this row has it.
  affiliate_email: Affiliate's e-mail as this row has it.
  order_id: The shop's order; not unique, as renewals, cancellations and duplicates repeat it.
  order_key: What counts as one order, the order id or, without one, the conversion id.
  kind: >
    order (total above 0), cancellation (type CANCELLATION_…, or a negative total, or a negative commission on an order
    that is no manual credit), manual credit (its type, or commission without a total), or empty (neither).
  state: >
    pending, due (approved and not paid), paid (approved and paid), denied, unqualified, or unknown for a status never
    heard of.
  status: Status as Refersion has it.
  type: How the conversion was attributed.
  total: Order amount the commission is reckoned on.
  commission: Commission.
  currency: Currency of both amounts.
  created_at: When the conversion was made, UTC.
  booked_at: The same in the reporting time zone.
  booked_day: Day in the reporting time zone.
  booked_month: First day of the month in the reporting time zone.
  approved_at: When commission became due, UTC; NULL for rows that never were. See approved_by.
  approved_by: >
    How approved_at is known: history (a reading saw the change), updated (last change in Refersion, else) or created.
  unapproved_at: When an approved row was seen to be approved no more, UTC; else NULL.
  paid_at: When it was paid, UTC; NULL while unpaid.
  payment_id: Payment that paid it.
  original_id: Of a cancellation, the conversion of the same order and currency that it takes back.
  offer_id: Offer at the time.
  offer_name: Name of that offer.
  offer_type: PERCENT_OF_SALE or FLAT_RATE.
  offer_amount: The offer's nominal rate in percent, or its flat amount.
  coupon_code: Coupon that attributed it.
  customer_email: Customer's e-mail, hashed unless REFERSION_PII says otherwise.
  customer_ip: Customer's ip, hashed likewise; the click's where the conversion has none.
  clicked_at: When the referring click was made, UTC.
  is_recurring: Whether it is a renewal.
*/
WITH emails AS (
  SELECT lower(email) AS email, min(affiliate_id) AS affiliate_id
  FROM refersion_summaries.affiliates
  WHERE email IS NOT NULL
  GROUP BY lower(email)
),

steps AS (
  SELECT
    id,
    seen_at,
    status,
    change,
    lag(status) OVER (PARTITION BY id ORDER BY seen_at) AS status_before
  FROM refersion_data.conversion_history
),

approvals AS (
  SELECT
    id,
    min(CASE WHEN status = 'APPROVED' AND status_before <> 'APPROVED' THEN seen_at END) AS seen_approved_at,
    max(CASE WHEN status <> 'APPROVED' AND status_before = 'APPROVED' THEN seen_at END) AS unapproved_at
  FROM steps
  WHERE status_before IS NOT NULL
  GROUP BY id
),

typed AS (
  SELECT
    c.*,
    coalesce(c.type, '') AS type_or_none,
    coalesce(c.payment_id, c.payment__id) AS paid_by,
    p.created AS payment_created,
    a.seen_approved_at,
    a.unapproved_at AS seen_unapproved_at,
    coalesce(c.affiliate_id, c.affiliate__id, e.affiliate_id, lower(c.affiliate__email), '(unknown)') AS whose
  FROM refersion_data.conversions AS c
  LEFT JOIN refersion_data.payments AS p ON p.id = coalesce(c.payment_id, c.payment__id)
  LEFT JOIN approvals AS a ON a.id = c.id
  LEFT JOIN emails AS e ON e.email = lower(c.affiliate__email)
  WHERE NOT coalesce(c.is_test_conversion, FALSE) AND c.vanished_at IS NULL
),

decided AS (
  SELECT
    t.*,
    CASE
      WHEN left(type_or_none, 13) = 'CANCELLATION_' THEN 'cancellation'
      WHEN type_or_none = 'MANUAL_CREDIT_BY_CLIENT' THEN 'manual credit'
      WHEN total < 0 OR (commission_total < 0 AND order_id IS NOT NULL) THEN 'cancellation'
      WHEN total > 0 THEN 'order'
      WHEN commission_total <> 0 THEN 'manual credit'
      ELSE 'empty'
    END AS kind,
    CASE
      WHEN status = 'PENDING' THEN 'pending'
      WHEN status = 'APPROVED'
        AND (coalesce(payment_status, '') = 'PAID' OR paid_by IS NOT NULL OR payment__created IS NOT NULL) THEN 'paid'
      WHEN status = 'APPROVED' THEN 'due'
      WHEN status = 'DENIED' THEN 'denied'
      WHEN status = 'UNQUALIFIED' THEN 'unqualified'
      ELSE 'unknown'
    END AS state
  FROM typed AS t
),

dated AS (
  SELECT
    d.*,
    CASE
      WHEN state = 'paid' THEN coalesce(payment__created, payment_created, updated, created)
    END AS paid_at,
    CASE
      WHEN state IN ('due', 'paid') OR seen_unapproved_at IS NOT NULL
        THEN coalesce(seen_approved_at, updated, created)
    END AS became_due_at
  FROM decided AS d
),

originals AS (
  SELECT
    c.id,
    o.id AS original_id,
    row_number() OVER (
      PARTITION BY c.id
      ORDER BY
        CASE WHEN o.whose = c.whose THEN 0 ELSE 1 END,
        CASE WHEN o.total = -c.total THEN 0 ELSE 1 END,
        CASE WHEN o.created <= c.created THEN 0 ELSE 1 END,
        o.created DESC,
        o.id
    ) AS place
  FROM decided AS c
  JOIN decided AS o ON o.order_id = c.order_id AND o.currency = c.currency AND o.kind = 'order'
  WHERE c.kind = 'cancellation'
)

SELECT
  d.id AS conversion_id,
  d.whose AS affiliate_id,
  d.affiliate__name AS affiliate_name,
  d.affiliate__email AS affiliate_email,
  d.order_id,
  coalesce(d.order_id, d.id) AS order_key,
  d.kind,
  d.state,
  d.status,
  d.type,
  d.total,
  d.commission_total AS commission,
  d.currency,
  d.created AS created_at,
  d.created AT TIME ZONE $report_timezone AS booked_at,
  CAST(d.created AT TIME ZONE $report_timezone AS DATE) AS booked_day,
  CAST(date_trunc('month', d.created AT TIME ZONE $report_timezone) AS DATE) AS booked_month,
  -- Paying changes a row too, so the last change may lie after the approval, but approval never after payment.
  CASE
    WHEN d.paid_at IS NOT NULL AND d.paid_at < d.became_due_at THEN d.paid_at
    WHEN d.seen_unapproved_at IS NOT NULL AND d.seen_unapproved_at < d.became_due_at THEN d.created
    ELSE d.became_due_at
  END AS approved_at,
  CASE
    WHEN d.became_due_at IS NULL THEN NULL
    WHEN d.seen_approved_at IS NOT NULL THEN 'history'
    WHEN d.updated IS NOT NULL THEN 'updated'
    ELSE 'created'
  END AS approved_by,
  CASE WHEN d.state NOT IN ('due', 'paid') THEN d.seen_unapproved_at END AS unapproved_at,
  d.paid_at,
  CASE WHEN d.state = 'paid' THEN d.paid_by END AS payment_id,
  o.original_id,
  d.offer__id AS offer_id,
  d.offer__name AS offer_name,
  d.offer__type AS offer_type,
  d.offer__amount AS offer_amount,
  nullif(trim(d.coupon_code), '') AS coupon_code,
  d.customer__email AS customer_email,
  coalesce(d.customer__browser_ip, d.click__ip) AS customer_ip,
  d.click__created AS clicked_at,
  coalesce(d.is_recurring, FALSE) AS is_recurring
FROM dated AS d
LEFT JOIN originals AS o ON o.id = d.id AND o.place = 1
