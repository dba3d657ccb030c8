/*
group: sales
description: >
  What was sold and earned under each offer, and what the commission comes to beside what the offer promises. An order
  counts under the offer of its time, wherever its affiliate is now. Amounts of different currencies are never added up.
grain: one row per offer and currency
primary_key: [offer_id, currency]
owners: [team:data]
questions:
  - Which offers sell?
  - What do we really pay under an offer, and what did it promise?
columns:
  offer_id: Offer id; its name where the account offers no id, (none) where a conversion names no offer.
  offer_name: Name now; of an offer that is no longer listed, as the latest conversion has it.
  currency: Currency of every amount of the row.
  offer_type: PERCENT_OF_SALE or FLAT_RATE; found like the name.
  nominal_rate: The offer's rate now, a fraction (0.1 is 10 %); NULL for a flat rate. Found like the name.
  nominal_rate_at_order: >
    Its rate at the time of each order, a fraction weighted by the totals of the approved orders; differs from
    nominal_rate where terms changed. NULL for a flat rate.
  nominal_amount: Flat amount, in the offer's own currency; NULL for a rate.
  effective_commission_rate: >
    Commission divided by totals of approved orders and cancellations, each credit counted, a fraction; NULL without
    any. Manual credits are not in.
  affiliates: Affiliates with an order pending or approved.
  orders: Purchases, pending or approved, that count under the offer; each renewal is one.
  sales: >
    Gross affiliate sales, the sum of totals of orders pending or approved. A purchase that several affiliates are
    credited with counts once (conversions.counts_once), so that the offers add up to the programme.
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
  manual_credits: The part of commission that manual credits make.
  clicks: >
    Clicks on the offer's links that are known, whatever the currency, as a click has none: not to be added up across
    currencies. NULL where the account offers no clicks, or none that say whose they are.
  conversion_rate: >
    Orders that a click led to (no renewals, no coupons; pending or approved, in all currencies) since the first known
    click, divided by clicks, a fraction. NULL where clicks are not known, or without any.
  epc: >
    Earnings per click, the commission of those orders in this currency, less their cancellations, divided by clicks.
    NULL likewise.
  conversions_pending: Number of orders' conversions that wait for approval; what the approval rates leave out.
  approval_rate: Approved divided by approved and denied conversions, a fraction; NULL before any was decided.
  approval_rate_by_value: The same by their commission, where it is above 0.
  quality_rate: Approved divided by approved, denied and unqualified conversions.
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
  "*": &offer conversions.offer__id | conversions.offer__name
  offer_id: *offer
  offer_name: conversions.offer__name | offers.name
  offer_type: &type conversions.offer__type | offers.type
  nominal_rate: &rate [*type, conversions.offer__amount | offers.commission]
  nominal_amount: *rate
  clicks: [*offer, &made clicks.created, &whose clicks.offer_id]
  conversion_rate:
    - *offer
    - *made
    - *whose
    - &order_type conversions.type
    - &renewal conversions.is_recurring
    - conversions.order_id
  epc: [*offer, *made, *whose, *order_type, *renewal]
*/
WITH conversions AS (
  SELECT
    coalesce(c.offer_id, c.offer_name, o.offer_id, o.offer_name, '(none)') AS offer_id,
    c.offer_name,
    c.offer_type,
    c.offer_amount,
    c.conversion_id,
    c.affiliate_id,
    c.currency,
    c.counts_once,
    c.kind,
    c.state,
    c.total,
    c.commission,
    c.created_at,
    coalesce(c.type, 'AFFILIATE_SITE_CONVERSION')
      IN ('AFFILIATE_SITE_CONVERSION', 'CANCELLATION_AFFILIATE_SITE_CONVERSION')
      AND NOT coalesce(c.is_recurring, FALSE) AS is_led_to,
    c.kind = 'order' AND c.state IN ('pending', 'due', 'paid') AS is_sale,
    c.kind IN ('order', 'cancellation') AND c.state IN ('due', 'paid') AS is_net,
    c.kind = 'order' AND c.state IN ('due', 'paid') AS is_approved,
    c.kind = 'order' AND c.state = 'denied' AS is_denied,
    c.kind = 'order' AND c.state IN ('due', 'paid')
      AND c.offer_type = 'PERCENT_OF_SALE' AND c.offer_amount IS NOT NULL AS is_at_a_rate
  FROM refersion_summaries.conversions AS c
  -- A cancellation that names no offer belongs where its order was.
  LEFT JOIN refersion_summaries.conversions AS o ON o.conversion_id = c.original_id
),

