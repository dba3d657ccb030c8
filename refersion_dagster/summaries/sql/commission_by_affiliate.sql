/*
group: sales
description: >
  What each affiliate sold and earned, by the state their commission is in, with rank and share. Amounts of different
  currencies are never added up.
grain: one row per affiliate and currency
primary_key: [affiliate_id, currency]
owners: [team:data]
questions:
  - Who drove the sales?
  - What do we owe to whom, and what is still pending?
  - Whose orders are cancelled or denied more often than others'?
columns:
  affiliate_id: >
    Numeric affiliate id; the affiliate's e-mail where the account offers no id, (unknown) where a conversion names
    nobody.
  affiliate_name: Name, as the latest conversion has it where the affiliate is not in the list.
  affiliate_email: E-mail, found like the name.
  currency: Currency of every amount of the row.
  sales_rank: Place by sales among the affiliates of this currency, 1 being the most; equal sales share a place.
  commission_rank: Place by commission, likewise.
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
  manual_credits: The part of commission that manual credits make.
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
    Clicks on the affiliate's links that are known, whatever the currency, as a click has none: not to be added up
    across currencies. NULL where the account offers no clicks, or none that say whose they are.
  conversion_rate: >
    Orders that a click led to (no renewals, no coupons; pending or approved, in all currencies) since the first known
    click, divided by clicks, a fraction. NULL where clicks are not known, or without any.
  epc: >
    Earnings per click, the commission of those orders in this currency, less their cancellations, divided by clicks.
    NULL likewise.
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
*/
WITH conversions AS (
  SELECT
    affiliate_id,
    currency,
    counts_for_affiliate,
    kind,
    state,
    total,
    commission,
    created_at,
    coalesce(type, 'AFFILIATE_SITE_CONVERSION')
      IN ('AFFILIATE_SITE_CONVERSION', 'CANCELLATION_AFFILIATE_SITE_CONVERSION')
      AND NOT coalesce(is_recurring, FALSE) AS is_led_to,
    kind = 'order' AND state IN ('pending', 'due', 'paid') AS is_sale,
    kind IN ('order', 'cancellation') AND state IN ('due', 'paid') AS is_net,
    kind = 'order' AND state IN ('due', 'paid') AS is_approved,
    kind = 'order' AND state = 'denied' AS is_denied
  FROM refersion_summaries.conversions
),

