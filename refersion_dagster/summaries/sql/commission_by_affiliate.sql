/*
group: sales
description: >
  What each affiliate sold and earned, by the state their commission is in. Test conversions are left out; amounts of
  different currencies are never added up.
grain: one row per affiliate and currency
primary_key: [affiliate_id, currency]
owners: [team:data]
questions:
  - Who drove the sales?
  - What do we owe to whom, and what is still pending?
columns:
  affiliate_id: Numeric affiliate id; the affiliate's e-mail where the account offers no id.
  affiliate_name: Name, as the latest conversion has it where the affiliate is not in the list.
  affiliate_email: E-mail, found like the name.
  currency: Currency of every amount of the row.
  orders: Distinct orders, pending or approved.
  sales: Gross affiliate sales, the sum of totals of orders pending or approved.
  commission_pending: Commission that waits for approval.
  commission_due: Commission approved and not paid; cancellations and negative credits lower it.
  commission_paid: Commission approved and paid.
  commission_denied: Commission of denied conversions.
  commission_unqualified: Commission of unqualified conversions.
  aov: Average order value, sales by distinct orders; NULL without orders.
  first_order_at: First order pending or approved, UTC.
  last_order_at: Last order pending or approved, UTC.
*/
WITH conversions AS (
  SELECT
    coalesce(affiliate_id, affiliate__id, lower(affiliate__email)) AS affiliate_id,
    affiliate__name,
    affiliate__email,
    currency,
    order_id,
    id,
    created,
    total,
    commission_total,
    status,
    coalesce(payment_status = 'PAID', FALSE)
      OR coalesce(payment_id, payment__id) IS NOT NULL
      OR payment__created IS NOT NULL AS is_paid,
    total > 0
      AND coalesce(type, '') <> 'MANUAL_CREDIT_BY_CLIENT'
      AND coalesce(type, '') NOT LIKE 'CANCELLATION\_%' ESCAPE '\'
      AND status IN ('PENDING', 'APPROVED') AS is_order
  FROM refersion_data.conversions
  WHERE NOT coalesce(is_test_conversion, FALSE) AND vanished_at IS NULL
),

latest AS (
  SELECT
    affiliate_id,
    affiliate__name AS name,
    affiliate__email AS email,
    row_number() OVER (PARTITION BY affiliate_id ORDER BY created DESC, id DESC) AS recency
  FROM conversions
),

per_affiliate AS (
  SELECT
    affiliate_id,
    currency,
    count(DISTINCT CASE WHEN is_order THEN coalesce(order_id, id) END) AS orders,
    sum(CASE WHEN is_order THEN total ELSE 0 END) AS sales,
    sum(CASE WHEN status = 'PENDING' THEN commission_total ELSE 0 END) AS commission_pending,
    sum(CASE WHEN status = 'APPROVED' AND NOT is_paid THEN commission_total ELSE 0 END) AS commission_due,
    sum(CASE WHEN status = 'APPROVED' AND is_paid THEN commission_total ELSE 0 END) AS commission_paid,
    sum(CASE WHEN status = 'DENIED' THEN commission_total ELSE 0 END) AS commission_denied,
    sum(CASE WHEN status = 'UNQUALIFIED' THEN commission_total ELSE 0 END) AS commission_unqualified,
    min(CASE WHEN is_order THEN created END) AS first_order_at,
    max(CASE WHEN is_order THEN created END) AS last_order_at
  FROM conversions
  GROUP BY affiliate_id, currency
)

SELECT
  c.affiliate_id,
  coalesce(a.name, l.name) AS affiliate_name,
  coalesce(a.email, l.email) AS affiliate_email,
  c.currency,
  c.orders,
  CAST(c.sales AS DECIMAL(38, 4)) AS sales,
  CAST(c.commission_pending AS DECIMAL(38, 4)) AS commission_pending,
  CAST(c.commission_due AS DECIMAL(38, 4)) AS commission_due,
  CAST(c.commission_paid AS DECIMAL(38, 4)) AS commission_paid,
  CAST(c.commission_denied AS DECIMAL(38, 4)) AS commission_denied,
  CAST(c.commission_unqualified AS DECIMAL(38, 4)) AS commission_unqualified,
  -- Rounded half up on whole ten-thousandths: a division of decimals would go through floating point.
  CASE
    WHEN c.orders > 0
      THEN CAST((CAST(c.sales * 10000 AS HUGEINT) * 2 + c.orders) // (c.orders * 2) AS DECIMAL(18, 0))
        * CAST(0.0001 AS DECIMAL(5, 4))
  END AS aov,
  c.first_order_at,
  c.last_order_at
FROM per_affiliate AS c
LEFT JOIN latest AS l ON l.recency = 1 AND l.affiliate_id = c.affiliate_id
LEFT JOIN refersion_data.affiliates AS a ON a.id = c.affiliate_id
