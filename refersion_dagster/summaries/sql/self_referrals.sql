/*
group: review
description: >
  Orders whose customer has the e-mail or the PayPal e-mail of the affiliate who gets the commission. What Refersion
  denied or found unqualified, as it does with those it detects, is left out.
grain: one row per conversion
primary_key: [conversion_id]
owners: [team:data]
questions:
  - Which affiliates earn commission on what they buy themselves?
columns:
  conversion_id: Conversion id.
  affiliate_id: Affiliate who gets the commission.
  same_as: Which e-mail of the affiliate is the customer's (e-mail, PayPal e-mail, or e-mail and PayPal e-mail).
  order_id: The shop's order.
  commission_state: pending, due or paid.
  commission: Commission of the order, less what cancellations took back.
  currency: Currency of the commission.
  created_at: When the conversion was made, UTC.
renamed:
  commission_state: state
needs:
  conversion_id:
    - conversions.customer__email
    - affiliates.email_hash
    - affiliates.paypal_email_hash
  same_as: [affiliates.email_hash, affiliates.paypal_email_hash]
*/
WITH orders AS (
  SELECT
    conversion_id,
    affiliate_id,
    affiliate_email,
    customer_email,
    order_id,
    commission_state,
    net_commission AS commission,
    currency,
    created_at
  FROM refersion_summaries.conversions
  WHERE is_sale AND customer_email IS NOT NULL
),

-- Customers' e-mails are hashes that compare with the affiliates' hashes. Where REFERSION_PII keeps them as they are,
-- they get the same normal form here: no case, no +tag, and no dots at Gmail.
addresses AS (
  SELECT customer_email AS address FROM orders WHERE position('@' IN customer_email) > 0
  UNION
  SELECT affiliate_email FROM orders WHERE affiliate_email IS NOT NULL
  UNION
  SELECT email FROM refersion_summaries.affiliates WHERE email IS NOT NULL
  UNION
  SELECT paypal_email FROM refersion_summaries.affiliates WHERE paypal_email IS NOT NULL
),

parts AS (
  SELECT
    address,
    split_part(split_part(lower(trim(address)), '@', 1), '+', 1) AS name,
    split_part(lower(trim(address)), '@', 2) AS host
  FROM addresses
),

normal AS (
  SELECT
    address,
    CASE
      WHEN host IN ('gmail.com', 'googlemail.com') THEN concat(replace(name, '.', ''), '@gmail.com')
      ELSE concat(name, '@', host)
    END AS identity
  FROM parts
),

identities AS (
  SELECT affiliate_id, email_hash AS identity, 1 AS of_email, 0 AS of_paypal
  FROM refersion_summaries.affiliates
  UNION ALL
  SELECT affiliate_id, paypal_email_hash, 0, 1
  FROM refersion_summaries.affiliates
  UNION ALL
  SELECT a.affiliate_id, n.identity, 1, 0
  FROM refersion_summaries.affiliates AS a
  JOIN normal AS n ON n.address = a.email
  UNION ALL
  SELECT a.affiliate_id, n.identity, 0, 1
  FROM refersion_summaries.affiliates AS a
  JOIN normal AS n ON n.address = a.paypal_email
  UNION ALL
  SELECT o.affiliate_id, n.identity, 1, 0
  FROM (SELECT DISTINCT affiliate_id, affiliate_email FROM orders) AS o
  JOIN normal AS n ON n.address = o.affiliate_email
),

known_by AS (
  SELECT affiliate_id, identity, max(of_email) AS of_email, max(of_paypal) AS of_paypal
  FROM identities
  WHERE identity IS NOT NULL
  GROUP BY affiliate_id, identity
)

SELECT
  o.conversion_id,
  o.affiliate_id,
  CASE
    WHEN k.of_paypal = 0 THEN 'e-mail'
    WHEN k.of_email = 0 THEN 'PayPal e-mail'
    ELSE 'e-mail and PayPal e-mail'
  END AS same_as,
  o.order_id,
  o.commission_state,
  o.commission,
  o.currency,
  o.created_at
FROM orders AS o
LEFT JOIN normal AS n ON n.address = o.customer_email
JOIN known_by AS k ON k.affiliate_id = o.affiliate_id AND k.identity = coalesce(n.identity, o.customer_email)
ORDER BY o.created_at DESC, o.conversion_id
