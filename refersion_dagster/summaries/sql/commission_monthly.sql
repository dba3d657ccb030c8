/*
group: sales
description: >
  What was sold and earned in each month, by the month of the conversion in the reporting time zone, and how that
  compares with the month before. A month without any has a row of zeros, from the first conversion in a currency to the
  month in which the account was last read, which is not over yet. Amounts of different currencies are never added up.
grain: one row per month and currency
primary_key: [month, currency]
owners: [team:data]
questions:
  - How do sales and commission go, month by month?
  - Is the programme growing, and does it win new affiliates?
columns:
  month: First day of the month in the reporting time zone.
  currency: Currency of every amount of the row.
  is_complete: Whether the month was over when the account was last read.
  conversions: Number of conversions of any kind and state.
  affiliates: Affiliates with an order pending or approved.
  new_affiliates: Those of them whose first order in this currency it was.
  orders: >
    Purchases, pending or approved: an order is one, however many affiliates are credited with it, and each renewal is
    another.
  sales: >
    Gross affiliate sales, the sum of totals of orders pending or approved. A purchase counts once, however many
    affiliates are credited with it.
  sales_change: Sales less those of the month before; NULL for the first month and for one that is not over.
  sales_change_rate: That by the sales of the month before, a fraction (0.1 is 10 % more).
  net_sales: >
    Sum of totals of approved orders and cancellations; cancellations count in their own month. It still grows while
    orders wait for approval.
  aov: Average order value, sales divided by orders; NULL in a month without orders.
  cancellations: Number of approved cancellations.
  commission_of_orders_made: >
    Commission pending, due or paid now, of the conversions made in the month, with manual credits and less
    cancellations. What became due or was paid in the month is in commission_roll_forward.
  commission_change: That less the one of the month before, as with sales.
  commission_change_rate: That by the commission of the month before; NULL where that is not above 0.
  commission_pending_of_orders_made: The part of commission_of_orders_made that waits for approval.
  commission_due_of_orders_made: The part of it that is approved and not paid.
  commission_paid_of_orders_made: The part of it that is paid, whenever it was.
  commission_denied_of_orders_made: Commission of denied conversions made in the month.
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
plot: {x: month, y: sales, by: currency}
needs:
  new_affiliates: conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
*/
WITH conversions AS (
  SELECT
    booked_month,
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

per_month AS (
  SELECT
    booked_month AS month,
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
  GROUP BY booked_month, currency
),

first_sales AS (
  SELECT currency, affiliate_id, min(booked_month) AS month
  FROM conversions
  WHERE is_sale
  GROUP BY currency, affiliate_id
),

newcomers AS (
  SELECT month, currency, count(*) AS new_affiliates
  FROM first_sales
  GROUP BY month, currency
),

spans AS (
  SELECT
    p.currency,
    CAST(min(p.month) AS TIMESTAMP) AS first_month,
    CAST(greatest(max(p.month), CAST(date_trunc('month', max(d.today)) AS DATE)) AS TIMESTAMP) AS last_month
  FROM per_month AS p
  LEFT JOIN refersion_summaries.data_as_of AS d ON TRUE
  GROUP BY p.currency
),

months AS (
  SELECT s.currency, CAST(series.moment AS DATE) AS month
  FROM spans AS s
  CROSS JOIN LATERAL generate_series(s.first_month, s.last_month, INTERVAL '1' MONTH) AS series(moment)
),

filled AS (
  SELECT
    m.month,
    m.currency,
    m.month < CAST(date_trunc('month', now.today) AS DATE) AS is_complete,
    coalesce(p.conversions, 0) AS conversions,
    coalesce(p.affiliates, 0) AS affiliates,
    coalesce(n.new_affiliates, 0) AS new_affiliates,
    coalesce(p.orders, 0) AS orders,
    CAST(coalesce(p.sales, 0) AS DECIMAL(38, 4)) AS sales,
    CAST(coalesce(p.net_sales, 0) AS DECIMAL(38, 4)) AS net_sales,
    coalesce(p.cancellations, 0) AS cancellations,
    CAST(coalesce(p.commission, 0) AS DECIMAL(38, 4)) AS commission,
    CAST(coalesce(p.commission_pending, 0) AS DECIMAL(38, 4)) AS commission_pending,
    CAST(coalesce(p.commission_due, 0) AS DECIMAL(38, 4)) AS commission_due,
    CAST(coalesce(p.commission_paid, 0) AS DECIMAL(38, 4)) AS commission_paid,
    CAST(coalesce(p.commission_denied, 0) AS DECIMAL(38, 4)) AS commission_denied,
    CAST(coalesce(p.commission_unqualified, 0) AS DECIMAL(38, 4)) AS commission_unqualified,
    CAST(coalesce(p.commission_unknown, 0) AS DECIMAL(38, 4)) AS commission_unknown
  FROM months AS m
  LEFT JOIN refersion_summaries.data_as_of AS now ON TRUE
  LEFT JOIN per_month AS p ON p.month = m.month AND p.currency = m.currency
  LEFT JOIN newcomers AS n ON n.month = m.month AND n.currency = m.currency
),

compared AS (
  SELECT
    f.*,
    CASE WHEN is_complete THEN lag(sales) OVER (PARTITION BY currency ORDER BY month) END AS sales_before,
    CASE WHEN is_complete THEN lag(commission) OVER (PARTITION BY currency ORDER BY month) END AS commission_before,
    CAST(sales / nullif(orders, 0) AS DECIMAL(38, 4)) AS near_aov
  FROM filled AS f
)

SELECT
  month,
  currency,
  is_complete,
  conversions,
  affiliates,
  new_affiliates,
  orders,
  sales,
  CAST(sales - sales_before AS DECIMAL(38, 4)) AS sales_change,
  CAST(CAST((sales - sales_before) / nullif(sales_before, 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6))
    AS sales_change_rate,
  net_sales,
  -- DuckDB divides in floating point; dividing what that left over makes the average exact.
  CAST(near_aov + CAST((sales - near_aov * orders) / nullif(orders, 0) AS DECIMAL(38, 8)) AS DECIMAL(38, 4)) AS aov,
  cancellations,
  commission AS commission_of_orders_made,
  CAST(commission - commission_before AS DECIMAL(38, 4)) AS commission_change,
  CAST(
    CAST((commission - commission_before) / nullif(greatest(commission_before, 0), 0) AS DECIMAL(38, 12))
    AS DECIMAL(38, 6)
  ) AS commission_change_rate,
  commission_pending AS commission_pending_of_orders_made,
  commission_due AS commission_due_of_orders_made,
  commission_paid AS commission_paid_of_orders_made,
  commission_denied AS commission_denied_of_orders_made,
  commission_unqualified AS commission_unqualified_of_orders_made,
  commission_unknown AS commission_unknown_of_orders_made,
  commission,
  commission_pending,
  commission_due,
  commission_paid,
  commission_denied,
  commission_unqualified,
  commission_unknown
FROM compared
ORDER BY month DESC, currency
