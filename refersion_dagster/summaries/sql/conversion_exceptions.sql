/*
group: review
description: >
  What a person should review before it is approved or paid: findings with their evidence and the commission at stake.
  None of them is a verdict, and nothing is denied because of them. Only conversions whose commission is pending, due or
  paid are examined; what Refersion denied or found unqualified needs no review.
grain: >
  one row per finding: a conversion and a kind or, where it is about many conversions (bursts, leaked coupons,
  cancellations), an affiliate, a currency and a kind
primary_key: [exception_id]
macros: [whole_number]
owners: [team:data]
questions:
  - Which conversions look suspicious, why, and how much commission is at stake?
  - Which affiliates need a closer review?
columns:
  exception_id: The kind and what it is about.
  kind: >
    self-referral (see summaries/self_referrals), order credited twice (a further
    conversion of an order that has one already, renewals and cancelled ones left out), quick click (less than a minute
    from the click to the order), no commission (an approved order without any), customer burst and ip burst (see
    summaries/order_bursts), leaked coupon (see summaries/coupon_leaks), or cancellations (more than 3 times the
    programme's rate, with 5 cancelled of 20 orders at least).
  affiliate_id: Affiliate who gets the commission.
  affiliate_name: Affiliate's name.
  conversion_id: The conversion or, of many, the first by its id; empty for cancellations.
  order_id: The shop's order, where it is about one.
  coupon_code: The leaked coupon, in capitals.
  traced_by: Of a burst, the customer's e-mail or ip as summaries/conversions has it.
  currency: Currency of the amounts.
  conversions: Conversions of this affiliate and currency that it is about.
  first_at: When the first of them was made, UTC.
  last_at: When the last of them was made, UTC.
  amount_at_stake: >
    Their commission as far as it is pending, due or paid, less what cancellations took back; of an order cancelled in
    part, the part that is left. Of no commission, what the offer's nominal rate would give, NULL if it is not known. A conversion may be in
    several findings, so amounts of different kinds must not be added up.
  amount_unpaid: The part of it that was not paid out yet, and can still be stopped.
  evidence: What was found, with the figures and the threshold.
  suggested_action: What to compare or to ask the affiliate.
renamed:
  suggested_action: look_at
needs:
  conversion_id: []
  affiliate_name: []
  traced_by: []
  amount_at_stake: []
  amount_unpaid: >-
    conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  evidence: [conversions.order_id, conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email]
  exception_id:
    - conversions.customer__email
    - conversions.click__created
    - conversions.coupon_code
    - conversions.order_id
    - conversions.is_recurring
    - affiliates.email_hash
    - affiliates.paypal_email_hash
    - conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
*/
WITH orders AS (
  SELECT
    c.conversion_id,
    c.affiliate_id,
    c.order_id,
    c.total,
    c.net_total,
    c.commission,
    c.currency,
    c.is_approved,
    c.created_at,
    c.booked_day,
    c.clicked_at,
    c.is_recurring,
    c.offer_type,
    c.offer_amount,
    c.is_cancelled,
    c.commission_at_stake AS at_stake,
    CASE WHEN c.commission_state = 'paid' THEN 0 ELSE c.commission_at_stake END AS unpaid
  FROM refersion_summaries.conversions AS c
  WHERE c.is_sale
),

credited AS (
  SELECT order_id, count(*) AS conversions
  FROM orders
  WHERE order_id IS NOT NULL AND NOT is_recurring AND NOT is_cancelled
  GROUP BY order_id
  HAVING count(*) > 1
),

credits AS (
  SELECT
    o.*,
    c.conversions AS credited_times,
    row_number() OVER in_order AS place,
    first_value(o.conversion_id) OVER in_order AS first_id,
    first_value(o.affiliate_id) OVER in_order AS first_affiliate,
    first_value(o.booked_day) OVER in_order AS first_day
  FROM orders AS o
  JOIN credited AS c ON c.order_id = o.order_id
  WHERE NOT o.is_recurring AND NOT o.is_cancelled
  WINDOW in_order AS (PARTITION BY o.order_id ORDER BY o.created_at, o.conversion_id)
),

quick_clicks AS (
  SELECT o.*, CAST(extract(epoch FROM created_at) AS BIGINT) - CAST(extract(epoch FROM clicked_at) AS BIGINT) AS seconds
  FROM orders AS o
  WHERE clicked_at > created_at - INTERVAL '60' SECOND AND NOT is_cancelled
),

