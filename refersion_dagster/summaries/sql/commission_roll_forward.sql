/*
group: owed
description: >
  How what we owe moved from month to month: what was due when the month began, what was added, what was removed, and
  what was due when it ended. The closing is not calculated from the movements, which come from due_periods; it is
  counted independently from due_bounds. A closing is known where conversions were read within a day after the
  month's end, no two readings about the month lie more than two days apart, and they decide for every conversion
  whether it was due. Otherwise closing_due is NULL and the truth lies from closing_lowest to closing_highest;
  everything calculated from it is NULL too. Of what changed twice between two readings only the outcome is known:
  what was approved and denied in between is in no figure, and a commission that was corrected and paid is the one
  that was read. Rows that vanished from Refersion are removed from every month, including earlier ones.
grain: one row per currency and month, without gaps, from the first conversion to the month of the last reading
primary_key: [currency, month]
owners: [team:data]
questions:
  - Why do we owe more, or less, than a month ago?
  - What did we owe at the end of a month?
columns:
  currency: Currency of every amount of the row.
  month: First day of the month in the reporting time zone.
  opening_due: Commission due when the month began, the closing of the month before; NULL where that is not known.
  newly_due: >
    Commission of orders that were approved in the month, and what Refersion added to it while it was due; NULL where
    opening or closing are not known.
  manual_credits: Manual credits that were approved in the month, less negative ones; NULL if not known.
  paid: >
    Commission paid in the month, of all kinds of conversions, less payments taken back. Conversions that were denied
    after they were paid count too, as the money went out. Payments have dates, so this is known for months before
    the first reading as well; NULL where it is not known in which month conversions were paid.
  reversed: >
    Cancellations that were approved in the month and approvals that were taken back, and what Refersion took off
    commission that was due; a positive amount lowers what is due. NULL where opening or closing are not known.
  closing_due: >
    Commission due when the month ended, NULL where it is not known; in the running month, now, which is what
    commission_liability says.
  closing_lowest: The least that may have been due when the month ended; closing_due where that is known.
  closing_highest: The most that may have been due when the month ended; closing_due where that is known.
  change_in_due: Closing less opening; NULL where one of them is not known.
  difference: >
    opening_due + newly_due + manual_credits - paid - reversed - closing_due; must be 0. NULL where one of them is
    not known.
  vanished_due: >
    Not part of the sum: commission due of rows that vanished from Refersion in the month. A closing reported earlier
    was higher by this amount.
  basis: >
    How the closing is known: seen, running (the month goes on, and it is what is due now), or why it is not: before the
    first reading; no reading between two days, which are named; no reading within a day after the month; or seen, but
    not of all conversions (some changed between the readings about the month's end, or were not read since; due_bounds
    has them).
plot: {x: month, y: closing_due, by: currency}
needs:
  "*": >-
    conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
states:
  closing_lowest: [conversions.DENIED]
  closing_highest: [conversions.DENIED]
*/
WITH now AS (
  SELECT max(CAST(date_trunc('month', today) AS DATE)) AS month
  FROM refersion_summaries.data_as_of
),

stretches_of_rows AS (
  SELECT
    d.*,
    -- A commission that was changed, moved and paid between two readings counts as changed when it was paid.
    CASE WHEN entry_reason = 'moved' AND due_from_latest = due_until_latest THEN until_month ELSE from_month END
      AS came_month
  FROM refersion_summaries.due_periods AS d
),

periods AS (
  SELECT
    p.currency,
    p.conversion_kind,
    p.amount,
    p.amount_before,
    p.entry_reason,
    p.exit_reason,
    -- Dates after the last reading belong to its month; what is still due has no month of leaving. What came in a month
    -- that is not known is in none.
    CASE WHEN p.came_month > n.month THEN n.month ELSE p.came_month END AS from_month,
    CASE WHEN p.until_month > n.month THEN n.month ELSE p.until_month END AS until_month
  FROM stretches_of_rows AS p
  CROSS JOIN now AS n
),

