/*
group: sales
description: >
  Sales and commission of each day, by the day of the conversion in the reporting time zone. A day without
  conversions has a row of zeros, from the first conversion in a currency to the day of the last load, which is not
  over yet. Amounts of different currencies are never added up.
grain: one row per day and currency
primary_key: [day, currency]
owners: [team:data]
macros: [average, sales_measures, commission_by_state, of_orders_made]
questions:
  - How do sales develop day by day?
  - Was there a day without orders?
columns:
  day: Day in the reporting time zone.
  currency: Currency of every amount of the row.
  is_complete: Whether the day was over at the last load.
  conversions: Number of conversions of every kind and state.
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
renamed:
  commission_of_orders_made: commission
  commission_pending_of_orders_made: commission_pending
  commission_due_of_orders_made: commission_due
  commission_paid_of_orders_made: commission_paid
  commission_denied_of_orders_made: commission_denied
  commission_unqualified_of_orders_made: commission_unqualified
  commission_unknown_of_orders_made: commission_unknown
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
states:
  conversions: [conversions.DENIED, conversions.UNQUALIFIED]
  commission_denied_of_orders_made: [conversions.DENIED]
  commission_unqualified_of_orders_made: [conversions.UNQUALIFIED]
*/
WITH per_day AS (
  SELECT
    booked_day AS day,
    currency,
    count(*) AS conversions,
    count(DISTINCT CASE WHEN is_sale THEN affiliate_id END) AS affiliates,
    sales_measures(counts_once),
    commission_by_state()
  FROM refersion_summaries.conversions
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
  average(a.sales, a.orders) AS aov,
  coalesce(a.cancellations, 0) AS cancellations,
  CAST(coalesce(a.commission, 0) AS DECIMAL(38, 4)) AS commission_of_orders_made,
  of_orders_made(a)
FROM days AS d
LEFT JOIN refersion_summaries.data_as_of AS now ON TRUE
LEFT JOIN per_day AS a ON a.day = d.day AND a.currency = d.currency
ORDER BY d.day DESC, d.currency
