/*
group: sales
description: >
  Sales and commission of each month, by the month of the conversion in the reporting time zone, compared with the
  month before. A month without conversions has a row of zeros, from the first conversion in a currency to the month
  of the last load, which is not over yet. Amounts of different currencies are never added up.
grain: one row per month and currency
primary_key: [month, currency]
owners: [team:data]
macros: [rate, average, sales_measures, commission_by_state, of_orders_made, months_of]
questions:
  - How do sales and commission develop month by month?
  - Is the programme growing, and does it win new affiliates?
columns:
  month: First day of the month in the reporting time zone.
  currency: Currency of every amount of the row.
  is_complete: Whether the month was over at the last load.
  conversions: Number of conversions of every kind and state.
  affiliates: Affiliates with an order pending or approved.
  new_affiliates: Those whose first order in this currency was in the month.
  orders: >
    Purchases, pending or approved: an order is one, however many affiliates are credited with it, and each renewal is
    another.
  sales: >
    Gross affiliate sales, the sum of totals of orders pending or approved. A purchase counts once, however many
    affiliates are credited with it.
  sales_change: Sales less those of the month before; NULL for the first month and for one that is not over.
  sales_change_rate: sales_change divided by the sales of the month before, a fraction (0.1 is 10 % more).
  net_sales: >
    Sum of totals of approved orders and cancellations; cancellations count in their own month. It still grows while
    orders wait for approval.
  aov: Average order value, sales divided by orders; NULL in a month without orders.
  cancellations: Number of approved cancellations.
  commission_of_orders_made: >
    Commission pending, due or paid now, of the conversions made in the month, with manual credits and less
    cancellations. What became due or was paid in the month is in commission_roll_forward.
  commission_change: commission_of_orders_made less that of the month before, as with sales_change.
  commission_change_rate: >
    commission_change divided by the commission of the month before; NULL where that is not above 0.
  commission_pending_of_orders_made: The part of commission_of_orders_made that waits for approval.
  commission_due_of_orders_made: The part of it that is approved and not paid.
  commission_paid_of_orders_made: The part of it that is paid, whenever it was.
  commission_denied_of_orders_made: Commission of denied conversions made in the month.
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
plot: {x: month, y: sales, by: currency}
needs:
  new_affiliates: conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
states:
  conversions: [conversions.DENIED, conversions.UNQUALIFIED]
  commission_denied_of_orders_made: [conversions.DENIED]
  commission_unqualified_of_orders_made: [conversions.UNQUALIFIED]
*/
WITH per_month AS (
  SELECT
    booked_month AS month,
    currency,
    count(*) AS conversions,
    count(DISTINCT CASE WHEN is_sale THEN affiliate_id END) AS affiliates,
    sales_measures(counts_once),
    commission_by_state()
  FROM refersion_summaries.conversions
  GROUP BY booked_month, currency
),

first_sales AS (
  SELECT currency, affiliate_id, min(booked_month) AS month
  FROM refersion_summaries.conversions
  WHERE is_sale
  GROUP BY currency, affiliate_id
),

newcomers AS (
  SELECT month, currency, count(*) AS new_affiliates
  FROM first_sales
  GROUP BY month, currency
),

months_of(per_month),

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
    of_orders_made(p)
  FROM months AS m
  LEFT JOIN refersion_summaries.data_as_of AS now ON TRUE
  LEFT JOIN per_month AS p ON p.month = m.month AND p.currency = m.currency
  LEFT JOIN newcomers AS n ON n.month = m.month AND n.currency = m.currency
),

compared AS (
  SELECT
    f.*,
    CASE WHEN is_complete THEN lag(sales) OVER (PARTITION BY currency ORDER BY month) END AS sales_before,
    CASE WHEN is_complete THEN lag(commission) OVER (PARTITION BY currency ORDER BY month) END AS commission_before
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
  rate(sales - sales_before, sales_before) AS sales_change_rate,
  net_sales,
  average(sales, orders) AS aov,
  cancellations,
  commission AS commission_of_orders_made,
  CAST(commission - commission_before AS DECIMAL(38, 4)) AS commission_change,
  rate(commission - commission_before, greatest(commission_before, 0)) AS commission_change_rate,
  commission_pending_of_orders_made,
  commission_due_of_orders_made,
  commission_paid_of_orders_made,
  commission_denied_of_orders_made,
  commission_unqualified_of_orders_made,
  commission_unknown_of_orders_made
FROM compared
ORDER BY month DESC, currency