came AS (
  SELECT
    currency,
    from_month AS month,
    sum(
      CASE
        WHEN conversion_kind IN ('manual credit', 'cancellation') THEN 0
        WHEN entry_reason = 'approved' THEN amount
        -- What moves between affiliates leaves and comes within the currency: only what was changed with it counts.
        WHEN entry_reason IN ('corrected', 'moved') AND amount > amount_before THEN amount - amount_before
        ELSE 0
      END
    ) AS newly_due,
    sum(
      CASE
        WHEN conversion_kind = 'manual credit' AND entry_reason <> 'payment taken back'
          THEN amount - coalesce(amount_before, 0)
        ELSE 0
      END
    ) AS manual_credits,
    sum(
      CASE
        WHEN conversion_kind = 'manual credit' OR entry_reason = 'payment taken back' THEN 0
        WHEN conversion_kind = 'cancellation' THEN coalesce(amount_before, 0) - amount
        WHEN entry_reason IN ('corrected', 'moved') AND amount < amount_before THEN amount_before - amount
        ELSE 0
      END
    ) AS reversed,
    sum(CASE WHEN entry_reason = 'payment taken back' THEN amount ELSE 0 END) AS payments_back
  FROM periods
  WHERE from_month IS NOT NULL
  GROUP BY currency, from_month
),

went AS (
  SELECT
    currency,
    until_month AS month,
    sum(CASE WHEN exit_reason = 'paid' THEN amount ELSE 0 END) AS paid,
    sum(CASE WHEN exit_reason = 'reversed' THEN amount ELSE 0 END) AS reversed
  FROM periods
  WHERE until_month IS NOT NULL
  GROUP BY currency, until_month
),

vanished AS (
  SELECT
    c.currency,
    least(CAST(date_trunc('month', c.vanished_at AT TIME ZONE $report_timezone) AS DATE), n.month) AS month,
    sum(c.commission_total) AS amount
  FROM refersion_data.conversions AS c
  CROSS JOIN now AS n
  WHERE c.vanished_at IS NOT NULL
    AND NOT coalesce(c.is_test_conversion, FALSE)
    AND c.status = 'APPROVED'
    AND coalesce(c.payment_status, '') <> 'PAID'
    AND coalesce(c.payment_id, c.payment__id) IS NULL
    AND c.payment__created IS NULL
  GROUP BY c.currency, 2
),

firsts AS (
  SELECT currency, min(month) AS first_month
  FROM (
    SELECT currency, min(booked_month) AS month FROM refersion_summaries.conversions GROUP BY currency
    UNION ALL
    SELECT currency, min(month) AS month FROM came GROUP BY currency
    UNION ALL
    SELECT currency, min(from_month) AS month FROM refersion_summaries.due_bounds GROUP BY currency
  ) AS known
  GROUP BY currency
),

-- From the month before the first, as its closing is the first opening.
months AS (
  SELECT f.currency, f.first_month, CAST(series.moment AS DATE) AS month
  FROM firsts AS f
  CROSS JOIN now AS n
  CROSS JOIN LATERAL generate_series(
    CAST(least(f.first_month, n.month) AS TIMESTAMP) - INTERVAL '1' MONTH, CAST(n.month AS TIMESTAMP), INTERVAL '1' MONTH
  ) AS series(moment)
),

-- A few thousand groups of all conversions.
stretches AS (
  SELECT currency, from_month, until_month, sum(lowest_of_all) AS lowest, sum(highest_of_all) AS highest
  FROM refersion_summaries.due_bounds
  GROUP BY currency, from_month, until_month
),

standing AS (
  SELECT m.currency, m.month, sum(s.lowest) AS lowest, sum(s.highest) AS highest
  FROM months AS m
  JOIN stretches AS s
    ON s.currency = m.currency
    AND s.from_month <= m.month
    AND (s.until_month IS NULL OR s.until_month > m.month)
  GROUP BY m.currency, m.month
),

due_now AS (
  SELECT currency, sum(commission) AS amount
  FROM refersion_summaries.conversions
  WHERE commission_state = 'due'
  GROUP BY currency
),