unrewarded AS (
  SELECT
    o.*,
    CAST(
      CASE
        WHEN offer_type = 'PERCENT_OF_SALE' THEN CAST(net_total * offer_amount / 100 AS DECIMAL(38, 8))
        WHEN offer_type = 'FLAT_RATE' THEN offer_amount
      END AS DECIMAL(38, 4)
    ) AS nominal,
    CASE
      WHEN offer_type = 'PERCENT_OF_SALE'
        THEN concat('; the offer''s rate is ', CAST(CAST(offer_amount AS DECIMAL(38, 2)) AS TEXT), ' %')
      WHEN offer_type = 'FLAT_RATE'
        THEN concat('; the offer gives ', CAST(CAST(offer_amount AS DECIMAL(38, 2)) AS TEXT), ' an order')
      ELSE ''
    END AS terms
  FROM orders AS o
  WHERE is_approved AND total > 0 AND commission = 0 AND NOT (is_cancelled AND net_total <= 0)
),

single_findings AS (
  SELECT
    'self-referral' AS kind,
    o.conversion_id,
    o.affiliate_id,
    o.order_id,
    o.currency,
    o.created_at,
    o.at_stake,
    o.unpaid,
    concat('The customer''s e-mail is the affiliate''s own ', s.same_as, '.') AS evidence,
    'Your terms say whether affiliates may buy through their own link.' AS suggested_action
  FROM orders AS o
  JOIN refersion_summaries.self_referrals AS s ON s.conversion_id = o.conversion_id
  WHERE NOT o.is_cancelled
  UNION ALL
  SELECT
    'order credited twice',
    conversion_id,
    affiliate_id,
    order_id,
    currency,
    created_at,
    at_stake,
    unpaid,
    concat(
      'Order ', order_id, ' has ', whole_number(credited_times), ' conversions that count; the first is ', first_id, ' of ',
      CASE WHEN first_affiliate = affiliate_id THEN 'the same affiliate' ELSE concat('affiliate ', first_affiliate) END,
      ' on ', CAST(CAST(first_day AS DATE) AS TEXT), '.'
    ),
    'Decide which of them earned the order, and deny the others.'
  FROM credits
  WHERE place > 1
  UNION ALL
  SELECT
    'quick click',
    conversion_id,
    affiliate_id,
    order_id,
    currency,
    created_at,
    at_stake,
    unpaid,
    CASE
      WHEN seconds < 0 THEN concat('The click came ', whole_number(-seconds), ' seconds after the order was made.')
      ELSE concat('The order was made ', whole_number(seconds), ' seconds after the click; less than 60 are quick.')
    END,
    'Look for a toolbar or coupon extension that sets its click at the checkout: the click''s referer tells.'
  FROM quick_clicks
  UNION ALL
  SELECT
    'no commission',
    conversion_id,
    affiliate_id,
    order_id,
    currency,
    created_at,
    nominal,
    nominal,
    concat(
      'Approved with a total of ', CAST(CAST(total AS DECIMAL(38, 2)) AS TEXT), ' ', currency, ' and no commission',
      terms, '.'
    ),
    'Right for products without commission. Otherwise check the offer and credit what is missing.'
  FROM unrewarded
),

recent AS (
  SELECT o.*
  FROM orders AS o
  CROSS JOIN refersion_summaries.data_as_of AS d
  WHERE o.created_at > d.as_of - INTERVAL '24' HOUR * 365
),

programme AS (
  SELECT count(*) AS orders, count(CASE WHEN is_cancelled THEN 1 END) AS cancelled
  FROM recent
),

cancelling AS (
  SELECT r.affiliate_id, r.orders, r.cancelled, p.orders AS all_orders, p.cancelled AS all_cancelled
  FROM (
    SELECT affiliate_id, count(*) AS orders, count(CASE WHEN is_cancelled THEN 1 END) AS cancelled
    FROM recent
    GROUP BY affiliate_id
  ) AS r
  CROSS JOIN programme AS p
  WHERE r.orders >= 20 AND r.cancelled >= 5 AND r.cancelled * p.orders > 3 * p.cancelled * r.orders
),

cancellation_findings AS (
  SELECT
    c.affiliate_id,
    r.currency,
    c.orders,
    c.cancelled,
    c.all_orders,
    c.all_cancelled,
    count(*) AS conversions,
    min(r.created_at) AS first_at,
    max(r.created_at) AS last_at,
    sum(r.at_stake) AS at_stake,
    sum(r.unpaid) AS unpaid
  FROM cancelling AS c
  JOIN recent AS r ON r.affiliate_id = c.affiliate_id
  GROUP BY c.affiliate_id, r.currency, c.orders, c.cancelled, c.all_orders, c.all_cancelled
),

