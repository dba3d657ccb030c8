/*
group: proof
description: >
  The proof that what was loaded is what Refersion has: the sums of the loaded conversions against Refersion's own by
  REST /conversion/totals, to the cent. Both cover the same seconds: months in UTC, from the first load to the end of
  the period that the last run read.


  Where the account takes a currency in the request, each currency is compared separately. Otherwise Refersion
  answers in one currency and does not say whether conversions in other currencies, or tests, are included. So the
  loaded rows are added up in each of these ways. The interpretation that fits every month, status and payment status
  is chosen and kept from then on: if Refersion starts to count differently, it shows as a difference. To determine
  the interpretation again, drop this table and rebuild it.
grain: >
  one row per month, status and payment status in which Refersion or the warehouse has conversions, and per currency
  that was requested
primary_key: [month, status, payment_status, totals_currency]
owners: [team:data]
macros: [compared_payment_status, whole_number]
questions:
  - Does the warehouse have every conversion of Refersion, with its status and amounts, and nothing else?
  - In which month and status is there a difference, and how large is it?
columns:
  month: >
    First day of the month of creation, in UTC regardless of the reporting time zone, because Refersion's totals are
    requested that way.
  status: Conversion status; (none) for loaded conversions without any.
  payment_status: >
    PAID or UNPAID; (none) for loaded conversions without any. On an account that never says UNPAID, conversions without
    a payment count as UNPAID.
  verdict: >
    agrees, accepted (a difference named by REFERSION_ACCEPTED_DIFFERENCES, or within REFERSION_CONTROL_TOLERANCE in
    each of count, commission and order total), differs, not settled (it changed while it was read, several times in
    a row: the next refresh compares it again), or not compared (there is nothing to compare it with; see remark).
  remark: Possible cause of a difference and what to do about it, or who accepted it, when and why.
  difference: >
    The difference as REFERSION_ACCEPTED_DIFFERENCES names it: month, status, payment status and currency, and by how much
    count, commission and order total are more than Refersion's. NULL where there is none.
  refersion_count: Refersion's number of conversions; NULL where it was not requested.
  loaded_count: Conversions loaded, of those that the interpretation counts.
  count_difference: Loaded less Refersion's.
  refersion_commission: Refersion's total commission, in totals_currency.
  loaded_commission: >
    Commission loaded; under an interpretation of all currencies added up as they are, as Refersion would have.
  commission_difference: Loaded less Refersion's.
  refersion_order_total: Refersion's total order amount, in totals_currency.
  loaded_order_total: Order amounts loaded.
  order_total_difference: Loaded less Refersion's.
  rows_left_out: >
    Loaded conversions of the month and status that were not compared: of other currencies or tests where the
    interpretation leaves these out, or made outside of period_from to period_to.
  totals_currency: >
    Currency of Refersion's totals: the one that it names or, where each is asked for, the one that was; (none) where
    neither is known.
  currency_asked: >
    Whether this currency was named in the request, so that the totals cover it alone. Otherwise they are in the
    account's own currency, and other currencies are proven only by an interpretation that includes them.
  period_from: First second that was compared, UTC.
  period_to: Last second that was compared, UTC.
  totals_read_at: When the totals were requested, UTC.
  interpretation: >
    What Refersion's totals include: its currency only or all currencies added up, tests left out or tests counted.
    Where several fit equally well, the first of these; where none fits, the closest.
  interpretation_fits: Whether the interpretation fits the whole account; NULL where there is nothing to compare.
  interpretation_kept: >
    Whether the next build keeps to interpretations_possible. Not before the account has conversions by which
    interpretations can be distinguished.
  interpretations_possible: >
    The interpretations that have fitted in every build so far. Once none fits any more, those that did before.
renamed:
  interpretation: reading
  interpretation_fits: reading_fits
  interpretation_kept: reading_kept
  interpretations_possible: readings_possible
needs:
  payment_status: &paid >-
    conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  verdict: &compared [conversion_totals.conversions_count, *paid]
  remark: *compared
  difference: *compared
  interpretation_fits: *compared
  interpretation_kept: *compared
  interpretations_possible: *compared
  rows_left_out: *compared
  loaded_count: *compared
  loaded_commission: *compared
  loaded_order_total: *compared
  count_difference: *compared
  commission_difference: *compared
  order_total_difference: *compared
*/
WITH interpretations AS (
  -- In order of preference. Adding up different currencies is not a figure of ours: it is what a server would answer
  -- that pays no heed to the currency, and is only held against that answer.
  SELECT 1 AS preference, 'its currency only, tests left out' AS interpretation, FALSE AS all_currencies, FALSE AS with_tests
  UNION ALL
  SELECT 2, 'its currency only, tests counted', FALSE, TRUE
  UNION ALL
  SELECT 3, 'all currencies added up, tests left out', TRUE, FALSE
  UNION ALL
  SELECT 4, 'all currencies added up, tests counted', TRUE, TRUE
),

