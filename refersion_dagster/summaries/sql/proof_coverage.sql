/*
group: proof
description: >
  How much of the commission is proven, and by what: by Refersion's own totals (the conversion's month, status and
  payment status agree in control_totals, under an interpretation that includes its currency), else by a payment that
  agrees with its conversions (payment_proof), or not at all. A load without errors is not a proof.


  Covers pending and approved conversions. Amounts are added up as absolute values, because a cancellation needs a
  proof as much as an order does, and so that shares stay between 0 and 1. Months are those of UTC, as in
  control_totals.
grain: one row per currency and month
primary_key: [currency, month]
owners: [team:data]
macros: [share, compared_payment_status]
questions:
  - What share of the commission is proven, and by what?
  - For which currencies and months is there no proof?
columns:
  currency: Currency of every amount of the row.
  month: First day of the month of creation, in UTC.
  conversions: Number of pending and approved conversions.
  commission: Their commission, added up as absolute values.
  proven_by_totals: Of that, commission in cells of control_totals that agree and count the conversion's currency.
  accepted: Of that, commission in cells whose difference was accepted.
  proven_by_payments: Of the rest, commission of conversions whose payment agrees with all that name it.
  not_proven: Commission that is proven by neither.
  not_settled: >
    Of that, commission in cells that kept changing while they were read: the next refresh compares them again.
  share_by_totals: Proven by totals, a fraction of commission; NULL without any.
  share_by_payments: Proven by payments, a fraction of commission; NULL without any.
  share_not_proven: Not proven, a fraction of commission; NULL without any.
  oldest_read_at: When the least recently read row was read.
  not_offered: Tables and fields that the account does not offer, so that they prove nothing; NULL if there are none.
# What an account does not offer proves nothing: that is known, and no gap.
needs:
  proven_by_totals: []
  accepted: []
  proven_by_payments: []
  not_proven: []
  not_settled: []
  share_by_totals: []
  share_by_payments: []
  share_not_proven: []
*/
WITH account AS (
  SELECT count(CASE WHEN payment_status = 'UNPAID' THEN 1 END) AS unpaid
  FROM refersion_data.conversions
),

counted AS (
  SELECT
    CAST(date_trunc('month', c.created AT TIME ZONE 'UTC') AS DATE) AS month,
    c.created,
    c.currency,
    c.status,
    compared_payment_status(c, a.unpaid) AS payment_status,
    coalesce(c.payment_id, c.payment__id) AS payment_id,
    abs(c.commission_total) AS commission,
    c.read_at
  FROM refersion_data.conversions AS c
  CROSS JOIN account AS a
  WHERE c.vanished_at IS NULL AND NOT coalesce(c.is_test_conversion, FALSE) AND c.status IN ('PENDING', 'APPROVED')
),

-- Apart from totals of one currency: DuckDB joins by comparisons of two columns, and compares all rows for any OR.
totals_of_all AS (
  SELECT month, status, payment_status, period_from, period_to, verdict
  FROM refersion_summaries.control_totals
  WHERE NOT currency_asked AND position('all currencies' IN interpretation) > 0
),

compared AS (
  SELECT
    c.*,
    coalesce(t.verdict, ta.verdict) AS verdict
  FROM counted AS c
  LEFT JOIN refersion_summaries.control_totals AS t
    ON t.month = c.month AND t.status = c.status AND t.payment_status = c.payment_status
    AND t.totals_currency = c.currency
    AND c.created >= t.period_from AND c.created < t.period_to + INTERVAL '1' SECOND
  LEFT JOIN totals_of_all AS ta
    ON ta.month = c.month AND ta.status = c.status AND ta.payment_status = c.payment_status
    AND c.created >= ta.period_from AND c.created < ta.period_to + INTERVAL '1' SECOND
),

judged AS (
  SELECT
    c.currency,
    c.month,
    c.commission,
    c.read_at,
    CASE
      WHEN c.verdict = 'agrees' THEN 'totals'
      WHEN c.verdict = 'accepted' THEN 'accepted'
      WHEN p.payment_id IS NOT NULL THEN 'payment'
      WHEN c.verdict = 'not settled' THEN 'not settled'
      ELSE 'nothing'
    END AS proof
  FROM compared AS c
  LEFT JOIN refersion_summaries.payment_proof AS p
    ON p.payment_id = c.payment_id AND p.currency = c.currency AND p.proof = 'agrees'
),

summed AS (
  SELECT
    currency,
    month,
    count(*) AS conversions,
    CAST(sum(commission) AS DECIMAL(38, 4)) AS commission,
    CAST(sum(CASE WHEN proof = 'totals' THEN commission ELSE 0 END) AS DECIMAL(38, 4)) AS proven_by_totals,
    CAST(sum(CASE WHEN proof = 'accepted' THEN commission ELSE 0 END) AS DECIMAL(38, 4)) AS accepted,
    CAST(sum(CASE WHEN proof = 'payment' THEN commission ELSE 0 END) AS DECIMAL(38, 4)) AS proven_by_payments,
    CAST(sum(CASE WHEN proof IN ('nothing', 'not settled') THEN commission ELSE 0 END) AS DECIMAL(38, 4)) AS not_proven,
    CAST(sum(CASE WHEN proof = 'not settled' THEN commission ELSE 0 END) AS DECIMAL(38, 4)) AS not_settled,
    min(read_at) AS oldest_read_at
  FROM judged
  GROUP BY currency, month
)

SELECT
  currency,
  month,
  conversions,
  commission,
  proven_by_totals,
  accepted,
  proven_by_payments,
  not_proven,
  not_settled,
  share(proven_by_totals, commission) AS share_by_totals,
  share(proven_by_payments, commission) AS share_by_payments,
  share(not_proven, commission) AS share_not_proven,
  oldest_read_at,
  nullif(CAST($not_offered AS VARCHAR), '') AS not_offered
FROM summed
ORDER BY not_proven DESC, currency, month DESC
