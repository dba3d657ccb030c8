/*
group: sales
description: >
  What was sold and earned with each coupon, and whose it is. Letter case does not count, as shops take SAVE10 and
  save10 for the same. Everything without a coupon is one row, so that sums are those of the account. Amounts of
  different currencies are never added up.
grain: one row per coupon and currency
primary_key: [coupon_code, currency]
owners: [team:data]
questions:
  - Which coupons sell, and whose are they?
  - How much of the sales comes without a coupon?
columns:
  coupon_code: Coupon in capitals; (none) for conversions without one.
  currency: Currency of every amount of the row.
  affiliates: Affiliates credited by the coupon, whatever became of it. More than one is unusual.
  affiliate_id: The affiliate, where there is only one.
  affiliate_name: That affiliate's name.
  orders: Purchases, pending or approved, that count with the coupon; each renewal is one.
  sales: >
    Gross affiliate sales, the sum of totals of orders pending or approved. A purchase that several affiliates are
    credited with counts once (conversions.counts_once), so that the coupons add up to the programme.
  sales_share: Share of all sales in this currency, a fraction.
  cancellations: Number of approved cancellations.
  net_sales: Sum of totals of approved orders and cancellations.
  aov: Average order value, sales divided by orders; NULL without orders.
  commission: Commission pending, due or paid, with manual credits and less cancellations.
  commission_pending: Commission that waits for approval.
  commission_due: Commission approved and not paid.
  commission_paid: Commission approved and paid.
  commission_denied: Commission of denied conversions.
  commission_unqualified: Commission of unqualified conversions.
  commission_unknown: Commission of conversions whose status Refersion never documented.
  effective_commission_rate: >
    Commission divided by totals of approved orders and cancellations, each credit counted, a fraction; NULL without any.
  first_order_at: First order pending or approved, UTC.
  last_order_at: Last order pending or approved, UTC.
sums:
  sales: programme_sales
  net_sales: programme_net_sales
  commission_pending: pending
  commission_due: due
  commission_paid: paid
  commission_denied: denied
  commission_unqualified: unqualified
  commission_unknown: unknown
needs:
  "*": conversions.coupon_code
  affiliate_name: []
*/
WITH conversions AS (
  SELECT
    coalesce(upper(coalesce(c.coupon_code, o.coupon_code)), '(none)') AS coupon_code,
    c.affiliate_id,
    c.affiliate_name,
    c.currency,
    c.counts_once,
    c.kind,
    c.state,
    c.total,
    c.commission,
    c.created_at,
    c.kind = 'order' AND c.state IN ('pending', 'due', 'paid') AS is_sale,
    c.kind IN ('order', 'cancellation') AND c.state IN ('due', 'paid') AS is_net
  FROM refersion_summaries.conversions AS c
  -- A cancellation that names no coupon belongs where its order was.
  LEFT JOIN refersion_summaries.conversions AS o ON o.conversion_id = c.original_id
),

per_coupon AS (
  SELECT
    coupon_code,
    currency,
    count(DISTINCT affiliate_id) AS affiliates,
    min(affiliate_id) AS affiliate_id,
    max(affiliate_name) AS affiliate_name,
    count(CASE WHEN is_sale AND counts_once THEN 1 END) AS orders,
    sum(CASE WHEN is_sale AND counts_once THEN total ELSE 0 END) AS sales,
    count(CASE WHEN is_net AND kind = 'cancellation' THEN 1 END) AS cancellations,
    sum(CASE WHEN is_net AND counts_once THEN total ELSE 0 END) AS net_sales,
    sum(CASE WHEN is_net THEN total ELSE 0 END) AS net_totals,
    sum(CASE WHEN is_net THEN commission ELSE 0 END) AS net_commission,
    sum(CASE WHEN state IN ('pending', 'due', 'paid') THEN commission ELSE 0 END) AS commission,
    sum(CASE WHEN state = 'pending' THEN commission ELSE 0 END) AS commission_pending,
    sum(CASE WHEN state = 'due' THEN commission ELSE 0 END) AS commission_due,
    sum(CASE WHEN state = 'paid' THEN commission ELSE 0 END) AS commission_paid,
    sum(CASE WHEN state = 'denied' THEN commission ELSE 0 END) AS commission_denied,
    sum(CASE WHEN state = 'unqualified' THEN commission ELSE 0 END) AS commission_unqualified,
    sum(CASE WHEN state = 'unknown' THEN commission ELSE 0 END) AS commission_unknown,
    min(CASE WHEN is_sale THEN created_at END) AS first_order_at,
    max(CASE WHEN is_sale THEN created_at END) AS last_order_at
  FROM conversions
  GROUP BY coupon_code, currency
),

compared AS (
  SELECT
    p.*,
    sum(sales) OVER (PARTITION BY currency) AS all_sales,
    CAST(sales / nullif(orders, 0) AS DECIMAL(38, 4)) AS near_aov
  FROM per_coupon AS p
)

SELECT
  c.coupon_code,
  c.currency,
  c.affiliates,
  CASE WHEN c.affiliates = 1 THEN c.affiliate_id END AS affiliate_id,
  CASE WHEN c.affiliates = 1 THEN coalesce(a.name, c.affiliate_name) END AS affiliate_name,
  c.orders,
  CAST(c.sales AS DECIMAL(38, 4)) AS sales,
  CAST(CAST(c.sales / nullif(c.all_sales, 0) AS DECIMAL(38, 12)) AS DECIMAL(18, 6)) AS sales_share,
  c.cancellations,
  CAST(c.net_sales AS DECIMAL(38, 4)) AS net_sales,
  -- DuckDB divides in floating point; dividing what that left over makes the average exact.
  CAST(
    c.near_aov + CAST((c.sales - c.near_aov * c.orders) / nullif(c.orders, 0) AS DECIMAL(38, 8)) AS DECIMAL(38, 4)
  ) AS aov,
  CAST(c.commission AS DECIMAL(38, 4)) AS commission,
  CAST(c.commission_pending AS DECIMAL(38, 4)) AS commission_pending,
  CAST(c.commission_due AS DECIMAL(38, 4)) AS commission_due,
  CAST(c.commission_paid AS DECIMAL(38, 4)) AS commission_paid,
  CAST(c.commission_denied AS DECIMAL(38, 4)) AS commission_denied,
  CAST(c.commission_unqualified AS DECIMAL(38, 4)) AS commission_unqualified,
  CAST(c.commission_unknown AS DECIMAL(38, 4)) AS commission_unknown,
  CAST(
    CAST(c.net_commission / nullif(c.net_totals, 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6)
  ) AS effective_commission_rate,
  c.first_order_at,
  c.last_order_at
FROM compared AS c
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = c.affiliate_id
ORDER BY sales_share DESC, c.currency, c.coupon_code