latest AS (
  SELECT
    t.*,
    CAST(date_trunc('month', t.period_from AT TIME ZONE 'UTC') AS DATE) AS month,
    -- A month may have been asked for in parts: another start date, or a span that a run was given.
    row_number() OVER (
      PARTITION BY
        date_trunc('month', t.period_from AT TIME ZONE 'UTC'),
        t.status,
        t.payment_status,
        CASE WHEN t.currency_asked THEN t.currency END
      ORDER BY t.read_at DESC, t.period_from
    ) AS place
  FROM refersion_data.conversion_totals AS t
  WHERE t.granularity = 'month'
),

mode AS (
  SELECT count(CASE WHEN currency_asked THEN 1 END) > 0 AS by_currency
  FROM latest
),

asked AS (
  SELECT
    month,
    status,
    payment_status,
    period_from,
    period_to,
    period_to + INTERVAL '1' SECOND AS period_end,
    conversions_count,
    commission_total,
    order_total,
    currency,
    CASE WHEN currency_asked THEN currency ELSE '' END AS asked_for,
    read_at
  FROM latest
  -- Once each currency is asked for, answers from before that say no more.
  WHERE place = 1 AND coalesce(currency_asked, FALSE) = (SELECT by_currency FROM mode)
),

account AS (
  SELECT
    max(coalesce(vanished_at, read_at)) AS read_at,
    count(CASE WHEN payment_status = 'UNPAID' THEN 1 END) AS unpaid,
    (SELECT by_currency FROM mode) AS by_currency,
    (SELECT max(currency) FROM asked) AS currency,
    -- Each run asks for the running month; of years long gone it asks whether anything changed, and then no further.
    (SELECT max(read_at) FROM asked WHERE month = (SELECT max(month) FROM asked)) AS totals_read_at,
    (
      SELECT count(*)
      FROM interpretations
      WHERE position(interpretation IN CAST($control_interpretation AS TEXT)) > 0
        AND NOT (all_currencies AND (SELECT by_currency FROM mode))
    ) AS kept
  FROM refersion_data.conversions
),

conversions AS (
  SELECT
    CAST(date_trunc('month', c.created AT TIME ZONE 'UTC') AS DATE) AS month,
    coalesce(nullif(c.status, ''), '(none)') AS status,
    compared_payment_status(c, a.unpaid) AS payment_status,
    c.currency,
    coalesce(c.is_test_conversion, FALSE) AS is_test,
    c.created,
    c.commission_total,
    c.total,
    coalesce(c.vanished_at, c.read_at) AS read_at,
    c.vanished_at IS NOT NULL AS vanished
  FROM refersion_data.conversions AS c
  CROSS JOIN account AS a
),

placed AS (
  SELECT c.*, a.month IS NULL OR (c.created >= a.period_from AND c.created < a.period_end) AS in_period
  FROM conversions AS c
  CROSS JOIN mode
  LEFT JOIN asked AS a
    ON a.month = c.month AND a.status = c.status AND a.payment_status = c.payment_status
    AND a.asked_for = CASE WHEN mode.by_currency THEN c.currency ELSE '' END
),

