/*
group: sales
description: >
  Sales and commission of each coupon, and the affiliate it belongs to. Letter case is ignored, because shops treat
  SAVE10 and save10 as the same coupon. Conversions without a coupon form one row, so that the sums equal those of
  the account. Amounts of different currencies are never added up.
grain: one row per coupon and currency
primary_key: [coupon_code, currency]
owners: [team:data]
macros: [share, rate, average, sales_measures, commission_by_state, commission_columns]
questions:
  - Which coupons sell, and whose are they?
  - How much of the sales comes without a coupon?
columns:
  coupon_code: Coupon in capitals; (none) for conversions without one.
  currency: Currency of every amount of the row.
  affiliates: Affiliates credited by the coupon, in any state. More than one is unusual.
  affiliate_id: The affiliate, if there is only one.
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
states:
  commission_denied: [conversions.DENIED]
  commission_unqualified: [conversions.UNQUALIFIED]
*/
WITH conversions AS (
  SELECT
    coalesce(upper(coalesce(c.coupon_code, o.coupon_code)), '(none)') AS coupon_code,
    c.affiliate_id,
    c.affiliate_name,
    c.currency,
    c.counts_once,
    c.conversion_kind,
    c.commission_state,
    c.total,
    c.commission,
    c.created_at,
    c.is_earned,
    c.is_sale,
    c.is_net
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
    sales_measures(counts_once),
    commission_by_state(),
    min(CASE WHEN is_sale THEN created_at END) AS first_order_at,
    max(CASE WHEN is_sale THEN created_at END) AS last_order_at
  FROM conversions
  GROUP BY coupon_code, currency
),

compared AS (
  SELECT
    p.*,
    sum(sales) OVER (PARTITION BY currency) AS all_sales
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
  share(c.sales, c.all_sales) AS sales_share,
  c.cancellations,
  CAST(c.net_sales AS DECIMAL(38, 4)) AS net_sales,
  average(c.sales, c.orders) AS aov,
  CAST(c.commission AS DECIMAL(38, 4)) AS commission,
  commission_columns(c),
  rate(c.net_commission, c.net_totals) AS effective_commission_rate,
  c.first_order_at,
  c.last_order_at
FROM compared AS c
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = c.affiliate_id
ORDER BY sales_share DESC, c.currency, c.coupon_code