names AS (
  SELECT affiliate_id, max(affiliate_name) AS name
  FROM refersion_summaries.conversions
  GROUP BY affiliate_id
),

findings AS (
  SELECT
    concat(kind, ':', conversion_id) AS exception_id,
    kind,
    affiliate_id,
    conversion_id,
    order_id,
    CAST(NULL AS TEXT) AS coupon_code,
    CAST(NULL AS TEXT) AS traced_by,
    currency,
    1 AS conversions,
    created_at AS first_at,
    created_at AS last_at,
    at_stake,
    unpaid,
    evidence,
    suggested_action
  FROM single_findings
  UNION ALL
  SELECT
    concat(source, ' burst:', first_conversion_id),
    concat(source, ' burst'),
    affiliate_id,
    first_conversion_id,
    NULL,
    NULL,
    traced_by,
    currency,
    conversions,
    first_at,
    last_at,
    amount_at_stake,
    amount_unpaid,
    concat(
      whole_number(orders), ' orders from one ', source, ' from ',
      CAST(date_trunc('second', burst_from AT TIME ZONE $report_timezone) AS TEXT), ' to ',
      CAST(date_trunc('second', burst_to AT TIME ZONE $report_timezone) AS TEXT), ', of which ', whole_number(conversions),
      ' credited to this affiliate in ', currency, '; 5 within 24 hours are a burst.'
    ),
    CASE
      WHEN source = 'ip' THEN 'An office or a mobile network may share one ip: compare the customers'' addresses.'
      ELSE 'Ask the shop whether these orders were paid for and shipped.'
    END
  FROM refersion_summaries.order_bursts
  UNION ALL
  SELECT
    concat('leaked coupon:', first_conversion_id),
    'leaked coupon',
    affiliate_id,
    first_conversion_id,
    NULL,
    coupon_code,
    NULL,
    currency,
    conversions,
    first_at,
    last_at,
    amount_at_stake,
    amount_unpaid,
    concat(
      'Coupon ', coupon_code, ' brought ', whole_number(orders), ' orders without a click in the week from ',
      CAST(CAST(week AS DATE) AS TEXT),
      ', against ', CAST(CAST(baseline AS DECIMAL(38, 1)) AS TEXT), ' a week in the ', whole_number(weeks_before),
      ' weeks before; 10 orders and 5 times as many are far above.'
    ),
    'Search the web for the coupon: it may be on coupon sites that the affiliate has nothing to do with.'
  FROM refersion_summaries.coupon_leaks
  UNION ALL
  SELECT
    concat('cancellations:', c.affiliate_id, ':', c.currency),
    'cancellations',
    c.affiliate_id,
    NULL,
    NULL,
    NULL,
    NULL,
    c.currency,
    c.conversions,
    c.first_at,
    c.last_at,
    c.at_stake,
    c.unpaid,
    concat(
      whole_number(c.cancelled), ' of ', whole_number(c.orders), ' orders of the last 365 days were cancelled, ',
      CAST(CAST(CAST(c.cancelled * 100 / c.orders AS DECIMAL(38, 12)) AS DECIMAL(38, 1)) AS TEXT), ' %, against ',
      CAST(CAST(CAST(c.all_cancelled * 100 / c.all_orders AS DECIMAL(38, 12)) AS DECIMAL(38, 1)) AS TEXT),
      ' % in the whole programme; more than 3 times as many are high.'
    ),
    'Look at who cancels and when: orders made for the commission are cancelled soon after it is paid.'
  FROM cancellation_findings AS c
)

SELECT
  f.exception_id,
  f.kind,
  f.affiliate_id,
  coalesce(a.name, n.name) AS affiliate_name,
  f.conversion_id,
  f.order_id,
  f.coupon_code,
  f.traced_by,
  f.currency,
  CAST(f.conversions AS BIGINT) AS conversions,
  f.first_at,
  f.last_at,
  CAST(f.at_stake AS DECIMAL(38, 4)) AS amount_at_stake,
  CAST(f.unpaid AS DECIMAL(38, 4)) AS amount_unpaid,
  f.evidence,
  f.suggested_action
FROM findings AS f
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = f.affiliate_id
LEFT JOIN names AS n ON n.affiliate_id = f.affiliate_id
ORDER BY CASE WHEN f.unpaid > 0 THEN 0 ELSE 1 END, f.last_at DESC, f.kind, f.exception_id
