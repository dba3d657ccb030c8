/*
group: review
description: >
  Many orders from one customer or IP address within 24 hours, 5 of them or more: a typical pattern of orders that
  affiliates place themselves. Renewals are left out, and an order that was credited twice counts once. What
  Refersion denied or found unqualified needs no review. Bursts that last more than 30 days or were credited to more
  than 10 affiliates are left out too: they come from a shop's own server, a mobile network, or a placeholder e-mail.
grain: one row per burst, affiliate and currency that its orders were credited in
primary_key: [source, first_conversion_id]
owners: [team:data]
questions:
  - Which customers or ips ordered again and again within a day, and who was credited?
columns:
  source: customer (by e-mail) or ip. A burst of one ip whose orders are those of a customer's burst is not repeated.
  traced_by: The customer's e-mail or ip as summaries/conversions has it.
  orders: Orders of the whole burst, whoever was credited.
  burst_from: When the burst began, UTC.
  burst_to: When it ended, UTC.
  affiliate_id: Affiliate who was credited.
  currency: Currency of the amounts.
  first_conversion_id: First of the conversions of this affiliate and currency, by its id.
  conversions: Conversions of this affiliate and currency in the burst.
  first_at: When the first of them was made, UTC.
  last_at: When the last of them was made, UTC.
  amount_at_stake: Their commission as far as it is pending, due or paid, less what cancellations took back.
  amount_unpaid: The part of it that was not paid out yet.
needs:
  source:
    - conversions.customer__email
    - conversions.customer__browser_ip | conversions.click__ip
    - conversions.is_recurring
  traced_by: conversions.customer__email | conversions.customer__browser_ip | conversions.click__ip
*/
WITH conversions AS (
  SELECT 'customer' AS source, customer_email AS traced_by, *
  FROM refersion_summaries.conversions
  WHERE customer_email IS NOT NULL
  UNION ALL
  SELECT 'ip' AS source, customer_ip AS traced_by, *
  FROM refersion_summaries.conversions
  WHERE customer_ip IS NOT NULL
),

credited AS (
  SELECT
    source,
    traced_by,
    conversion_id,
    order_key,
    affiliate_id,
    currency,
    commission_at_stake AS at_stake,
    commission_state,
    created_at
  FROM conversions
  WHERE is_sale AND NOT is_recurring
),

-- Few customers order as often as this in all their life: the rest of the work is on these alone.
frequent AS (
  SELECT source, traced_by
  FROM credited
  GROUP BY source, traced_by
  HAVING count(*) >= 5
),

ordered AS (
  SELECT c.source, c.traced_by, c.order_key, min(c.created_at) AS made_at
  FROM credited AS c
  JOIN frequent AS f ON f.source = c.source AND f.traced_by = c.traced_by
  GROUP BY c.source, c.traced_by, c.order_key
),

spaced AS (
  SELECT
    o.*,
    lag(made_at, 4) OVER (PARTITION BY source, traced_by ORDER BY made_at, order_key) AS made_four_before
  FROM ordered AS o
),

crowded AS (
  SELECT
    s.*,
    max(CASE WHEN made_four_before >= made_at - INTERVAL '24' HOUR THEN 1 ELSE 0 END) OVER (
      PARTITION BY source, traced_by
      ORDER BY made_at, order_key
      ROWS BETWEEN CURRENT ROW AND 4 FOLLOWING
    ) AS in_burst
  FROM spaced AS s
),

joined AS (
  SELECT
    c.*,
    lag(made_at) OVER (PARTITION BY source, traced_by ORDER BY made_at, order_key) AS made_before
  FROM crowded AS c
  WHERE in_burst = 1
),

numbered AS (
  SELECT
    j.*,
    sum(CASE WHEN made_before >= made_at - INTERVAL '24' HOUR THEN 0 ELSE 1 END) OVER (
      PARTITION BY source, traced_by
      ORDER BY made_at, order_key
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS burst
  FROM joined AS j
),

members AS (
  SELECT
    n.burst,
    n.made_at,
    c.*
  FROM numbered AS n
  JOIN credited AS c ON c.source = n.source AND c.traced_by = n.traced_by AND c.order_key = n.order_key
),

bursts AS (
  SELECT
    source,
    traced_by,
    burst,
    count(DISTINCT order_key) AS orders,
    min(made_at) AS burst_from,
    max(made_at) AS burst_to
  FROM members
  GROUP BY source, traced_by, burst
  HAVING count(DISTINCT affiliate_id) <= 10 AND max(made_at) <= min(made_at) + INTERVAL '24' HOUR * 30
),

found AS (
  SELECT
    b.source,
    b.traced_by,
    b.orders,
    b.burst_from,
    b.burst_to,
    m.affiliate_id,
    m.currency,
    min(m.conversion_id) AS first_conversion_id,
    count(*) AS conversions,
    min(m.created_at) AS first_at,
    max(m.created_at) AS last_at,
    sum(m.at_stake) AS amount_at_stake,
    sum(CASE WHEN m.commission_state <> 'paid' THEN m.at_stake ELSE 0 END) AS amount_unpaid
  FROM members AS m
  JOIN bursts AS b ON b.source = m.source AND b.traced_by = m.traced_by AND b.burst = m.burst
  GROUP BY b.source, b.traced_by, b.burst, b.orders, b.burst_from, b.burst_to, m.affiliate_id, m.currency
)

SELECT
  f.source,
  f.traced_by,
  f.orders,
  f.burst_from,
  f.burst_to,
  f.affiliate_id,
  f.currency,
  f.first_conversion_id,
  f.conversions,
  f.first_at,
  f.last_at,
  CAST(f.amount_at_stake AS DECIMAL(38, 4)) AS amount_at_stake,
  CAST(f.amount_unpaid AS DECIMAL(38, 4)) AS amount_unpaid
FROM found AS f
LEFT JOIN found AS same
  ON same.source = 'customer'
  -- One equality, because DuckDB compares every row with every other if a condition concerns f alone.
  AND same.first_conversion_id = CASE WHEN f.source = 'ip' THEN f.first_conversion_id END
  AND same.conversions = f.conversions AND same.orders = f.orders
WHERE same.source IS NULL
ORDER BY f.last_at DESC, f.source, f.first_conversion_id
