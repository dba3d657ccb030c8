/*
group: sales
description: >
  What was sold and earned on each day, by the day of the conversion in the reporting time zone. A day without any has a
  row of zeros, from the first conversion in a currency to the day the account was last read, which is not over yet.
  Amounts of different currencies are never added up.
grain: one row per day and currency
primary_key: [day, currency]
owners: [team:data]
questions:
  - How do sales go, day by day?
  - Was there a day without orders?
columns:
  day: Day in the reporting time zone.
  currency: Currency of every amount of the row.
  is_complete: Whether the day was over when the account was last read.
  conversions: Number of conversions of any kind and state.
  affiliates: Affiliates with an order pending or approved.
  orders: >
    Purchases, pending or approved: an order is one, however many affiliates are credited with it, and each renewal is
    another.
  sales: >
    Gross affiliate sales, the sum of totals of orders pending or approved. A purchase counts once, however many
    affiliates are credited with it.
  net_sales: Sum of totals of approved orders and cancellations; cancellations count on their own day.
  aov: Average order value, sales divided by orders; NULL on a day without orders.
  cancellations: Number of approved cancellations.
  commission_of_orders_made: >
    Commission pending, due or paid now, of the conversions made on the day, with manual credits and less cancellations.
  commission_pending_of_orders_made: The part of it that waits for approval.
  commission_due_of_orders_made: The part of it that is approved and not paid.
  commission_paid_of_orders_made: The part of it that is paid, whenever it was; payments by their day are in payments.
  commission_denied_of_orders_made: Commission of denied conversions made on the day.
  commission_unqualified_of_orders_made: Commission of unqualified ones.
  commission_unknown_of_orders_made: Commission of those whose status Refersion never documented.
  commission: Old name of commission_of_orders_made, dropped in the next release.
  commission_pending: Old name of commission_pending_of_orders_made.
  commission_due: Old name of commission_due_of_orders_made.
  commission_paid: Old name of commission_paid_of_orders_made.
  commission_denied: Old name of commission_denied_of_orders_made.
  commission_unqualified: Old name of commission_unqualified_of_orders_made.
  commission_unknown: Old name of commission_unknown_of_orders_made.
sums:
  conversions: rows
  sales: programme_sales
  net_sales: programme_net_sales
  commission_pending_of_orders_made: pending
  commission_due_of_orders_made: due
  commission_paid_of_orders_made: paid
  commission_denied_of_orders_made: denied
  commission_unqualified_of_orders_made: unqualified
  commission_unknown_of_orders_made: unknown
plot: {x: day, y: sales, by: currency}
*/
WITH conversions AS (
  SELECT
    booked_day,
    currency,
    affiliate_id,
    counts_once,
    kind,
    state,
    total,
    commission,
    kind = 'order' AND state IN ('pending', 'due', 'paid') AS is_sale,
    kind IN ('order', 'cancellation') AND state IN ('due', 'paid') AS is_net
  FROM refersion_summaries.conversions
),

per_day AS (
  SELECT
    booked_day AS day,
    currency,
    count(*) AS conversions,
    count(DISTINCT CASE WHEN is_sale THEN affiliate_id END) AS affiliates,
    count(CASE WHEN is_sale AND counts_once THEN 1 END) AS orders,
    sum(CASE WHEN is_sale AND counts_once THEN total ELSE 0 END) AS sales,
    sum(CASE WHEN is_net AND counts_once THEN total ELSE 0 END) AS net_sales,
    count(CASE WHEN is_net AND kind = 'cancellation' THEN 1 END) AS cancellations,
    sum(CASE WHEN state IN ('pending', 'due', 'paid') THEN commission ELSE 0 END) AS commission,
    sum(CASE WHEN state = 'pending' THEN commission ELSE 0 END) AS commission_pending,
    sum(CASE WHEN state = 'due' THEN commission ELSE 0 END) AS commission_due,
    sum(CASE WHEN state = 'paid' THEN commission ELSE 0 END) AS commission_paid,
    sum(CASE WHEN state = 'denied' THEN commission ELSE 0 END) AS commission_denied,
    sum(CASE WHEN state = 'unqualified' THEN commission ELSE 0 END) AS commission_unqualified,
    sum(CASE WHEN state = 'unknown' THEN commission ELSE 0 END) AS commission_unknown
  FROM conversions
  GROUP BY booked_day, currency
),

