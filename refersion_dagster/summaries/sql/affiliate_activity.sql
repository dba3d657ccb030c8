/*
group: sales
description: >
  Classifies each affiliate by sales activity, across all currencies and therefore without amounts; those are in
  affiliate_trends. Days are those of the reporting time zone and end with the day of the last load. The
  rates over all ACTIVE affiliates are in affiliate_activity_rates.
grain: one row per affiliate
primary_key: [affiliate_id]
owners: [team:data]
questions:
  - Who sells, who stopped selling, and who never did?
  - Who should be contacted, to win them back or to help them start?
columns:
  affiliate_id: Affiliate id.
  affiliate_name: Name, as conversions have it where the affiliate is not in the list.
  affiliate_email: E-mail address, from the same source as the name.
  status: PENDING, ACTIVE, DENIED or DISABLED; NULL for an affiliate that only conversions name.
  activity: >
    never sold (no order pending or approved), lapsed (none for REFERSION_LAPSED_DAYS), rising or falling (sales of the
    last REFERSION_RISING_DAYS whole days compared with as many before, in every currency that changed), or selling (the
    same sales, or up in one currency and down in another).
  active_30: Whether the affiliate is ACTIVE and has an approved order in the last 30 days.
  active_90: Whether the affiliate is ACTIVE and has an approved order in the last 90 days.
  lapsed: Whether there were orders, but none for REFERSION_LAPSED_DAYS.
  rising: Whether sales rise in a currency and fall in none.
  falling: Whether sales fall in a currency and rise in none.
  rising_in: Currencies in which sales rise.
  falling_in: Currencies in which sales fall.
  never_sold: Whether there was never a pending or approved order.
  orders: Purchases, pending or approved, in all currencies; each renewal is one.
  orders_30: Those of the last 30 days.
  first_order_day: Day of the first of them.
  last_order_day: Day of the last of them.
  days_since_last_order: Days from last_order_day to the day of the last load.
needs:
  "*": &who conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
  affiliate_id: *who
  affiliate_name: []
  affiliate_email: []
  status: affiliates.status | affiliate_get.status | affiliate_list.status
  activity: &purchases [*who, conversions.order_id, conversions.is_recurring]
  never_sold: *who
  orders: *purchases
  orders_30: *purchases
*/
WITH orders AS (
  SELECT
    affiliate_id,
    count(DISTINCT purchase_key) AS orders,
    count(DISTINCT CASE WHEN booked_day > d.today - 30 THEN purchase_key END) AS orders_30,
    min(booked_day) AS first_order_day,
    max(booked_day) AS last_order_day,
    max(CASE WHEN is_approved THEN booked_day END) AS last_approved_day
  FROM refersion_summaries.conversions
  LEFT JOIN refersion_summaries.data_as_of AS d ON TRUE
  WHERE is_sale
  GROUP BY affiliate_id
),

trends AS (
  SELECT
    affiliate_id,
    string_agg(CASE WHEN trend = 'rising' THEN currency END, ', ' ORDER BY currency) AS rising_in,
    string_agg(CASE WHEN trend = 'falling' THEN currency END, ', ' ORDER BY currency) AS falling_in
  FROM refersion_summaries.affiliate_trends
  GROUP BY affiliate_id
),

named AS (
  SELECT affiliate_id, max(affiliate_name) AS name, max(affiliate_email) AS email
  FROM refersion_summaries.conversions
  WHERE affiliate_id <> '(unknown)'
  GROUP BY affiliate_id
),

ids AS (
  SELECT affiliate_id FROM refersion_summaries.affiliates
  UNION
  SELECT affiliate_id FROM named
),

judged AS (
  SELECT
    i.affiliate_id,
    coalesce(a.name, n.name) AS affiliate_name,
    coalesce(a.email, n.email) AS affiliate_email,
    a.status,
    coalesce(a.status = 'ACTIVE' AND o.last_approved_day > d.today - 30, FALSE) AS active_30,
    coalesce(a.status = 'ACTIVE' AND o.last_approved_day > d.today - 90, FALSE) AS active_90,
    coalesce(o.last_order_day <= d.today - $lapsed_days, FALSE) AS lapsed,
    t.rising_in IS NOT NULL AND t.falling_in IS NULL AS rising,
    t.falling_in IS NOT NULL AND t.rising_in IS NULL AS falling,
    t.rising_in,
    t.falling_in,
    o.orders IS NULL AS never_sold,
    coalesce(o.orders, 0) AS orders,
    coalesce(o.orders_30, 0) AS orders_30,
    o.first_order_day,
    o.last_order_day,
    date_diff('day', o.last_order_day, d.today) AS days_since_last_order
  FROM ids AS i
  LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = i.affiliate_id
  LEFT JOIN named AS n ON n.affiliate_id = i.affiliate_id
  LEFT JOIN orders AS o ON o.affiliate_id = i.affiliate_id
  LEFT JOIN trends AS t ON t.affiliate_id = i.affiliate_id
  LEFT JOIN refersion_summaries.data_as_of AS d ON TRUE
)

SELECT
  affiliate_id,
  affiliate_name,
  affiliate_email,
  status,
  CASE
    WHEN never_sold THEN 'never sold'
    WHEN lapsed THEN 'lapsed'
    WHEN rising THEN 'rising'
    WHEN falling THEN 'falling'
    ELSE 'selling'
  END AS activity,
  active_30,
  active_90,
  lapsed,
  rising,
  falling,
  rising_in,
  falling_in,
  never_sold,
  orders,
  orders_30,
  first_order_day,
  last_order_day,
  days_since_last_order
FROM judged
ORDER BY orders_30 DESC, orders DESC, affiliate_id