per_offer AS (
  SELECT
    offer_id,
    currency,
    count(DISTINCT CASE WHEN is_sale THEN affiliate_id END) AS affiliates,
    count(CASE WHEN is_sale AND counts_once THEN 1 END) AS orders,
    sum(CASE WHEN is_sale AND counts_once THEN total ELSE 0 END) AS sales,
    sum(CASE WHEN is_net AND counts_once THEN total ELSE 0 END) AS net_sales,
    sum(CASE WHEN is_net THEN total ELSE 0 END) AS net_totals,
    sum(CASE WHEN is_net THEN commission ELSE 0 END) AS net_commission,
    count(CASE WHEN is_net AND kind = 'cancellation' THEN 1 END) AS cancellations,
    sum(CASE WHEN is_at_a_rate THEN total ELSE 0 END) AS sales_at_a_rate,
    sum(CASE WHEN is_at_a_rate THEN total * offer_amount ELSE 0 END) AS promised_percent,
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
    sum(CASE WHEN (is_approved OR is_denied) AND commission > 0 THEN commission ELSE 0 END) AS decided
  FROM conversions
  GROUP BY offer_id, currency
),

unlisted AS (
  SELECT
    c.offer_id,
    c.offer_name,
    c.offer_type,
    c.offer_amount,
    row_number() OVER (PARTITION BY c.offer_id ORDER BY c.created_at DESC, c.conversion_id DESC) AS place
  FROM conversions AS c
  LEFT JOIN refersion_data.offers AS o ON o.id = c.offer_id
  WHERE o.id IS NULL AND (c.offer_name IS NOT NULL OR c.offer_type IS NOT NULL)
),

-- A click has no currency. Clicks are known from the first one on, and only where they say whose they are.
known_clicks AS (
  SELECT min(created) AS since
  FROM refersion_data.clicks
  WHERE vanished_at IS NULL AND offer_id IS NOT NULL
),

clicks AS (
  SELECT offer_id, count(created) AS clicks
  FROM refersion_data.clicks
  WHERE vanished_at IS NULL AND offer_id IS NOT NULL
  GROUP BY offer_id
),

led_to AS (
  SELECT c.*, k.since
  FROM conversions AS c
  INNER JOIN known_clicks AS k ON c.created_at >= k.since
  WHERE c.is_led_to
),

orders_of_clicks AS (
  SELECT offer_id, count(CASE WHEN is_sale AND counts_once THEN 1 END) AS orders
  FROM led_to
  GROUP BY offer_id
),

earned_of_clicks AS (
  SELECT
    offer_id,
    currency,
    sum(CASE WHEN state IN ('pending', 'due', 'paid') THEN commission ELSE 0 END) AS commission
  FROM led_to
  GROUP BY offer_id, currency
),

compared AS (
  SELECT
    p.*,
    sum(sales) OVER (PARTITION BY currency) AS all_sales,
    CAST(sales / nullif(orders, 0) AS DECIMAL(38, 4)) AS near_aov
  FROM per_offer AS p
),

