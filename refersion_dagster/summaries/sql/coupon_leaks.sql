/*
group: review
description: >
  Coupons that were used without a click far more often in a week than in the 12 weeks before: which happens when a
  coupon that an affiliate gave to their own followers appears on coupon sites. The threshold is 5 times as often and
  at least 10 orders; a coupon needs to be 4 weeks old to have a baseline. Renewals are left out; what Refersion
  denied or found unqualified needs no review.
grain: one row per coupon, affiliate, week and currency
primary_key: [coupon_code, affiliate_id, week, currency]
owners: [team:data]
questions:
  - Which coupons leaked, when, and what did it cost?
columns:
  coupon_code: Coupon, in capitals.
  affiliate_id: Affiliate whose coupon it is.
  week: Monday of the week, in the reporting time zone.
  currency: Currency of the amounts.
  orders: Orders without a click that the coupon brought in the week, in all currencies.
  orders_before: Such orders of the 12 weeks before, or of as many as the coupon is old.
  weeks_before: How many weeks those are.
  baseline: Average of such orders per week before, orders_before divided by weeks_before.
  first_conversion_id: First of the conversions of this currency, by its id.
  conversions: Conversions of this currency.
  first_at: When the first of them was made, UTC.
  last_at: When the last of them was made, UTC.
  amount_at_stake: Their commission as far as it is pending, due or paid, less what cancellations took back.
  amount_unpaid: The part of it that was not paid out yet.
needs:
  coupon_code: [conversions.coupon_code, conversions.is_recurring, conversions.click__created]
*/
WITH uses AS (
  SELECT
    conversion_id,
    upper(coupon_code) AS coupon_code,
    affiliate_id,
    CAST(date_trunc('week', CAST(booked_day AS TIMESTAMP)) AS DATE) AS week,
    order_key,
    currency,
    commission_at_stake AS at_stake,
    commission_state,
    created_at
  FROM refersion_summaries.conversions
  WHERE is_sale AND NOT is_recurring
    AND coupon_code IS NOT NULL AND clicked_at IS NULL
),

weeks AS (
  SELECT coupon_code, affiliate_id, week, count(DISTINCT order_key) AS orders
  FROM uses
  GROUP BY coupon_code, affiliate_id, week
),

aged AS (
  SELECT w.*, date_diff('day', min(week) OVER (PARTITION BY coupon_code, affiliate_id), week) AS days_old
  FROM weeks AS w
),

lives AS (
  SELECT a.coupon_code, a.affiliate_id, a.week, a.orders, a.days_old, coalesce(sum(b.orders), 0) AS orders_before
  FROM aged AS a
  LEFT JOIN aged AS b
    ON b.coupon_code = a.coupon_code AND b.affiliate_id = a.affiliate_id
    AND b.days_old BETWEEN a.days_old - 84 AND a.days_old - 7
  GROUP BY a.coupon_code, a.affiliate_id, a.week, a.orders, a.days_old
),

compared AS (
  SELECT l.*, CASE WHEN days_old < 84 THEN days_old ELSE 84 END AS days_before
  FROM lives AS l
),

leaks AS (
  SELECT *
  FROM compared
  WHERE days_before >= 28 AND orders >= 10 AND orders * days_before >= 5 * 7 * orders_before
)

SELECT
  k.coupon_code,
  k.affiliate_id,
  k.week,
  u.currency,
  k.orders,
  CAST(k.orders_before AS BIGINT) AS orders_before,
  CAST(k.days_before / 7 AS BIGINT) AS weeks_before,
  CAST(CAST(k.orders_before * 7 / k.days_before AS DECIMAL(38, 12)) AS DECIMAL(18, 6)) AS baseline,
  min(u.conversion_id) AS first_conversion_id,
  count(*) AS conversions,
  min(u.created_at) AS first_at,
  max(u.created_at) AS last_at,
  CAST(sum(u.at_stake) AS DECIMAL(38, 4)) AS amount_at_stake,
  CAST(sum(CASE WHEN u.commission_state <> 'paid' THEN u.at_stake ELSE 0 END) AS DECIMAL(38, 4)) AS amount_unpaid
FROM leaks AS k
JOIN uses AS u ON u.coupon_code = k.coupon_code AND u.affiliate_id = k.affiliate_id AND u.week = k.week
GROUP BY k.coupon_code, k.affiliate_id, k.week, k.orders, k.orders_before, k.days_before, u.currency
ORDER BY k.week DESC, k.orders DESC, k.coupon_code, k.affiliate_id, u.currency
