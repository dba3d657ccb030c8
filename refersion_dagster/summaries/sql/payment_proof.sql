/*
group: owed
description: >
  Compares each payment with the conversions that name it: what Refersion says was paid, and for how many
  conversions, next to the sum and the number of the loaded ones. Conversions that vanished or were denied since
  count, as they were paid; test conversions do not, because nobody is paid for a test. What is paid by payments that
  are not loaded, or that no conversion names, has rows of its own, so that commission_paid adds up to all commission
  paid.
grain: one row per payment and currency; a payment has one currency unless conversions of another name it
primary_key: [payment_id, currency]
macros: [whole_number]
owners: [team:data]
questions:
  - Do the payments agree with the conversions they paid?
  - Which conversions are missing, or too many?
columns:
  payment_id: Payment id; (none) for paid conversions that name no payment.
  currency: Currency of the amounts.
  affiliate_id: Affiliate that was paid; NULL where the payment is not loaded or in another currency.
  affiliate_name: Name.
  paid_at: When it was paid, UTC.
  paid_month: First day of that month in the reporting time zone.
  proof: >
    agrees (amount and number), the only value that is a proof; differs; taken back (conversions that it paid, as
    readings showed, are not paid by it any more); gone (Refersion no longer shows the payment); rows from before the
    first load (fewer conversions than Refersion says, and every unpaid one of the affiliate's was read after the
    payment, so that those missing were made, or deleted, before conversions were first loaded); no rows named (this
    account's conversions do not say which payment paid them); payment not loaded (conversions name a payment that is
    not there); no payment named.
  amount: What was paid, as the payment says; 0 where it is gone, not loaded or in another currency.
  conversions_commission: Commission of the conversions that name it.
  commission_difference: amount less conversions_commission; must be 0.
  conversions_paid: Number of conversions, as the payment says; NULL where it does not.
  conversions_named: Number of conversions that name it.
  conversions_difference: conversions_paid less conversions_named; must be 0.
  commission_paid: Of their commission, that of conversions that count as paid today (approved, not vanished).
  conversions_left: Number of conversions that it paid, as a reading showed, and does not pay any more.
  commission_left: Commission of those, as it is now.
  conversions_vanished: Number of those that vanished from Refersion since.
  conversions_denied: Number of those that are not approved any more.
  test_conversions: Number of test conversions that name it; not counted in any figure.
  remark: Possible explanation of a difference; NULL if there is none.
sums:
  commission_paid: paid
needs:
  payment_id: &named conversions.payment_id | conversions.payment__id
  currency: []
  affiliate_id: payments.affiliate__id | payments.affiliate__email | conversions.payment_id | conversions.payment__id
  affiliate_name: []
  proof: [payments.id, *named]
  amount: payments.id
  conversions_commission: *named
  conversions_named: *named
  conversions_left: *named
  commission_left: *named
  conversions_vanished: *named
  conversions_denied: *named
  test_conversions: [*named, conversions.is_test_conversion]
  commission_difference: &both [payments.id, *named]
  conversions_difference: [payments.total_conversions, *named]
  commission_paid:
    - *named
    - conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  remark: *both
*/
WITH raw AS (
  SELECT
    coalesce(payment_id, payment__id) AS payment_id,
    currency,
    commission_total AS commission,
    coalesce(is_test_conversion, FALSE) AS is_test,
    vanished_at IS NOT NULL AS is_vanished,
    coalesce(status, '') = 'APPROVED' AS is_approved,
    coalesce(payment_status, '') = 'PAID' OR payment__created IS NOT NULL AS is_paid
  FROM refersion_data.conversions
),

named AS (
  SELECT
    coalesce(payment_id, '(none)') AS payment_id,
    currency,
    sum(CASE WHEN is_test THEN 0 ELSE commission END) AS commission,
    count(CASE WHEN NOT is_test THEN 1 END) AS conversions,
    sum(CASE WHEN is_approved AND NOT is_vanished AND NOT is_test THEN commission ELSE 0 END) AS commission_paid,
    count(CASE WHEN is_vanished AND NOT is_test THEN 1 END) AS vanished,
    count(CASE WHEN NOT is_approved AND NOT is_test THEN 1 END) AS denied,
    count(CASE WHEN is_test THEN 1 END) AS tests
  FROM raw
  WHERE payment_id IS NOT NULL OR (is_paid AND is_approved AND NOT is_vanished AND NOT is_test)
  GROUP BY coalesce(payment_id, '(none)'), currency
),