spans AS (
  SELECT
    p.currency,
    CAST(min(p.day) AS TIMESTAMP) AS first_day,
    CAST(greatest(max(p.day), max(d.today)) AS TIMESTAMP) AS last_day
  FROM per_day AS p
  LEFT JOIN refersion_summaries.data_as_of AS d ON TRUE
  GROUP BY p.currency
),

days AS (
  SELECT s.currency, CAST(series.moment AS DATE) AS day
  FROM spans AS s
  CROSS JOIN LATERAL generate_series(s.first_day, s.last_day, INTERVAL '1' DAY) AS series(moment)
),

averaged AS (
  SELECT *, CAST(sales / nullif(orders, 0) AS DECIMAL(38, 4)) AS near_aov
  FROM per_day
)

SELECT
  d.day,
  d.currency,
  d.day < now.today AS is_complete,
  coalesce(a.conversions, 0) AS conversions,
  coalesce(a.affiliates, 0) AS affiliates,
  coalesce(a.orders, 0) AS orders,
  CAST(coalesce(a.sales, 0) AS DECIMAL(38, 4)) AS sales,
  CAST(coalesce(a.net_sales, 0) AS DECIMAL(38, 4)) AS net_sales,
  -- DuckDB divides in floating point; dividing what that left over makes the average exact.
  CAST(
    a.near_aov + CAST((a.sales - a.near_aov * a.orders) / nullif(a.orders, 0) AS DECIMAL(38, 8)) AS DECIMAL(38, 4)
  ) AS aov,
  coalesce(a.cancellations, 0) AS cancellations,
  CAST(coalesce(a.commission, 0) AS DECIMAL(38, 4)) AS commission_of_orders_made,
  CAST(coalesce(a.commission_pending, 0) AS DECIMAL(38, 4)) AS commission_pending_of_orders_made,
  CAST(coalesce(a.commission_due, 0) AS DECIMAL(38, 4)) AS commission_due_of_orders_made,
  CAST(coalesce(a.commission_paid, 0) AS DECIMAL(38, 4)) AS commission_paid_of_orders_made,
  CAST(coalesce(a.commission_denied, 0) AS DECIMAL(38, 4)) AS commission_denied_of_orders_made,
  CAST(coalesce(a.commission_unqualified, 0) AS DECIMAL(38, 4)) AS commission_unqualified_of_orders_made,
  CAST(coalesce(a.commission_unknown, 0) AS DECIMAL(38, 4)) AS commission_unknown_of_orders_made,
  CAST(coalesce(a.commission, 0) AS DECIMAL(38, 4)) AS commission,
  CAST(coalesce(a.commission_pending, 0) AS DECIMAL(38, 4)) AS commission_pending,
  CAST(coalesce(a.commission_due, 0) AS DECIMAL(38, 4)) AS commission_due,
  CAST(coalesce(a.commission_paid, 0) AS DECIMAL(38, 4)) AS commission_paid,
  CAST(coalesce(a.commission_denied, 0) AS DECIMAL(38, 4)) AS commission_denied,
  CAST(coalesce(a.commission_unqualified, 0) AS DECIMAL(38, 4)) AS commission_unqualified,
  CAST(coalesce(a.commission_unknown, 0) AS DECIMAL(38, 4)) AS commission_unknown
FROM days AS d
LEFT JOIN refersion_summaries.data_as_of AS now ON TRUE
LEFT JOIN averaged AS a ON a.day = d.day AND a.currency = d.currency
ORDER BY d.day DESC, d.currency