per_affiliate AS (
  SELECT
    affiliate_id,
    currency,
    count(CASE WHEN is_sale AND counts_for_affiliate THEN 1 END) AS orders,
    sum(CASE WHEN is_sale AND counts_for_affiliate THEN total ELSE 0 END) AS sales,
    sum(CASE WHEN is_sale AND counts_for_affiliate AND state = 'pending' THEN total ELSE 0 END) AS sales_pending,
    sum(CASE WHEN is_net AND counts_for_affiliate THEN total ELSE 0 END) AS net_sales,
    sum(CASE WHEN is_net THEN total ELSE 0 END) AS net_totals,
    sum(CASE WHEN is_net THEN commission ELSE 0 END) AS net_commission,
    count(CASE WHEN is_net AND kind = 'cancellation' THEN 1 END) AS cancellations,
    sum(CASE WHEN is_net AND counts_for_affiliate AND kind = 'cancellation' THEN total ELSE 0 END) AS cancelled_sales,
    sum(CASE WHEN state IN ('pending', 'due', 'paid') THEN commission ELSE 0 END) AS commission,
    sum(CASE WHEN state = 'pending' THEN commission ELSE 0 END) AS commission_pending,
    sum(CASE WHEN state = 'due' THEN commission ELSE 0 END) AS commission_due,
    sum(CASE WHEN state = 'paid' THEN commission ELSE 0 END) AS commission_paid,
    sum(CASE WHEN state = 'denied' THEN commission ELSE 0 END) AS commission_denied,
    sum(CASE WHEN state = 'unqualified' THEN commission ELSE 0 END) AS commission_unqualified,
    sum(CASE WHEN state = 'unknown' THEN commission ELSE 0 END) AS commission_unknown,
    sum(
      CASE WHEN kind = 'manual credit' AND state IN ('pending', 'due', 'paid') THEN commission ELSE 0 END
    ) AS manual_credits,
    count(CASE WHEN is_sale AND state = 'pending' THEN 1 END) AS conversions_pending,
    count(CASE WHEN is_approved THEN 1 END) AS conversions_approved,
    count(CASE WHEN is_denied THEN 1 END) AS conversions_denied,
    count(CASE WHEN kind = 'order' AND state = 'unqualified' THEN 1 END) AS conversions_unqualified,
    sum(CASE WHEN is_approved AND commission > 0 THEN commission ELSE 0 END) AS approved,
    sum(CASE WHEN (is_approved OR is_denied) AND commission > 0 THEN commission ELSE 0 END) AS decided,
    min(CASE WHEN is_sale THEN created_at END) AS first_order_at,
    max(CASE WHEN is_sale THEN created_at END) AS last_order_at
  FROM conversions
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

-- A click has no currency. Clicks are known from the first one on, and only where they say whose they are.
known_clicks AS (
  SELECT min(created) AS since
  FROM refersion_data.clicks
  WHERE vanished_at IS NULL AND affiliate_id IS NOT NULL
),

clicks AS (
  SELECT affiliate_id, count(created) AS clicks
  FROM refersion_data.clicks
  WHERE vanished_at IS NULL AND affiliate_id IS NOT NULL
  GROUP BY affiliate_id
),

led_to AS (
  SELECT c.*, k.since
  FROM conversions AS c
  INNER JOIN known_clicks AS k ON c.created_at >= k.since
  WHERE c.is_led_to
),

orders_of_clicks AS (
  SELECT affiliate_id, count(CASE WHEN is_sale AND counts_for_affiliate THEN 1 END) AS orders
  FROM led_to
  GROUP BY affiliate_id
),

earned_of_clicks AS (
  SELECT
    affiliate_id,
    currency,
    sum(CASE WHEN state IN ('pending', 'due', 'paid') THEN commission ELSE 0 END) AS commission
  FROM led_to
  GROUP BY affiliate_id, currency
),

compared AS (
  SELECT
    p.*,
    rank() OVER (PARTITION BY currency ORDER BY sales DESC) AS sales_rank,
    rank() OVER (PARTITION BY currency ORDER BY commission DESC) AS commission_rank,
    sum(sales) OVER (PARTITION BY currency) AS all_sales,
    sum(commission) OVER (PARTITION BY currency) AS all_commission,
    CAST(sales / nullif(orders, 0) AS DECIMAL(38, 4)) AS near_aov
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
  CAST(CAST(c.sales / nullif(c.all_sales, 0) AS DECIMAL(38, 12)) AS DECIMAL(18, 6)) AS sales_share,
  CAST(c.sales_pending AS DECIMAL(38, 4)) AS sales_pending,
  c.cancellations,
  CAST(c.cancelled_sales AS DECIMAL(38, 4)) AS cancelled_sales,
  CAST(c.net_sales AS DECIMAL(38, 4)) AS net_sales,
  -- DuckDB divides in floating point; dividing what that left over makes the average exact.
  CAST(
    c.near_aov + CAST((c.sales - c.near_aov * c.orders) / nullif(c.orders, 0) AS DECIMAL(38, 8)) AS DECIMAL(38, 4)
  ) AS aov,
  CAST(c.commission AS DECIMAL(38, 4)) AS commission,
  CAST(CAST(c.commission / nullif(greatest(c.all_commission, 0), 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6))
    AS commission_share,
  CAST(c.commission_pending AS DECIMAL(38, 4)) AS commission_pending,
  CAST(c.commission_due AS DECIMAL(38, 4)) AS commission_due,
  CAST(c.commission_paid AS DECIMAL(38, 4)) AS commission_paid,
  CAST(c.commission_denied AS DECIMAL(38, 4)) AS commission_denied,
  CAST(c.commission_unqualified AS DECIMAL(38, 4)) AS commission_unqualified,
  CAST(c.commission_unknown AS DECIMAL(38, 4)) AS commission_unknown,
  CAST(c.manual_credits AS DECIMAL(38, 4)) AS manual_credits,
  CAST(
    CAST(c.net_commission / nullif(c.net_totals, 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6)
  ) AS effective_commission_rate,
  c.conversions_pending,
  c.conversions_approved,
  c.conversions_denied,
  c.conversions_unqualified,
  CAST(
    CAST(c.conversions_approved / nullif(c.conversions_approved + c.conversions_denied, 0) AS DECIMAL(38, 12))
    AS DECIMAL(18, 6)
  ) AS approval_rate,
  CAST(CAST(c.approved / nullif(c.decided, 0) AS DECIMAL(38, 12)) AS DECIMAL(18, 6)) AS approval_rate_by_value,
  CAST(
    CAST(
      c.conversions_approved / nullif(c.conversions_approved + c.conversions_denied + c.conversions_unqualified, 0)
      AS DECIMAL(38, 12)
    ) AS DECIMAL(18, 6)
  ) AS quality_rate,
  CASE
    WHEN k.since IS NOT NULL AND (a.affiliate_id IS NOT NULL OR n.clicks IS NOT NULL) THEN coalesce(n.clicks, 0)
  END AS clicks,
  CAST(CAST(coalesce(w.orders, 0) / nullif(n.clicks, 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6)) AS conversion_rate,
  CAST(CAST(coalesce(e.commission, 0) / nullif(n.clicks, 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 4)) AS epc,
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
