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
  order_key: The order id or, without one, the conversion id.
  purchase_key: >
    Identifies one purchase. Orders with the same order id are one, however many affiliates are credited with it;
    each renewal is another. Renewals of one order within 24 hours are one. An order id that more than 200 orders share
    stands for none.
  conversion_kind: >
    cancellation (type CANCELLATION_…, or a negative total, or a negative commission on an order id under another type
    than manual credit), order (total above 0; also total 0 with commission under a tracking type, which is a free order
    on a flat rate; also a manual credit with an order id and a total above 0), manual credit (its type, or no type and
    order id and commission without a total), or empty (none of these).
  is_credited_by_hand: Whether it is an order that a tracked sale was credited with by hand (MANUAL_CREDIT_BY_CLIENT).
  counts_once: >
    Whether the programme's sales count this row. Of the orders of one purchase and currency one counts (approved before
    pending before others, one that stands before one whose total was cancelled, then the largest total, then the
    first), with its own cancellations.
  counts_for_affiliate: The same among the rows of one affiliate; sales by affiliate count these.
  commission_state: >
    pending, due (approved and not paid), paid (approved and paid), denied, unqualified, or unknown for an
    undocumented status. On an account without payment data, approved rows are due here, and no figure uses that.
  is_earned: Whether its commission counts as earned, which is pending, due or paid.
  is_approved: Whether its commission is approved, due or paid.
  is_decided: Whether it was approved or denied; the base of approval rates.
  is_sale: >
    Whether it counts in gross sales (together with counts_once or counts_for_affiliate), a pending or approved order.
  is_net: Whether it counts in net sales (together with the same columns), an approved order or cancellation.
  is_from_click: >
    Whether a click led to it or, of a cancellation, to its order. Coupons and renewals need none. Where Refersion names
    no type it counts as from a click.
  status: Status as Refersion has it.
  type: How the conversion was attributed.
  total: Order amount on which the commission is calculated.
  commission: Commission.
  currency: Currency of both amounts.
  created_at: When the conversion was made, UTC.
  booked_at: The same in the reporting time zone.
  booked_day: Day in the reporting time zone.
  booked_month: First day of the month in the reporting time zone.
  approved_at: >
    When commission became due, UTC, the last time where it was approved more than once; NULL for rows that never were,
    and where it is not known to two days. See approved_at_source and the two bounds.
  approved_at_source: >
    How approval is known: history (readings before and after it), updated (approved when first seen, by its last change
    at the latest), payment (first seen when it was paid, so approved by then) or reading (by the first one); else NULL.
  approved_earliest: It was approved at this moment or later, UTC.
  approved_latest: It was approved by this moment, UTC.
  aged_since: >
    Start of the age of commission that is due, UTC: its approval, else its last change, else its creation.
    NULL where it was paid and the approval is not known.
  unapproved_at: When an approved row stopped being approved, UTC; otherwise NULL.
  paid_at: >
    When it was paid, UTC; NULL while unpaid, and where neither its payment nor readings two days apart say it. A row
    that was denied after it was paid keeps it.
  paid_earliest: It was paid at this moment or later, UTC; NULL while unpaid.
  paid_latest: It was paid by this moment, UTC; NULL while unpaid.
  is_paid: Whether it was ever paid, regardless of later changes.
  payment_id: Payment that paid it, regardless of later changes.
  original_id: >
    Of a cancellation, the conversion of the same order and currency that it takes back; of a negative manual credit
    with an order id, the one that it lowers. Empty where more than 200 orders share the id.
  cancellations: Number of cancellations of this conversion that are pending or approved.
  net_total: Total and the totals of those cancellations.
  net_commission: Commission and the commissions of those cancellations.
  is_cancelled: >
    Whether cancellations leave no commission of it (net_commission is 0 or less). One that is cancelled in part is not.
  commission_at_stake: What denying it would save, net_commission, or 0 where it is cancelled.
  offer_id: Offer at the time.
  offer_name: Name of that offer.
  offer_type: PERCENT_OF_SALE or FLAT_RATE.
  offer_amount: The offer's nominal rate in percent, or its flat amount.
  coupon_code: Coupon that attributed it.
  customer_email: Customer's e-mail, hashed unless REFERSION_PII says otherwise.
  customer_ip: Customer's IP address, also hashed; the click's where the conversion has none.
  clicked_at: When the referring click was made, UTC.
  is_recurring: Whether it is a renewal.
  changed_at: When Refersion changed the row for the last time, UTC; NULL where it does not say.
  read_at: When the row was last read, UTC.
