/*
group: owed
description: >
  How what we owe moved from month to month: what was due when the month began, what came, what went, and what was due
  when it ended. The closing is no sum of the movements; it is counted anew from the conversions that were due at the
  month's end, so a difference other than 0 means that a movement was lost or counted twice.
  Rows that vanished from Refersion are out of every month, earlier ones too.
grain: one row per currency and month, without gaps, from the first conversion to the month of the last reading
primary_key: [currency, month]
owners: [team:data]
questions:
  - Why do we owe more, or less, than a month ago?
  - What did we owe at the end of a month?
columns:
  currency: Currency of every amount of the row.
  month: First day of the month in the reporting time zone.
  opening_due: Commission due when the month began, the closing of the month before.
  newly_due: Commission of orders that were approved in the month, and what Refersion added to it while it was due.
  manual_credits: Manual credits that were approved in the month, less negative ones.
  paid: >
    Commission paid in the month, of all kinds of conversions, less payments taken back. Conversions that were denied
    after they were paid count too, as the money went out.
  reversed: >
    Cancellations that were approved in the month and approvals that were taken back, and what Refersion took off
    commission that was due; a positive amount lowers what is due.
  closing_due: Commission due when the month ended; in the running month, now, which is what commission_liability says.
  change_in_due: Closing less opening.
  difference: opening_due + newly_due + manual_credits - paid - reversed - closing_due; has to be 0.
  vanished_due: >
    Beside the sum, commission due of rows that vanished from Refersion in the month. A closing that was reported before
    was higher by as much.
  basis: >
    How the month is known: seen (readings showed what changed), partly seen (the month of the first reading) or
    reconstructed (before it, from what the conversions say now: when they were approved is an estimate, and what was
    paid before the first reading counts as approved when it was paid, so that closings are too low).
sums:
  change_in_due: due
plot: {x: month, y: closing_due, by: currency}
*/
WITH now AS (
  SELECT max(CAST(date_trunc('month', today) AS DATE)) AS month
  FROM refersion_summaries.data_as_of
),

periods AS (
  SELECT
    p.currency,
    p.kind,
    p.amount,
    p.amount_before,
    p.came_as,
    p.left_as,
    -- Dates after the last reading belong to its month; what is still due has no month of leaving.
    CASE WHEN p.from_month > n.month THEN n.month ELSE p.from_month END AS from_month,
    CASE WHEN p.until_month > n.month THEN n.month ELSE p.until_month END AS until_month
  FROM refersion_summaries.due_periods AS p
  CROSS JOIN now AS n
),

came AS (
  SELECT
    currency,
    from_month AS month,
    sum(
      CASE
        WHEN kind IN ('manual credit', 'cancellation') THEN 0
        WHEN came_as = 'approved' THEN amount
        WHEN came_as = 'corrected' AND amount > amount_before THEN amount - amount_before
        ELSE 0
      END
    ) AS newly_due,
    sum(
      CASE
        WHEN kind = 'manual credit' AND came_as <> 'payment taken back' THEN amount - coalesce(amount_before, 0)
        ELSE 0
      END
    ) AS manual_credits,
    sum(
      CASE
        WHEN kind = 'manual credit' OR came_as = 'payment taken back' THEN 0
        WHEN kind = 'cancellation' THEN coalesce(amount_before, 0) - amount
        WHEN came_as = 'corrected' AND amount < amount_before THEN amount_before - amount
        ELSE 0
      END
    ) AS reversed,
    sum(CASE WHEN came_as = 'payment taken back' THEN amount ELSE 0 END) AS payments_back
  FROM periods
  GROUP BY currency, from_month
),

went AS (
  SELECT
    currency,
    until_month AS month,
    sum(CASE WHEN left_as = 'paid' THEN amount ELSE 0 END) AS paid,
    sum(CASE WHEN left_as = 'reversed' THEN amount ELSE 0 END) AS reversed
  FROM periods
  WHERE left_as IS NOT NULL
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
  ) AS known
  GROUP BY currency
),

months AS (
  SELECT f.currency, CAST(series.moment AS DATE) AS month
  FROM firsts AS f
  CROSS JOIN now AS n
  CROSS JOIN LATERAL generate_series(
    CAST(least(f.first_month, n.month) AS TIMESTAMP), CAST(n.month AS TIMESTAMP), INTERVAL '1' MONTH
  ) AS series(moment)
),

stretches AS (
  SELECT currency, from_month, until_month, sum(amount) AS amount
  FROM periods
  WHERE until_month IS NULL OR until_month > from_month
  GROUP BY currency, from_month, until_month
),

standing AS (
  SELECT m.currency, m.month, sum(s.amount) AS amount
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
  WHERE state = 'due'
  GROUP BY currency
),

history AS (
  SELECT CAST(date_trunc('month', min(seen_at) AT TIME ZONE $report_timezone) AS DATE) AS first_month
  FROM refersion_data.conversion_history
),

closings AS (
  SELECT
    m.currency,
    m.month,
    CASE
      WHEN h.first_month IS NULL OR m.month < h.first_month THEN 'reconstructed'
      WHEN m.month = h.first_month THEN 'partly seen'
      ELSE 'seen'
    END AS basis,
    coalesce(CASE WHEN m.month = n.month THEN d.amount ELSE s.amount END, 0) AS closing_due
  FROM months AS m
  CROSS JOIN now AS n
  CROSS JOIN history AS h
  LEFT JOIN standing AS s ON s.currency = m.currency AND s.month = m.month
  LEFT JOIN due_now AS d ON d.currency = m.currency
),

added_up AS (
  SELECT
    x.currency,
    x.month,
    x.basis,
    coalesce(lag(x.closing_due) OVER (PARTITION BY x.currency ORDER BY x.month), 0) AS opening_due,
    coalesce(c.newly_due, 0) AS newly_due,
    coalesce(c.manual_credits, 0) AS manual_credits,
    coalesce(w.paid, 0) - coalesce(c.payments_back, 0) AS paid,
    coalesce(c.reversed, 0) + coalesce(w.reversed, 0) AS reversed,
    x.closing_due,
    coalesce(v.amount, 0) AS vanished_due
  FROM closings AS x
  LEFT JOIN came AS c ON c.currency = x.currency AND c.month = x.month
  LEFT JOIN went AS w ON w.currency = x.currency AND w.month = x.month
  LEFT JOIN vanished AS v ON v.currency = x.currency AND v.month = x.month
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
  CAST(closing_due - opening_due AS DECIMAL(38, 4)) AS change_in_due,
  CAST(opening_due + newly_due + manual_credits - paid - reversed - closing_due AS DECIMAL(38, 4)) AS difference,
  CAST(vanished_due AS DECIMAL(38, 4)) AS vanished_due,
  basis
FROM added_up
ORDER BY month DESC, currency
