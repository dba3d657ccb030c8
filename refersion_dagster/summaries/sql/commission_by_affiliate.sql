/*
group: sales
description: >
  What each affiliate sold and earned, by the state their commission is in, with rank and share. Amounts of different
  currencies are never added up.
grain: one row per affiliate and currency
primary_key: [affiliate_id, currency]
owners: [team:data]
macros: [share, rate, average, sales_measures, commission_by_state, commission_columns, orders_by_state, click_results]
questions:
  - Who drove the sales?
  - What do we owe to whom, and what is still pending?
  - Whose orders are cancelled or denied more often than others'?
columns:
  affiliate_id: >
    Numeric affiliate id; the affiliate's e-mail where the account offers no id, (unknown) where a conversion names
    nobody.
  affiliate_name: Name, as the latest conversion has it where the affiliate is not in the list.
  affiliate_email: E-mail address, from the same source as the name.
  currency: Currency of every amount of the row.
  sales_rank: Rank by sales among the affiliates of this currency, 1 being the highest; equal sales share a rank.
  commission_rank: Rank by commission; equal commission shares a rank.
  orders: Purchases, pending or approved; each renewal is one.
  sales: >
    Gross affiliate sales, the sum of totals of orders pending or approved. A purchase that the affiliate is credited
    with twice counts once; one that several affiliates are credited with counts for each.
  sales_share: Share of the sales of all affiliates in this currency, a fraction.
  sales_pending: The part of sales that waits for approval.
  cancellations: Number of approved cancellations.
  cancelled_sales: Sum of their totals, negative; of those whose order counts in sales.
  net_sales: Sum of totals of approved purchases and cancellations, which is sales - sales_pending + cancelled_sales.
  aov: Average order value, sales divided by orders; NULL without orders.
  commission: Commission pending, due or paid, with manual credits and less cancellations.
  commission_share: >
    Share of all commission in this currency, a fraction; NULL where all of it is not above 0. Negative for an affiliate
    whose cancellations outweigh the rest.
  commission_pending: Commission that waits for approval.
  commission_due: Commission approved and not paid; cancellations and negative credits lower it.
  commission_paid: Commission approved and paid.
  commission_denied: Commission of denied conversions.
  commission_unqualified: Commission of unqualified conversions.
  commission_unknown: Commission of conversions whose status Refersion never documented; 0 on most accounts.
  manual_credits: Part of commission that comes from manual credits.
  effective_commission_rate: >
    Commission divided by totals of approved orders and cancellations, each credit counted, a fraction (0.1 is 10 %);
    NULL without any.
  conversions_pending: Number of orders' conversions that wait for approval; what the approval rates leave out.
  conversions_approved: Number of orders' conversions approved.
  conversions_denied: Number of orders' conversions denied.
  conversions_unqualified: Number of orders' conversions unqualified, which Refersion sets when they arrive.
  approval_rate: Approved divided by approved and denied conversions, a fraction; NULL before any was decided.
  approval_rate_by_value: The same by their commission, where it is above 0.
  quality_rate: Approved divided by approved, denied and unqualified conversions.
  clicks: >
    Known clicks on the affiliate's links in all currencies, because a click has no currency: not to be added up
    across currencies. NULL where the account offers no clicks, or none that say whose they are.
  conversion_rate: >
    Orders that a click led to (no renewals, no coupons; pending or approved, in all currencies) since the first known
    click, divided by clicks, a fraction. NULL where clicks are not known, or without any.
  epc: >
    Earnings per click, the commission of those orders in this currency, less their cancellations, divided by clicks.
    NULL if not known.
  first_order_at: First order pending or approved, UTC.
  last_order_at: Last order pending or approved, UTC.
sums:
  sales: affiliate_sales
  net_sales: affiliate_net_sales
  commission_pending: pending
  commission_due: due
  commission_paid: paid
  commission_denied: denied
  commission_unqualified: unqualified
  commission_unknown: unknown
needs:
  affiliate_name: []
  affiliate_email: []
  clicks: [&made clicks.created, &whose clicks.affiliate_id]
  conversion_rate:
    - *made
    - *whose
    - &type conversions.type
    - &renewal conversions.is_recurring
    - &affiliate conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
    - conversions.order_id
  epc: [*made, *whose, *type, *renewal, *affiliate]
states:
  commission_denied: [conversions.DENIED]
  commission_unqualified: [conversions.UNQUALIFIED]
  conversions_denied: [conversions.DENIED]
  conversions_unqualified: [conversions.UNQUALIFIED]
  approval_rate: [conversions.DENIED]
  approval_rate_by_value: [conversions.DENIED]
  quality_rate: [conversions.DENIED, conversions.UNQUALIFIED]
*/
WITH per_affiliate AS (
  SELECT
    affiliate_id,
    currency,
    sales_measures(counts_for_affiliate),
    sum(CASE WHEN is_sale AND counts_for_affiliate AND commission_state = 'pending' THEN total ELSE 0 END) AS sales_pending,
    sum(CASE WHEN is_net AND counts_for_affiliate AND conversion_kind = 'cancellation' THEN total ELSE 0 END)
      AS cancelled_sales,
    commission_by_state(),
    sum(CASE WHEN conversion_kind = 'manual credit' AND is_earned THEN commission ELSE 0 END) AS manual_credits,
    orders_by_state(),
    min(CASE WHEN is_sale THEN created_at END) AS first_order_at,
    max(CASE WHEN is_sale THEN created_at END) AS last_order_at
  FROM refersion_summaries.conversions
  GROUP BY affiliate_id, currency
),