renamed:
  conversion_kind: kind
  commission_state: state
  approved_at_source: approved_by
needs:
  affiliate_id: &who conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
  order_key: &order conversions.order_id
  purchase_key: &purchase [conversions.order_id, conversions.is_recurring]
  counts_once: *purchase
  counts_for_affiliate: [conversions.order_id, conversions.is_recurring, *who]
  is_credited_by_hand: conversions.type
  cancellations: *order
  net_total: *order
  net_commission: *order
  is_cancelled: *order
  commission_at_stake: *order
  conversion_kind: []
  # Of an approved row it does not matter whether it is paid.
  is_earned: []
  is_approved: []
  is_decided: []
  is_sale: []
  is_net: []
  is_from_click: [conversions.type, conversions.is_recurring]
  commission_state: &paid >-
    conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  approved_at: *paid
  approved_at_source: *paid
  approved_earliest: *paid
  approved_latest: *paid
  aged_since: *paid
  unapproved_at: *paid
  is_paid: *paid
  paid_earliest: *paid
  paid_latest: *paid
  changed_at: []
  paid_at:
    - conversions.payment__created | payments.created
    - conversions.payment__created | conversions.payment_id | conversions.payment__id
  payment_id: conversions.payment_id | conversions.payment__id
  original_id: *order
  customer_ip: conversions.customer__browser_ip | conversions.click__ip
states:
  is_decided: [conversions.DENIED]
kept:
  [affiliate_id, order_key, purchase_key, counts_once, counts_for_affiliate, is_cancelled, commission_state, is_decided]
*/
WITH emails AS (
  SELECT lower(email) AS email, min(affiliate_id) AS affiliate_id
  FROM refersion_summaries.affiliates
  WHERE email IS NOT NULL
  GROUP BY lower(email)
),

readings AS (
  SELECT
    id,
    seen_at,
    lag(seen_at) OVER (PARTITION BY id ORDER BY seen_at) AS entry_before,
    greatest(lag(seen_at) OVER (PARTITION BY id ORDER BY seen_at), seen_before) AS seen_before,
    updated,
    coalesce(status, '') = 'APPROVED' AS is_approved,
    lag(coalesce(status, '') = 'APPROVED') OVER (PARTITION BY id ORDER BY seen_at) AS was_approved,
    coalesce(payment_status, '') = 'PAID' AS is_paid,
    lag(coalesce(payment_status, '') = 'PAID') OVER (PARTITION BY id ORDER BY seen_at) AS was_paid
  FROM refersion_data.conversion_history
),

steps AS (
  SELECT
    id,
    seen_at,
    seen_before,
    -- A change between two readings was made when Refersion says, if that is between the two as well.
    CASE WHEN updated <= seen_at AND (entry_before IS NULL OR updated > seen_before) THEN updated END AS changed_at,
    is_approved AND entry_before IS NULL AS approved_when_first_seen,
    is_approved AND NOT was_approved AS approved_now,
    was_approved AND NOT is_approved AS unapproved_now,
    is_paid AND NOT was_paid AS paid_now
  FROM readings
  WHERE is_approved OR was_approved
),

approvals AS (
  SELECT
    id,
    max(CASE WHEN approved_now THEN coalesce(changed_at, seen_at) END) AS seen_approved_at,
    max(CASE WHEN approved_now THEN seen_before END) AS seen_approved_after,
    max(CASE WHEN approved_when_first_seen THEN seen_at END) AS first_seen_approved_at,
    max(CASE WHEN approved_when_first_seen THEN changed_at END) AS approved_before_seen_at,
    max(CASE WHEN unapproved_now THEN coalesce(changed_at, seen_at) END) AS unapproved_at,
    max(CASE WHEN paid_now THEN coalesce(changed_at, seen_at) END) AS seen_paid_at,
    max(CASE WHEN paid_now THEN seen_before END) AS seen_paid_after
  FROM steps
  GROUP BY id
),

