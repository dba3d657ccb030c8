/*
group: core
description: >
  Every affiliate once, however Refersion identifies it: GraphQL's rfsn_parameter and REST's details connect the
  numeric id to the code of the referral link, and the REST list is joined by that code.
grain: one row per affiliate
primary_key: [affiliate_id]
owners: [team:data]
questions:
  - Which affiliates are there, in which state and offer?
  - Who cannot be paid because there is no PayPal e-mail?
columns:
  affiliate_id: Numeric affiliate id; the code where the account offers no number.
  affiliate_code: Affiliate code, the end of the referral link.
  name: Full name.
  email: E-mail.
  company: Company.
  status: >
    PENDING, ACTIVE, DENIED or DISABLED; taken from the list where possible, because it is loaded most often. NULL
    for an affiliate that Refersion no longer shows.
  country: Country.
  offer_id: Offer the affiliate is in now.
  paypal_email: PayPal e-mail.
  has_paypal_email: Whether there is a PayPal e-mail to pay to; NULL where the account does not show any.
  email_hash: Hash of the e-mail, made like the hashes of customers' e-mails, so that they can be compared.
  paypal_email_hash: Hash of the PayPal e-mail.
  in_list: Whether REST /affiliate/list shows the affiliate.
  vanished_at: When a reading no longer showed the affiliate, UTC; NULL while Refersion shows it.
needs:
  affiliate_id: affiliates.id | affiliate_get.id | affiliate_list.id
  affiliate_code: affiliates.rfsn_parameter | affiliate_get.affiliate_code | affiliate_list.id
  name: affiliates.name | affiliates.first_name | affiliate_get.first_name | affiliate_list.first_name
  email: affiliates.email | affiliate_get.email | affiliate_list.email
  status: affiliates.status | affiliate_get.status | affiliate_list.status
  company: affiliate_get.company_name
  offer_id: affiliate_list.offer_id | affiliate_get.offer_id
  has_paypal_email: affiliates.paypal_email
  in_list: affiliate_list.id
*/
WITH graphql AS (
  SELECT
    id AS affiliate_id,
    nullif(split_part(split_part(split_part(rfsn_parameter, 'rfsn=', 2), '&', 1), '.', 2), '') AS affiliate_code,
    coalesce(nullif(trim(name), ''), nullif(trim(concat(first_name, ' ', last_name)), '')) AS name,
    nullif(trim(email), '') AS email,
    nullif(status, '') AS status,
    nullif(trim(country), '') AS country,
    nullif(trim(paypal_email), '') AS paypal_email,
    email_hash,
    paypal_email_hash,
    vanished_at
  FROM refersion_data.affiliates
),

details AS (
  SELECT
    id AS affiliate_id,
    affiliate_code,
    nullif(trim(concat(first_name, ' ', last_name)), '') AS name,
    nullif(trim(email), '') AS email,
    nullif(status, '') AS status,
    nullif(trim(company_name), '') AS company,
    offer_id
  FROM refersion_data.affiliate_get
),

codes AS (
  SELECT affiliate_id, max(affiliate_code) AS affiliate_code
  FROM (
    SELECT affiliate_id, affiliate_code FROM graphql
    UNION
    SELECT affiliate_id, affiliate_code FROM details
  ) AS named
  GROUP BY affiliate_id
),

numbers AS (
  -- Of two numbers with one code, one is taken, so that no row of the list is joined twice.
  SELECT affiliate_code, max(affiliate_id) AS affiliate_id
  FROM codes
  WHERE affiliate_code IS NOT NULL
  GROUP BY affiliate_code
),

listed AS (
  SELECT
    coalesce(n.affiliate_id, l.id) AS affiliate_id,
    max(l.id) AS listed_as,
    max(nullif(trim(concat(l.first_name, ' ', l.last_name)), '')) AS name,
    max(nullif(trim(l.email), '')) AS email,
    max(nullif(l.status, '')) AS status,
    max(l.offer_id) AS offer_id,
    count(CASE WHEN l.vanished_at IS NULL THEN 1 END) > 0 AS is_there,
    max(l.vanished_at) AS vanished_at
  FROM refersion_data.affiliate_list AS l
  LEFT JOIN numbers AS n ON n.affiliate_code = l.id
  GROUP BY coalesce(n.affiliate_id, l.id)
),

ids AS (
  SELECT affiliate_id FROM codes
  UNION
  SELECT affiliate_id FROM listed
),

-- Gone is one that each of the two that know the affiliate no longer shows.
shown AS (
  SELECT
    coalesce(g.affiliate_id, l.affiliate_id) AS affiliate_id,
    (g.affiliate_id IS NULL OR g.vanished_at IS NOT NULL)
      AND (l.affiliate_id IS NULL OR NOT l.is_there) AS is_gone,
    greatest(coalesce(g.vanished_at, l.vanished_at), coalesce(l.vanished_at, g.vanished_at)) AS vanished_at
  FROM graphql AS g
  FULL JOIN listed AS l ON l.affiliate_id = g.affiliate_id
),

offered AS (
  SELECT count(paypal_email) AS paypal_emails FROM graphql
)

SELECT
  i.affiliate_id,
  coalesce(c.affiliate_code, CASE WHEN l.listed_as <> i.affiliate_id THEN l.listed_as END) AS affiliate_code,
  coalesce(g.name, d.name, l.name) AS name,
  coalesce(l.email, g.email, d.email) AS email,
  d.company,
  CASE WHEN NOT coalesce(s.is_gone, FALSE) THEN coalesce(l.status, g.status, d.status) END AS status,
  g.country,
  coalesce(l.offer_id, d.offer_id) AS offer_id,
  g.paypal_email,
  CASE
    WHEN g.paypal_email IS NOT NULL THEN TRUE
    WHEN o.paypal_emails > 0 AND g.affiliate_id IS NOT NULL THEN FALSE
  END AS has_paypal_email,
  g.email_hash,
  g.paypal_email_hash,
  coalesce(l.is_there, FALSE) AS in_list,
  CASE WHEN s.is_gone THEN s.vanished_at END AS vanished_at
FROM ids AS i
LEFT JOIN codes AS c ON c.affiliate_id = i.affiliate_id
LEFT JOIN graphql AS g ON g.affiliate_id = i.affiliate_id
LEFT JOIN details AS d ON d.affiliate_id = i.affiliate_id
LEFT JOIN listed AS l ON l.affiliate_id = i.affiliate_id
LEFT JOIN shown AS s ON s.affiliate_id = i.affiliate_id
CROSS JOIN offered AS o