-- The table of readings may have been begun later than the history, of which the entries tell of readings as well. What
-- webhooks told has the time of its change.
readings AS (
  SELECT read_at FROM refersion_data.conversion_readings WHERE proven_by = 'read'
  UNION
  SELECT seen_at AS read_at FROM refersion_data.conversion_history WHERE seen_at IS DISTINCT FROM updated
  UNION
  SELECT read_at FROM refersion_summaries.conversions WHERE read_at IS DISTINCT FROM changed_at
),

spans AS (
  SELECT read_at, lead(read_at) OVER (ORDER BY read_at) AS next_at
  FROM readings
),

gaps AS (
  SELECT read_at, next_at
  FROM spans
  WHERE next_at > read_at + INTERVAL '48' HOUR
),

calendar AS (
  SELECT
    month,
    CAST(month AS TIMESTAMP) AT TIME ZONE $report_timezone AS began_at,
    (CAST(month AS TIMESTAMP) + INTERVAL '1' MONTH) AT TIME ZONE $report_timezone AS ended_at
  FROM (SELECT DISTINCT month FROM months) AS m
),

-- The longest stretch without a reading of each month, and the readings about its end.
about AS (
  SELECT
    c.month,
    min(c.ended_at) AS ended_at,
    min(s.read_at) AS first_at,
    max(CASE WHEN s.read_at < c.ended_at THEN s.read_at END) AS before_at,
    min(CASE WHEN s.read_at >= c.ended_at THEN s.read_at END) AS after_at
  FROM calendar AS c
  CROSS JOIN spans AS s
  GROUP BY c.month
),

missing AS (
  SELECT c.month, max(g.read_at) AS read_at, max(g.next_at) AS next_at
  FROM calendar AS c
  JOIN gaps AS g ON g.read_at < c.ended_at AND g.next_at > c.began_at
  GROUP BY c.month
),

seen AS (
  SELECT
    a.month,
    CASE
      WHEN a.month = n.month THEN 'running'
      WHEN a.before_at IS NULL THEN 'before the first reading'
      WHEN g.read_at IS NOT NULL THEN concat(
        'no reading between ',
        CAST(CAST(g.read_at AT TIME ZONE $report_timezone AS DATE) AS VARCHAR),
        ' and ',
        CAST(CAST(g.next_at AT TIME ZONE $report_timezone AS DATE) AS VARCHAR)
      )
      WHEN a.after_at IS NULL OR a.after_at > a.ended_at + INTERVAL '24' HOUR THEN 'no reading within a day after the month'
      ELSE 'seen'
    END AS basis,
    g.read_at IS NOT NULL AS has_gap
  FROM about AS a
  CROSS JOIN now AS n
  LEFT JOIN missing AS g ON g.month = a.month
),

-- Months in which conversions may have been paid that may have been paid in another month as well.
payments_unknown AS (
  SELECT DISTINCT m.currency, m.month
  FROM months AS m
  JOIN (
    SELECT
      currency,
      CAST(date_trunc('month', due_until_earliest AT TIME ZONE $report_timezone) AS DATE) AS from_month,
      CAST(date_trunc('month', due_until_latest AT TIME ZONE $report_timezone) AS DATE) AS until_month
    FROM refersion_summaries.due_periods
    WHERE exit_reason = 'paid' AND until_month IS NULL
    UNION
    SELECT
      currency,
      CAST(date_trunc('month', due_from_earliest AT TIME ZONE $report_timezone) AS DATE) AS from_month,
      CAST(date_trunc('month', due_from_latest AT TIME ZONE $report_timezone) AS DATE) AS until_month
    FROM refersion_summaries.due_periods
    WHERE entry_reason = 'payment taken back' AND from_month IS NULL
    UNION
    -- Paid when it was seen, and paid by a later payment now: when the first one was taken back is not known.
    SELECT
      s.currency,
      CAST(date_trunc('month', s.seen_at AT TIME ZONE $report_timezone) AS DATE) AS from_month,
      CAST(date_trunc('month', c.paid_at AT TIME ZONE $report_timezone) AS DATE) AS until_month
    FROM refersion_summaries.conversion_states AS s
    JOIN refersion_summaries.conversions AS c ON c.conversion_id = s.conversion_id
    WHERE s.state = 'paid' AND c.paid_at > s.seen_at + INTERVAL '24' HOUR
  ) AS u ON u.currency = m.currency AND m.month BETWEEN u.from_month AND u.until_month
),