typed AS (
  SELECT
    c.*,
    coalesce(c.type, '') AS type_or_none,
    coalesce(c.type, '') = 'MANUAL_CREDIT_BY_CLIENT' AS is_by_hand,
    coalesce(c.payment_id, c.payment__id) AS paid_by,
    a.seen_approved_at,
    a.seen_approved_after,
    -- Approved before it was first seen: on its last change then, or, where that was not kept, its last change since.
    coalesce(
      a.approved_before_seen_at, CASE WHEN c.updated <= coalesce(a.first_seen_approved_at, c.read_at) THEN c.updated END
    ) AS last_changed_at,
    coalesce(a.first_seen_approved_at, c.read_at) AS first_seen_at,
    a.unapproved_at AS seen_unapproved_at,
    a.seen_paid_at,
    a.seen_paid_after,
    coalesce(c.payment__created, p.created) AS payment_dated_at,
    coalesce(
      c.affiliate_id, c.affiliate__id, e.affiliate_id, nullif(lower(trim(c.affiliate__email)), ''), '(unknown)'
    ) AS whose
  FROM refersion_data.conversions AS c
  LEFT JOIN refersion_data.payments AS p ON p.id = coalesce(c.payment_id, c.payment__id)
  LEFT JOIN approvals AS a ON a.id = c.id
  LEFT JOIN emails AS e ON e.email = lower(trim(c.affiliate__email))
  WHERE NOT coalesce(c.is_test_conversion, FALSE) AND c.vanished_at IS NULL
),

decided AS (
  SELECT
    t.*,
    CASE
      WHEN left(type_or_none, 13) = 'CANCELLATION_' OR total < 0 THEN 'cancellation'
      WHEN commission_total < 0 AND order_id IS NOT NULL AND NOT is_by_hand THEN 'cancellation'
      WHEN total > 0 AND (NOT is_by_hand OR order_id IS NOT NULL) THEN 'order'
      WHEN is_by_hand THEN 'manual credit'
      WHEN commission_total = 0 THEN 'empty'
      -- Without a total: tracked, as the type or, on accounts that show no type, the order id says.
      WHEN type_or_none <> '' OR order_id IS NOT NULL THEN 'order'
      ELSE 'manual credit'
    END AS conversion_kind,
    CASE
      WHEN status = 'PENDING' THEN 'pending'
      WHEN status = 'APPROVED'
        AND (coalesce(payment_status, '') = 'PAID' OR paid_by IS NOT NULL OR payment__created IS NOT NULL) THEN 'paid'
      WHEN status = 'APPROVED' THEN 'due'
      WHEN status = 'DENIED' THEN 'denied'
      WHEN status = 'UNQUALIFIED' THEN 'unqualified'
      ELSE 'unknown'
    END AS commission_state
  FROM typed AS t
),

grouped AS (
  SELECT
    d.*,
    commission_state IN ('pending', 'due', 'paid') AS is_earned,
    commission_state IN ('due', 'paid') AS is_approved
  FROM decided AS d
),

paid_rows AS (
  SELECT
    g.*,
    commission_state = 'paid'
      OR (commission_state <> 'due' AND (payment_dated_at IS NOT NULL OR coalesce(payment_status, '') = 'PAID'))
      AS is_paid
  FROM grouped AS g
),

dated AS (
  SELECT
    p.*,
    CASE WHEN is_paid THEN coalesce(payment_dated_at, seen_paid_after, created) END AS paid_earliest,
    CASE WHEN is_paid THEN coalesce(payment_dated_at, seen_paid_at, last_changed_at, first_seen_at) END AS paid_latest,
    is_approved OR seen_unapproved_at IS NOT NULL AS was_due
  FROM paid_rows AS p
),

bounded AS (
  SELECT
    d.*,
    CASE WHEN was_due THEN coalesce(seen_approved_after, created) END AS after_at,
    -- Paying changes a row too: what was changed when it was paid, or later, is known to be approved by the payment.
    CASE WHEN was_due THEN least(coalesce(seen_approved_at, last_changed_at, first_seen_at), paid_latest) END AS by_at,
    CASE
      WHEN NOT was_due THEN NULL
      WHEN paid_latest <= coalesce(seen_approved_at, last_changed_at, first_seen_at) THEN 'payment'
      WHEN seen_approved_at IS NOT NULL THEN 'history'
      WHEN last_changed_at IS NOT NULL THEN 'updated'
      ELSE 'reading'
    END AS known_by
  FROM dated AS d
),

cancellations AS (
  SELECT id, order_id, currency, whose, total, created, conversion_kind, is_earned, commission_total
  FROM grouped
  WHERE order_id IS NOT NULL
    AND (conversion_kind = 'cancellation' OR (conversion_kind = 'manual credit' AND commission_total < 0))
),

