/*
group: sales
description: >
  Sales and commission of each offer, and the effective commission rate next to the offer's nominal rate. An order
  counts for the offer that was valid at its time, even if its affiliate has another offer now. Amounts of different
  currencies are never added up.
grain: one row per offer and currency
primary_key: [offer_id, currency]
owners: [team:data]
macros: [share, rate, average, sales_measures, commission_by_state, commission_columns, orders_by_state, click_results]
questions:
  - Which offers sell?
  - What do we actually pay under an offer, compared with its nominal rate?
columns:
  offer_id: Offer id; its name where the account offers no id, (none) where a conversion names no offer.
  offer_name: Current name; for an offer that is no longer listed, the name in its latest conversion.
  currency: Currency of every amount of the row.
  offer_type: PERCENT_OF_SALE or FLAT_RATE; from the same source as the name.
  nominal_rate: >
    The offer's current rate, a fraction (0.1 is 10 %); NULL for a flat rate. From the same source as the name.
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
  manual_credits: Part of commission that comes from manual credits.
  clicks: >
    Known clicks on the offer's links in all currencies, because a click has no currency: not to be added up across
    currencies. NULL where the account offers no clicks, or none that say whose they are.
  conversion_rate: >
    Orders that a click led to (no renewals, no coupons; pending or approved, in all currencies) since the first known
    click, divided by clicks, a fraction. NULL where clicks are not known, or without any.
  epc: >
    Earnings per click, the commission of those orders in this currency, less their cancellations, divided by clicks.
    NULL if not known.
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
states:
  commission_denied: [conversions.DENIED]
  commission_unqualified: [conversions.UNQUALIFIED]
  approval_rate: [conversions.DENIED]
  approval_rate_by_value: [conversions.DENIED]
  quality_rate: [conversions.DENIED, conversions.UNQUALIFIED]
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
    c.conversion_kind,
    c.commission_state,
    c.total,
    c.commission,
    c.created_at,
    c.is_from_click,
    c.is_sale,
    c.is_net,
    c.is_earned,
    c.is_approved,
    c.is_decided,
    c.conversion_kind = 'order' AND c.is_approved
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
    sales_measures(counts_once),
    sum(CASE WHEN is_at_a_rate THEN total ELSE 0 END) AS sales_at_a_rate,
    sum(CASE WHEN is_at_a_rate THEN total * offer_amount ELSE 0 END) AS promised_percent,
    commission_by_state(),
    sum(CASE WHEN conversion_kind = 'manual credit' AND is_earned THEN commission ELSE 0 END) AS manual_credits,
    orders_by_state()
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

click_results(offer_id, conversions, counts_once),

compared AS (
  SELECT
    p.*,
    sum(sales) OVER (PARTITION BY currency) AS all_sales
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
  rate(promised_percent, sales_at_a_rate * 100) AS nominal_rate_at_order,
  CAST(CASE WHEN offer_type = 'FLAT_RATE' THEN terms END AS DECIMAL(18, 4)) AS nominal_amount,
  rate(net_commission, net_totals) AS effective_commission_rate,
  affiliates,
  t.orders,
  CAST(sales AS DECIMAL(38, 4)) AS sales,
  share(sales, all_sales) AS sales_share,
  cancellations,
  CAST(net_sales AS DECIMAL(38, 4)) AS net_sales,
  average(sales, t.orders) AS aov,
  CAST(t.commission AS DECIMAL(38, 4)) AS commission,
  commission_columns(t),
  CAST(manual_credits AS DECIMAL(38, 4)) AS manual_credits,
  CASE WHEN k.since IS NOT NULL AND (is_listed OR n.clicks IS NOT NULL) THEN coalesce(n.clicks, 0) END AS clicks,
  rate(coalesce(w.orders, 0), n.clicks) AS conversion_rate,
  average(coalesce(e.commission, 0), n.clicks) AS epc,
  conversions_pending,
  share(conversions_approved, conversions_approved + conversions_denied) AS approval_rate,
  share(approved, decided) AS approval_rate_by_value,
  share(conversions_approved, conversions_approved + conversions_denied + conversions_unqualified) AS quality_rate
FROM termed AS t
LEFT JOIN known_clicks AS k ON TRUE
LEFT JOIN clicks AS n ON n.offer_id = t.offer_id
LEFT JOIN orders_of_clicks AS w ON w.offer_id = t.offer_id
LEFT JOIN earned_of_clicks AS e ON e.offer_id = t.offer_id AND e.currency = t.currency
ORDER BY sales_share DESC, t.currency, t.offer_id