termed AS (
  SELECT
    c.*,
    o.id IS NOT NULL AS is_listed,
    coalesce(o.name, u.offer_name) AS offer_name,
    CASE WHEN o.id IS NOT NULL THEN o.type ELSE u.offer_type END AS offer_type,
    CASE WHEN o.id IS NOT NULL THEN o.commission ELSE u.offer_amount END AS terms
  FROM compared AS c
  LEFT JOIN refersion_data.offers AS o ON o.id = c.offer_id
  LEFT JOIN unlisted AS u ON u.place = 1 AND u.offer_id = c.offer_id
)

SELECT
  t.offer_id,
  offer_name,
  t.currency,
  offer_type,
  CAST(CASE WHEN offer_type = 'PERCENT_OF_SALE' THEN terms * 0.01 END AS DECIMAL(38, 6)) AS nominal_rate,
  CAST(CAST(promised_percent / nullif(sales_at_a_rate * 100, 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6))
    AS nominal_rate_at_order,
  CAST(CASE WHEN offer_type = 'FLAT_RATE' THEN terms END AS DECIMAL(18, 4)) AS nominal_amount,
  CAST(CAST(net_commission / nullif(net_totals, 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6)) AS effective_commission_rate,
  affiliates,
  t.orders,
  CAST(sales AS DECIMAL(38, 4)) AS sales,
  CAST(CAST(sales / nullif(all_sales, 0) AS DECIMAL(38, 12)) AS DECIMAL(18, 6)) AS sales_share,
  cancellations,
  CAST(net_sales AS DECIMAL(38, 4)) AS net_sales,
  -- DuckDB divides in floating point; dividing what that left over makes the average exact.
  CAST(near_aov + CAST((sales - near_aov * t.orders) / nullif(t.orders, 0) AS DECIMAL(38, 8)) AS DECIMAL(38, 4)) AS aov,
  CAST(t.commission AS DECIMAL(38, 4)) AS commission,
  CAST(commission_pending AS DECIMAL(38, 4)) AS commission_pending,
  CAST(commission_due AS DECIMAL(38, 4)) AS commission_due,
  CAST(commission_paid AS DECIMAL(38, 4)) AS commission_paid,
  CAST(commission_denied AS DECIMAL(38, 4)) AS commission_denied,
  CAST(commission_unqualified AS DECIMAL(38, 4)) AS commission_unqualified,
  CAST(commission_unknown AS DECIMAL(38, 4)) AS commission_unknown,
  CAST(manual_credits AS DECIMAL(38, 4)) AS manual_credits,
  CASE WHEN k.since IS NOT NULL AND (is_listed OR n.clicks IS NOT NULL) THEN coalesce(n.clicks, 0) END AS clicks,
  CAST(CAST(coalesce(w.orders, 0) / nullif(n.clicks, 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 6)) AS conversion_rate,
  CAST(CAST(coalesce(e.commission, 0) / nullif(n.clicks, 0) AS DECIMAL(38, 12)) AS DECIMAL(38, 4)) AS epc,
  conversions_pending,
  CAST(
    CAST(conversions_approved / nullif(conversions_approved + conversions_denied, 0) AS DECIMAL(38, 12))
    AS DECIMAL(18, 6)
  ) AS approval_rate,
  CAST(CAST(approved / nullif(decided, 0) AS DECIMAL(38, 12)) AS DECIMAL(18, 6)) AS approval_rate_by_value,
  CAST(
    CAST(
      conversions_approved / nullif(conversions_approved + conversions_denied + conversions_unqualified, 0)
      AS DECIMAL(38, 12)
    ) AS DECIMAL(18, 6)
  ) AS quality_rate
FROM termed AS t
LEFT JOIN known_clicks AS k ON TRUE
LEFT JOIN clicks AS n ON n.offer_id = t.offer_id
LEFT JOIN orders_of_clicks AS w ON w.offer_id = t.offer_id
LEFT JOIN earned_of_clicks AS e ON e.offer_id = t.offer_id AND e.currency = t.currency
ORDER BY sales_share DESC, t.currency, t.offer_id