cancelled_orders AS (
  SELECT o.id, o.order_id, o.currency, o.whose, o.total, o.created, o.commission_state
  FROM grouped AS o
  WHERE o.conversion_kind = 'order' AND o.order_id IN (SELECT c.order_id FROM cancellations AS c)
),

-- An order id that hundreds share is none: matching each of them with each cancellation would never end.
matchable AS (
  SELECT order_id, currency
  FROM cancelled_orders
  GROUP BY order_id, currency
  HAVING count(*) <= 200
),

originals AS (
  SELECT
    c.id,
    c.conversion_kind,
    c.is_earned,
    c.total,
    c.commission_total,
    o.id AS original_id,
    o.whose = c.whose AS is_of_same_affiliate,
    row_number() OVER (
      PARTITION BY c.id
      ORDER BY
        CASE WHEN o.whose = c.whose THEN 0 ELSE 1 END,
        CASE WHEN o.commission_state IN ('denied', 'unqualified') THEN 1 ELSE 0 END,
        CASE WHEN o.total = -c.total THEN 0 ELSE 1 END,
        CASE WHEN o.created <= c.created THEN 0 ELSE 1 END,
        o.created DESC,
        o.id
    ) AS place
  FROM cancellations AS c
  JOIN matchable AS m ON m.order_id = c.order_id AND m.currency = c.currency
  JOIN cancelled_orders AS o ON o.order_id = c.order_id AND o.currency = c.currency
),

taken_back AS (
  SELECT original_id, count(*) AS cancellations, sum(total) AS total, sum(commission_total) AS commission
  FROM originals
  WHERE place = 1 AND conversion_kind = 'cancellation' AND is_earned
  GROUP BY original_id
),

sold AS (
  SELECT
    d.id,
    d.order_id,
    d.currency,
    d.whose,
    d.total,
    d.created,
    coalesce(d.is_recurring, FALSE) AS is_renewal,
    CASE WHEN d.is_approved THEN 0 WHEN d.commission_state = 'pending' THEN 1 ELSE 2 END AS state_place,
    CASE WHEN d.total + t.total <= 0 THEN 1 ELSE 0 END AS cancelled_place
  FROM grouped AS d
  LEFT JOIN taken_back AS t ON t.original_id = d.id
  WHERE d.conversion_kind = 'order' AND d.order_id IS NOT NULL
),

repeated AS (
  SELECT order_id, currency, count(*) AS conversions
  FROM sold
  GROUP BY order_id, currency
  HAVING count(*) > 1
),

spaced AS (
  SELECT
    s.*,
    CASE WHEN r.conversions > 200 THEN concat('conversion ', s.id) ELSE s.order_id END AS purchase,
    CASE
      WHEN s.is_renewal AND NOT coalesce(
        s.created <= lag(s.created) OVER (
          PARTITION BY s.order_id, s.currency, s.is_renewal ORDER BY s.created, s.id
        ) + INTERVAL '24' HOUR,
        FALSE
      ) THEN 1
      ELSE 0
    END AS begins
  FROM sold AS s
  JOIN repeated AS r ON r.order_id = s.order_id AND r.currency = s.currency
),