-- A few thousand groups, so that all that follows costs nothing.
grouped AS (
  SELECT
    month,
    status,
    payment_status,
    currency,
    is_test,
    vanished,
    in_period,
    count(*) AS conversions,
    sum(commission_total) AS commission,
    sum(total) AS order_total,
    max(read_at) AS read_at
  FROM placed
  GROUP BY month, status, payment_status, currency, is_test, vanished, in_period
),

months AS (
  SELECT month, max(read_at) AS read_at
  FROM grouped
  GROUP BY month
),

present AS (
  SELECT
    g.month,
    g.status,
    g.payment_status,
    CASE WHEN a.by_currency THEN g.currency ELSE a.currency END AS currency,
    CASE WHEN a.by_currency THEN g.currency ELSE '' END AS asked_for,
    CAST(sum(g.conversions) AS BIGINT) AS conversions
  FROM grouped AS g
  CROSS JOIN account AS a
  WHERE NOT g.vanished
  GROUP BY
    g.month,
    g.status,
    g.payment_status,
    CASE WHEN a.by_currency THEN g.currency ELSE a.currency END,
    CASE WHEN a.by_currency THEN g.currency ELSE '' END
),

cells AS (
  SELECT
    coalesce(a.month, p.month) AS month,
    coalesce(a.status, p.status) AS status,
    coalesce(a.payment_status, p.payment_status) AS payment_status,
    coalesce(p.conversions, 0) AS conversions,
    a.month IS NOT NULL AS was_asked,
    a.conversions_count,
    a.commission_total,
    a.order_total,
    coalesce(a.currency, p.currency, account.currency, '(none)') AS currency,
    account.by_currency,
    a.period_from,
    a.period_to,
    a.read_at,
    -- Rows that were read again later may have another status by now; rows newer than the last reading are not here.
    m.read_at > a.read_at AND m.read_at > account.totals_read_at AS totals_older,
    a.period_to > account.read_at AS totals_further
  FROM asked AS a
  FULL JOIN present AS p
    ON p.month = a.month AND p.status = a.status AND p.payment_status = a.payment_status
    AND p.asked_for = a.asked_for
  LEFT JOIN months AS m ON m.month = a.month
  CROSS JOIN account
),

loaded AS (
  SELECT
    c.month,
    c.status,
    c.payment_status,
    c.currency,
    r.interpretation,
    coalesce(sum(g.conversions), 0) AS conversions,
    coalesce(sum(g.commission), 0) AS commission,
    coalesce(sum(g.order_total), 0) AS order_total,
    coalesce(sum(CASE WHEN g.currency <> c.currency THEN g.conversions END), 0) AS foreign_conversions
  FROM cells AS c
  CROSS JOIN interpretations AS r
  LEFT JOIN grouped AS g
    ON g.month = c.month AND g.status = c.status AND g.payment_status = c.payment_status
    AND g.in_period AND NOT g.vanished
    AND ((r.all_currencies AND NOT c.by_currency) OR g.currency = c.currency)
    AND (r.with_tests OR NOT g.is_test)
  GROUP BY c.month, c.status, c.payment_status, c.currency, r.interpretation
),

compared AS (
  SELECT
    c.*,
    l.interpretation,
    l.foreign_conversions,
    CAST(l.conversions AS BIGINT) AS loaded_count,
    CAST(l.commission AS DECIMAL(38, 4)) AS loaded_commission,
    CAST(l.order_total AS DECIMAL(38, 4)) AS loaded_order_total,
    CAST(l.conversions - c.conversions_count AS BIGINT) AS count_difference,
    CAST(l.commission - c.commission_total AS DECIMAL(38, 4)) AS commission_difference,
    CAST(l.order_total - c.order_total AS DECIMAL(38, 4)) AS order_total_difference,
    c.was_asked AND NOT coalesce(c.totals_older, FALSE) AND NOT coalesce(c.totals_further, FALSE) AS is_asked_since,
    -- ';2025-03-01 APPROVED UNPAID USD 1743508800;': the cell, and the second at which its totals were read.
    position(
      concat(
        ';', CAST(CAST(c.month AS DATE) AS VARCHAR), ' ', c.status, ' ', c.payment_status, ' ', c.currency, ' ',
        CAST(CAST(extract(epoch FROM c.read_at) AS BIGINT) AS VARCHAR), ';'
      ) IN CAST($not_settled AS VARCHAR)
    ) > 0 AS is_moving
  FROM cells AS c
  JOIN loaded AS l
    ON l.month = c.month AND l.status = c.status AND l.payment_status = c.payment_status AND l.currency = c.currency
),