names AS (
  SELECT count(*) AS payments FROM named WHERE payment_id <> '(none)' AND conversions > 0
),

unpaid AS (
  SELECT c.affiliate_id, c.currency, min(r.read_at) AS oldest_read_at
  FROM refersion_summaries.conversions AS c
  JOIN refersion_data.conversions AS r ON r.id = c.conversion_id
  WHERE c.commission_state IN ('pending', 'due')
  GROUP BY c.affiliate_id, c.currency
),

unpaid_of_anybody AS (
  SELECT currency, min(oldest_read_at) AS oldest_read_at
  FROM unpaid
  GROUP BY currency
),

paid_once AS (
  SELECT DISTINCT h.id, h.payment_id
  FROM refersion_data.conversion_history AS h
  WHERE h.payment_id IS NOT NULL
),

-- Of rows that vanished, the last state is all that is known: they are still counted as paid.
gone_from AS (
  SELECT h.payment_id, c.currency, count(*) AS conversions, sum(c.commission_total) AS commission
  FROM paid_once AS h
  JOIN refersion_data.conversions AS c ON c.id = h.id
  WHERE coalesce(c.payment_id, c.payment__id, '') <> h.payment_id
    AND NOT coalesce(c.is_test_conversion, FALSE)
  GROUP BY h.payment_id, c.currency
),

payments AS (
  SELECT
    p.payment_id,
    p.currency,
    p.affiliate_id,
    p.paid_at,
    p.paid_month,
    p.amount,
    p.conversions,
    FALSE AS is_gone,
    CAST(NULL AS DECIMAL(18, 4)) AS amount_then
  FROM refersion_summaries.payments AS p
  UNION ALL
  SELECT
    id,
    currency,
    affiliate__id,
    created,
    CAST(date_trunc('month', created AT TIME ZONE $report_timezone) AS DATE),
    CAST(0 AS DECIMAL(18, 4)),
    CAST(NULL AS BIGINT),
    TRUE,
    commission_total
  FROM refersion_data.payments
  WHERE vanished_at IS NOT NULL
),

compared AS (
  SELECT
    coalesce(p.payment_id, n.payment_id) AS payment_id,
    coalesce(p.currency, n.currency) AS currency,
    p.payment_id IS NOT NULL AS is_loaded,
    coalesce(p.is_gone, FALSE) AS is_gone,
    p.amount_then,
    coalesce(g.conversions, 0) AS conversions_left,
    coalesce(g.commission, 0) AS commission_left,
    p.affiliate_id,
    p.paid_at,
    p.paid_month,
    coalesce(p.amount, 0) AS amount,
    p.conversions AS conversions_paid,
    coalesce(n.commission, 0) AS commission,
    coalesce(n.conversions, 0) AS conversions,
    coalesce(n.commission_paid, 0) AS commission_paid,
    coalesce(n.vanished, 0) AS vanished,
    coalesce(n.denied, 0) AS denied,
    coalesce(n.tests, 0) AS tests,
    -- Of all currencies: a conversion of another one is loaded, too.
    coalesce(
      sum(n.conversions) OVER (PARTITION BY coalesce(p.payment_id, n.payment_id)), 0
    ) AS conversions_of_all_currencies
  FROM payments AS p
  FULL JOIN named AS n ON n.payment_id = p.payment_id AND n.currency = p.currency
  LEFT JOIN gone_from AS g ON g.payment_id = p.payment_id AND g.currency = p.currency
  -- A payment that is not there and that tests alone name is no payment.
  WHERE p.payment_id IS NOT NULL OR n.conversions > 0
),