bounded AS (
  SELECT
    m.currency,
    m.first_month,
    m.month,
    s.basis,
    s.has_gap,
    coalesce(CASE WHEN m.month = n.month THEN d.amount ELSE b.lowest END, 0) AS closing_lowest,
    coalesce(CASE WHEN m.month = n.month THEN d.amount ELSE b.highest END, 0) AS closing_highest
  FROM months AS m
  CROSS JOIN now AS n
  JOIN seen AS s ON s.month = m.month
  LEFT JOIN standing AS b ON b.currency = m.currency AND b.month = m.month
  LEFT JOIN due_now AS d ON d.currency = m.currency
),

closings AS (
  SELECT
    b.*,
    CASE
      WHEN basis = 'running' OR (basis = 'seen' AND closing_lowest = closing_highest) THEN closing_lowest
    END AS closing_due
  FROM bounded AS b
),

opened AS (
  SELECT c.*, lag(c.closing_due) OVER (PARTITION BY c.currency ORDER BY c.month) AS opening_due
  FROM closings AS c
),

tied AS (
  SELECT o.*, o.opening_due IS NOT NULL AND o.closing_due IS NOT NULL AND NOT o.has_gap AS is_known
  FROM opened AS o
),

added_up AS (
  SELECT
    x.currency,
    x.month,
    CASE WHEN x.basis = 'seen' AND x.closing_due IS NULL THEN 'seen, but not of all conversions' ELSE x.basis END AS basis,
    x.opening_due,
    CASE WHEN x.is_known THEN coalesce(c.newly_due, 0) END AS newly_due,
    CASE WHEN x.is_known THEN coalesce(c.manual_credits, 0) END AS manual_credits,
    CASE WHEN u.month IS NULL THEN coalesce(w.paid, 0) - coalesce(c.payments_back, 0) END AS paid,
    CASE WHEN x.is_known THEN coalesce(c.reversed, 0) + coalesce(w.reversed, 0) END AS reversed,
    x.closing_due,
    x.closing_lowest,
    x.closing_highest,
    coalesce(v.amount, 0) AS vanished_due
  FROM tied AS x
  LEFT JOIN came AS c ON c.currency = x.currency AND c.month = x.month
  LEFT JOIN went AS w ON w.currency = x.currency AND w.month = x.month
  LEFT JOIN vanished AS v ON v.currency = x.currency AND v.month = x.month
  LEFT JOIN payments_unknown AS u ON u.currency = x.currency AND u.month = x.month
  WHERE x.month >= x.first_month OR x.basis = 'running'
)

SELECT
  currency,
  month,
  CAST(opening_due AS DECIMAL(38, 4)) AS opening_due,
  CAST(newly_due AS DECIMAL(38, 4)) AS newly_due,
  CAST(manual_credits AS DECIMAL(38, 4)) AS manual_credits,
  CAST(paid AS DECIMAL(38, 4)) AS paid,
  CAST(reversed AS DECIMAL(38, 4)) AS reversed,
  CAST(closing_due AS DECIMAL(38, 4)) AS closing_due,
  CAST(closing_lowest AS DECIMAL(38, 4)) AS closing_lowest,
  CAST(closing_highest AS DECIMAL(38, 4)) AS closing_highest,
  CAST(closing_due - opening_due AS DECIMAL(38, 4)) AS change_in_due,
  CAST(opening_due + newly_due + manual_credits - paid - reversed - closing_due AS DECIMAL(38, 4)) AS difference,
  CAST(vanished_due AS DECIMAL(38, 4)) AS vanished_due,
  basis
FROM added_up
ORDER BY month DESC, currency