named AS (
  SELECT
    c.*,
    CASE
      WHEN count_difference <> 0 OR commission_difference <> 0 OR order_total_difference <> 0
        THEN concat(
          substring(CAST(CAST(month AS DATE) AS VARCHAR), 1, 7), ' ', status, ' ', payment_status, ' ', currency, ' ',
          whole_number(count_difference), ' ', CAST(CAST(commission_difference AS DECIMAL(38, 4)) AS VARCHAR), ' ',
          CAST(CAST(order_total_difference AS DECIMAL(38, 4)) AS VARCHAR)
        )
    END AS difference
  FROM compared AS c
),

-- ';2025-03 APPROVED UNPAID USD -1 -2.5000 -25.0000=Ana on 2025-04-02: counted twice there;'
looked_up AS (
  SELECT
    n.*,
    nullif(
      split_part(split_part(CAST($accepted_differences AS VARCHAR), concat(';', n.difference, '='), 2), ';', 1), ''
    ) AS accepted_by
  FROM named AS n
),

weighed AS (
  SELECT
    c.*,
    is_asked_since AND NOT is_moving AS comparable,
    abs(count_difference) <= $control_tolerance OR accepted_by IS NOT NULL AS count_fits,
    (abs(commission_difference) <= $control_tolerance AND abs(order_total_difference) <= $control_tolerance)
      OR accepted_by IS NOT NULL AS amounts_fit
  FROM looked_up AS c
),

judged AS (
  SELECT
    r.interpretation,
    r.preference,
    NOT (r.all_currencies AND a.by_currency)
      AND (a.kept = 0 OR position(r.interpretation IN CAST($control_interpretation AS TEXT)) > 0) AS is_candidate,
    count(w.month) AS cells,
    count(CASE WHEN NOT (w.count_fits AND w.amounts_fit) THEN 1 END) AS misfits,
    coalesce(
      sum(abs(w.count_difference) + abs(w.commission_difference) + abs(w.order_total_difference)), 0
    ) AS distance,
    -- A server that converts counts the rows of all currencies, and agrees wherever there is nothing to convert.
    r.all_currencies
      AND count(CASE WHEN NOT w.count_fits OR (w.foreign_conversions = 0 AND NOT w.amounts_fit) THEN 1 END) = 0
      AND count(CASE WHEN w.foreign_conversions > 0 AND NOT w.amounts_fit THEN 1 END) > 0 AS looks_converted
  FROM interpretations AS r
  CROSS JOIN account AS a
  LEFT JOIN weighed AS w ON w.interpretation = r.interpretation AND w.comparable
  GROUP BY r.interpretation, r.preference, r.all_currencies, a.kept, a.by_currency
),

choice AS (
  SELECT
    interpretation,
    cells > 0 AND misfits = 0 AS fits,
    row_number() OVER (ORDER BY CASE WHEN misfits = 0 THEN 0 ELSE 1 END, distance, preference) AS place
  FROM judged
  WHERE is_candidate
),

conclusion AS (
  SELECT
    max(cells) AS cells,
    count(CASE WHEN is_candidate AND misfits = 0 THEN 1 END) AS fitting,
    string_agg(CASE WHEN is_candidate AND misfits = 0 THEN interpretation END, ' or ' ORDER BY preference)
      AS fitting_names,
    string_agg(CASE WHEN NOT is_candidate AND misfits = 0 THEN interpretation END, ' or ' ORDER BY preference)
      AS other_names,
    max(CASE WHEN looks_converted THEN 1 ELSE 0 END) AS looks_converted
  FROM judged
)