explained AS (
  SELECT
    c.*,
    o.payment_id IS NOT NULL AS is_of_other_currency,
    c.amount = c.commission AND coalesce(c.conversions_paid, c.conversions) = c.conversions AS agrees,
    c.conversions_of_all_currencies < coalesce(c.conversions_paid, 1) AS has_too_few,
    c.is_loaded AND c.conversions_of_all_currencies > c.conversions AS has_other_currency,
    -- Only a conversion that was last read before the payment can be part of it without saying so.
    coalesce(
      CASE WHEN c.affiliate_id = '(unknown)' THEN ua.oldest_read_at ELSE u.oldest_read_at END < c.paid_at, FALSE
    ) AS has_unread
  FROM compared AS c
  -- One equality, because DuckDB compares every row with every other if a condition concerns c alone.
  LEFT JOIN refersion_summaries.payments AS o ON o.payment_id = CASE WHEN NOT c.is_loaded THEN c.payment_id END
  LEFT JOIN unpaid AS u ON u.affiliate_id = c.affiliate_id AND u.currency = c.currency
  LEFT JOIN unpaid_of_anybody AS ua ON ua.currency = c.currency
)

SELECT
  e.payment_id,
  e.currency,
  e.affiliate_id,
  a.name AS affiliate_name,
  e.paid_at,
  e.paid_month,
  CASE
    WHEN e.payment_id = '(none)' THEN 'no payment named'
    WHEN NOT e.is_loaded AND NOT e.is_of_other_currency THEN 'payment not loaded'
    WHEN e.is_gone THEN 'gone'
    WHEN e.is_loaded AND e.agrees THEN 'agrees'
    WHEN e.is_loaded AND e.has_too_few AND e.conversions_left > 0 THEN 'taken back'
    WHEN names.payments = 0 THEN 'no rows named'
    WHEN e.is_loaded AND e.has_too_few AND NOT e.has_unread THEN 'rows from before the first load'
    ELSE 'differs'
  END AS proof,
  CAST(e.amount AS DECIMAL(38, 4)) AS amount,
  CAST(e.commission AS DECIMAL(38, 4)) AS conversions_commission,
  CAST(e.amount - e.commission AS DECIMAL(38, 4)) AS commission_difference,
  e.conversions_paid,
  e.conversions AS conversions_named,
  e.conversions_paid - e.conversions AS conversions_difference,
  CAST(e.commission_paid AS DECIMAL(38, 4)) AS commission_paid,
  e.conversions_left,
  CAST(e.commission_left AS DECIMAL(38, 4)) AS commission_left,
  e.vanished AS conversions_vanished,
  e.denied AS conversions_denied,
  e.tests AS test_conversions,
  nullif(
    concat_ws(
      '; ',
      CASE
        WHEN names.payments > 0 AND e.is_loaded AND NOT e.is_gone AND e.has_too_few AND e.has_unread
          AND e.conversions_left = 0
          THEN 'unpaid conversions of the affiliate were last read before the payment: read them again'
      END,
      CASE
        WHEN e.is_gone
          THEN concat('Refersion no longer shows it; it was ', CAST(CAST(e.amount_then AS DECIMAL(18, 4)) AS VARCHAR), ' ', e.currency)
      END,
      CASE
        WHEN e.conversions_left > 0
          THEN concat(whole_number(e.conversions_left), ' conversions that it paid are not paid by it any more')
      END,
      CASE WHEN e.is_of_other_currency THEN 'the payment is in another currency' END,
      CASE WHEN e.has_other_currency THEN 'conversions in another currency name it' END,
      CASE WHEN e.vanished > 0 THEN concat(whole_number(e.vanished), ' vanished from Refersion since') END,
      CASE WHEN e.denied > 0 THEN concat(whole_number(e.denied), ' not approved any more') END,
      CASE WHEN e.tests > 0 THEN concat(whole_number(e.tests), ' tests name it and are left out') END
    ),
    ''
  ) AS remark
FROM explained AS e
CROSS JOIN names
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = e.affiliate_id
ORDER BY CASE WHEN e.is_loaded AND e.agrees AND NOT e.is_gone THEN 1 ELSE 0 END, e.paid_at DESC, e.payment_id, e.currency