numbered AS (
  SELECT
    s.*,
    sum(begins) OVER (
      PARTITION BY order_id, currency, is_renewal
      ORDER BY created, id
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS renewal
  FROM spaced AS s
),

purchases AS (
  SELECT
    id,
    CASE
      WHEN is_renewal THEN concat(purchase, ' renewal ', CAST(CAST(renewal AS BIGINT) AS TEXT))
      ELSE purchase
    END AS purchase_key,
    row_number() OVER (
      PARTITION BY purchase, currency, is_renewal, renewal ORDER BY state_place, cancelled_place, total DESC, created, id
    ) AS place,
    row_number() OVER (
      PARTITION BY purchase, currency, is_renewal, renewal, whose
      ORDER BY state_place, cancelled_place, total DESC, created, id
    ) AS place_of_affiliate
  FROM numbered
)

SELECT
  d.id AS conversion_id,
  d.whose AS affiliate_id,
  nullif(trim(d.affiliate__name), '') AS affiliate_name,
  nullif(trim(d.affiliate__email), '') AS affiliate_email,
  d.order_id,
  coalesce(d.order_id, d.id) AS order_key,
  coalesce(
    p.purchase_key,
    CASE
      WHEN d.order_id IS NULL THEN concat('conversion ', d.id)
      WHEN d.is_recurring THEN concat(d.order_id, ' renewal 1')
      ELSE d.order_id
    END
  ) AS purchase_key,
  d.conversion_kind,
  d.conversion_kind = 'order' AND d.is_by_hand AS is_credited_by_hand,
  coalesce(p.place, po.place, 1) = 1 AS counts_once,
  coalesce(p.place_of_affiliate, CASE WHEN o.is_of_same_affiliate THEN po.place_of_affiliate END, 1) = 1
    AS counts_for_affiliate,
  d.commission_state,
  d.is_earned,
  d.is_approved,
  d.is_approved OR d.commission_state = 'denied' AS is_decided,
  d.conversion_kind = 'order' AND d.is_earned AS is_sale,
  d.conversion_kind IN ('order', 'cancellation') AND d.is_approved AS is_net,
  coalesce(d.type, 'AFFILIATE_SITE_CONVERSION')
    IN ('AFFILIATE_SITE_CONVERSION', 'CANCELLATION_AFFILIATE_SITE_CONVERSION')
    AND NOT coalesce(d.is_recurring, FALSE) AS is_from_click,
  d.status,
  d.type,
  d.total,
  d.commission_total AS commission,
  d.currency,
  d.created AS created_at,
  d.created AT TIME ZONE $report_timezone AS booked_at,
  CAST(d.created AT TIME ZONE $report_timezone AS DATE) AS booked_day,
  CAST(date_trunc('month', d.created AT TIME ZONE $report_timezone) AS DATE) AS booked_month,
  CASE
    WHEN d.after_at >= d.by_at OR (d.known_by <> 'payment' AND d.by_at <= d.after_at + INTERVAL '48' HOUR) THEN d.by_at
  END AS approved_at,
  d.known_by AS approved_at_source,
  least(d.after_at, d.by_at) AS approved_earliest,
  d.by_at AS approved_latest,
  CASE
    WHEN d.commission_state = 'due' AND d.known_by = 'reading' THEN d.created
    WHEN d.commission_state = 'due' THEN d.by_at
    WHEN d.after_at >= d.by_at OR (d.known_by <> 'payment' AND d.by_at <= d.after_at + INTERVAL '48' HOUR) THEN d.by_at
  END AS aged_since,
  CASE WHEN NOT d.is_approved THEN d.seen_unapproved_at END AS unapproved_at,
  CASE
    WHEN d.paid_latest <= coalesce(d.payment_dated_at, d.seen_paid_after) + INTERVAL '48' HOUR THEN d.paid_latest
  END AS paid_at,
  d.paid_earliest,
  d.paid_latest,
  d.is_paid,
  d.paid_by AS payment_id,
  o.original_id,
  coalesce(t.cancellations, 0) AS cancellations,
  CAST(d.total + coalesce(t.total, 0) AS DECIMAL(38, 4)) AS net_total,
  CAST(d.commission_total + coalesce(t.commission, 0) AS DECIMAL(38, 4)) AS net_commission,
  t.cancellations IS NOT NULL AND d.commission_total + t.commission <= 0 AS is_cancelled,
  CAST(
    CASE
      WHEN t.cancellations IS NOT NULL AND d.commission_total + t.commission <= 0 THEN 0
      ELSE d.commission_total + coalesce(t.commission, 0)
    END AS DECIMAL(38, 4)
  ) AS commission_at_stake,
  d.offer__id AS offer_id,
  d.offer__name AS offer_name,
  d.offer__type AS offer_type,
  d.offer__amount AS offer_amount,
  nullif(trim(d.coupon_code), '') AS coupon_code,
  -- Empty texts, where these are kept as they are, would make one customer of many.
  nullif(trim(d.customer__email), '') AS customer_email,
  coalesce(nullif(trim(d.customer__browser_ip), ''), nullif(trim(d.click__ip), '')) AS customer_ip,
  d.click__created AS clicked_at,
  coalesce(d.is_recurring, FALSE) AS is_recurring,
  d.updated AS changed_at,
  d.read_at
FROM bounded AS d
LEFT JOIN originals AS o ON o.id = d.id AND o.place = 1
LEFT JOIN taken_back AS t ON t.original_id = d.id
LEFT JOIN purchases AS p ON p.id = d.id
-- One equality, because DuckDB compares every row with every other if a condition concerns o alone.
LEFT JOIN purchases AS po ON po.id = CASE WHEN o.conversion_kind = 'cancellation' THEN o.original_id END