SELECT
  w.month,
  w.status,
  w.payment_status,
  CASE
    WHEN w.count_difference = 0 AND w.commission_difference = 0 AND w.order_total_difference = 0 THEN 'agrees'
    WHEN NOT w.is_asked_since THEN 'not compared'
    WHEN w.is_moving THEN 'not settled'
    WHEN w.count_fits AND w.amounts_fit THEN 'accepted'
    ELSE 'differs'
  END AS verdict,
  CASE
    WHEN w.count_difference = 0 AND w.commission_difference = 0 AND w.order_total_difference = 0 THEN NULL
    WHEN NOT w.was_asked AND EXISTS (SELECT 1 FROM asked AS a WHERE a.month = w.month)
      THEN 'Refersion gives no totals of this status and payment status.'
    WHEN NOT w.was_asked THEN 'Refersion was not asked for this month: materialise refersion/conversion_totals.'
    WHEN w.totals_older
      THEN 'Conversions of this month were read again after the totals: materialise refersion/conversion_totals.'
    WHEN w.totals_further
      THEN 'The totals reach further than the conversions that were read: run refersion_refresh.'
    WHEN w.is_moving
      THEN 'Orders or changes came in whenever it was read: the next refresh reads and compares it again.'
    WHEN w.accepted_by IS NOT NULL THEN concat('Accepted by ', w.accepted_by)
    WHEN w.count_fits AND w.amounts_fit THEN 'Within REFERSION_CONTROL_TOLERANCE.'
    WHEN NOT k.fits AND n.other_names IS NOT NULL
      THEN concat(
        'Refersion seems to count otherwise than before: it would fit with ', n.other_names,
        '. If that is right, drop refersion_summaries.control_totals and build it again.'
      )
    WHEN NOT k.fits AND n.looks_converted = 1
      THEN 'Counts fit with all currencies and amounts do not: Refersion seems to convert, at rates it does not tell.'
    ELSE concat(
      CASE
        WHEN w.count_difference < 0
          THEN 'Refersion counts more than is loaded: conversions are missing, or have another status in the warehouse.'
        WHEN w.count_difference > 0
          THEN 'More is loaded than Refersion counts: conversions have another status by now, or are gone.'
        ELSE 'As many conversions as Refersion counts, with other amounts.'
      END,
      ' Run refersion_backfill for this month.'
    )
  END AS remark,
  w.difference,
  w.conversions_count AS refersion_count,
  w.loaded_count,
  w.count_difference,
  CAST(w.commission_total AS DECIMAL(38, 4)) AS refersion_commission,
  w.loaded_commission,
  w.commission_difference,
  CAST(w.order_total AS DECIMAL(38, 4)) AS refersion_order_total,
  w.loaded_order_total,
  w.order_total_difference,
  w.conversions - w.loaded_count AS rows_left_out,
  w.currency AS totals_currency,
  w.by_currency AS currency_asked,
  w.period_from,
  w.period_to,
  w.read_at AS totals_read_at,
  k.interpretation,
  CASE WHEN n.cells > 0 THEN k.fits END AS interpretation_fits,
  account.kept > 0 OR (n.cells > 0 AND n.fitting BETWEEN 1 AND CASE WHEN w.by_currency THEN 1 ELSE 3 END)
    AS interpretation_kept,
  CASE
    WHEN n.cells > 0 AND n.fitting > 0 THEN n.fitting_names
    WHEN account.kept > 0 THEN CAST($control_interpretation AS TEXT)
  END AS interpretations_possible
FROM weighed AS w
JOIN choice AS k ON k.interpretation = w.interpretation AND k.place = 1
CROSS JOIN conclusion AS n
CROSS JOIN account
WHERE w.conversions > 0 OR w.conversions_count <> 0 OR w.commission_total <> 0 OR w.order_total <> 0
ORDER BY
  CASE
    WHEN w.count_difference = 0 AND w.commission_difference = 0 AND w.order_total_difference = 0 THEN 3
    WHEN NOT w.comparable THEN 1
    WHEN w.count_fits AND w.amounts_fit THEN 2
    ELSE 0
  END,
  w.month DESC,
  w.status,
  w.payment_status,
  w.currency