unlisted AS (
  SELECT
    c.affiliate_id,
    c.affiliate_name,
    c.affiliate_email,
    row_number() OVER (PARTITION BY c.affiliate_id ORDER BY c.created_at DESC, c.conversion_id DESC) AS place
  FROM refersion_summaries.conversions AS c
  LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = c.affiliate_id
  WHERE a.name IS NULL OR a.email IS NULL
),

click_results(affiliate_id, refersion_summaries.conversions, counts_for_affiliate),

compared AS (
  SELECT
    p.*,
    rank() OVER (PARTITION BY currency ORDER BY sales DESC) AS sales_rank,
    rank() OVER (PARTITION BY currency ORDER BY commission DESC) AS commission_rank,
    sum(sales) OVER (PARTITION BY currency) AS all_sales,
    sum(commission) OVER (PARTITION BY currency) AS all_commission
  FROM per_affiliate AS p
)

SELECT
  c.affiliate_id,
  coalesce(a.name, u.affiliate_name) AS affiliate_name,
  coalesce(a.email, u.affiliate_email) AS affiliate_email,
  c.currency,
  c.sales_rank,
  c.commission_rank,
  c.orders,
  CAST(c.sales AS DECIMAL(38, 4)) AS sales,
  share(c.sales, c.all_sales) AS sales_share,
  CAST(c.sales_pending AS DECIMAL(38, 4)) AS sales_pending,
  c.cancellations,
  CAST(c.cancelled_sales AS DECIMAL(38, 4)) AS cancelled_sales,
  CAST(c.net_sales AS DECIMAL(38, 4)) AS net_sales,
  average(c.sales, c.orders) AS aov,
  CAST(c.commission AS DECIMAL(38, 4)) AS commission,
  rate(c.commission, greatest(c.all_commission, 0)) AS commission_share,
  commission_columns(c),
  CAST(c.manual_credits AS DECIMAL(38, 4)) AS manual_credits,
  rate(c.net_commission, c.net_totals) AS effective_commission_rate,
  c.conversions_pending,
  c.conversions_approved,
  c.conversions_denied,
  c.conversions_unqualified,
  share(c.conversions_approved, c.conversions_approved + c.conversions_denied) AS approval_rate,
  share(c.approved, c.decided) AS approval_rate_by_value,
  share(c.conversions_approved, c.conversions_approved + c.conversions_denied + c.conversions_unqualified) AS quality_rate,
  CASE
    WHEN k.since IS NOT NULL AND (a.affiliate_id IS NOT NULL OR n.clicks IS NOT NULL) THEN coalesce(n.clicks, 0)
  END AS clicks,
  rate(coalesce(w.orders, 0), n.clicks) AS conversion_rate,
  average(coalesce(e.commission, 0), n.clicks) AS epc,
  c.first_order_at,
  c.last_order_at
FROM compared AS c
LEFT JOIN unlisted AS u ON u.place = 1 AND u.affiliate_id = c.affiliate_id
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = c.affiliate_id
LEFT JOIN known_clicks AS k ON TRUE
LEFT JOIN clicks AS n ON n.affiliate_id = c.affiliate_id
LEFT JOIN orders_of_clicks AS w ON w.affiliate_id = c.affiliate_id
LEFT JOIN earned_of_clicks AS e ON e.affiliate_id = c.affiliate_id AND e.currency = c.currency
ORDER BY c.sales_rank, c.currency, c.commission_rank, c.affiliate_id
