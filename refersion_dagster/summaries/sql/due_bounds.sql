/*
group: owed
description: >
  What was due of each conversion at the ends of months, as far as it is known: periods with the lowest and the
  highest commission that may have been due. Where readings show it, both are equal; where they do not, the truth is
  between them. Corrections of the commission before the first reading are not known: amounts are those that were
  read. Periods within one month, and periods in which nothing can have been due, are left out.
  commission_roll_forward adds these up to its closings.
grain: one row per conversion and period that includes the end of a month
primary_key: [conversion_id, stretch]
owners: [team:data]
questions:
  - For which conversions is it not known whether they were due when a month ended, and why?
columns:
  conversion_id: Conversion id.
  stretch: Number of the period.
  affiliate_id: >
    Affiliate that the conversion had then. Where it is not known when it moved from one to another, each has a period
    of the same time; of what no reading shows, it is the one that it was read with first.
  currency: Currency of the amounts.
  lowest: The lowest amount that may have been due to the affiliate; of cancellations and negative credits below 0.
  highest: The highest amount that may have been due to the affiliate.
  lowest_of_all: >
    The lowest amount, regardless of the affiliate: a conversion that moved is due to only one of two affiliates, so
    sums over all affiliates use this column.
  highest_of_all: The highest amount, regardless of the affiliate.
  reason: >
    due (known), or why it is not known: before the first reading, between two readings, not read in between (due before
    and after, with more than two days between the readings) or not read since.
  held_from: Start of the period, UTC.
  from_month: First day of that month in the reporting time zone.
  held_until: End of the period, UTC; NULL while it is open.
  until_month: First day of that month in the reporting time zone; NULL if it is still open.
needs:
  stretch: &paid >-
    conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  held_from: *paid
  held_until: *paid
  from_month: *paid
  until_month: *paid
  lowest: *paid
  highest: *paid
  lowest_of_all: *paid
  highest_of_all: *paid
  reason: *paid
  "*": *paid
*/
WITH now AS (
  SELECT as_of, CAST(date_trunc('month', today) AS DATE) AS month
  FROM refersion_summaries.data_as_of
),

-- Totals and counts that have not changed prove that conversions are as they were read.
unchanged AS (
  SELECT read_from, currency, max(read_to) AS read_to, max(read_at) AS read_at
  FROM refersion_data.conversion_readings
  WHERE proven_by = 'totals'
  GROUP BY read_from, currency
),

counted AS (
  SELECT read_from, max(read_to) AS read_to, max(read_at) AS read_at
  FROM refersion_data.conversion_readings
  WHERE proven_by = 'counts'
  GROUP BY read_from
),

states AS (
  SELECT
    s.*,
    c.created_at,
    c.changed_at,
    c.paid_at,
    c.created_at + INTERVAL '24' HOUR * 731 AS settled_at,
    least(s.amount, 0) AS low,
    greatest(s.amount, 0) AS high,
    least(s.amount_before, 0) AS low_before,
    greatest(s.amount_before, 0) AS high_before,
    greatest(s.held_until, CASE WHEN s.next_began_by IS NULL THEN greatest(u.read_at, k.read_at) END) AS known_until
  FROM refersion_summaries.conversion_states AS s
  JOIN refersion_summaries.conversions AS c ON c.conversion_id = s.conversion_id
  LEFT JOIN unchanged AS u
    ON u.read_from = date_trunc('month', c.created_at) AND u.currency = s.currency AND u.read_to > c.created_at
  LEFT JOIN counted AS k ON k.read_from = date_trunc('month', c.created_at) AND k.read_to > c.created_at
),

-- Between the last reading that showed the state before and the moment by which this one had begun.
gaps AS (
  SELECT
    s.*,
    s.currency = s.currency_before AS is_same_currency,
    coalesce(s.affiliate_id <> s.affiliate_before AND s.currency = s.currency_before, FALSE) AS is_moved,
    s.is_close AND s.is_dated AS is_one_change
  FROM states AS s
  WHERE s.began_after < s.began_by
),

-- What was due, with the part of it that is known by readings only, as Refersion does not say that nothing changed.
holds AS (
  SELECT
    s.*,
    least(greatest(s.seen_at, s.began_by), s.known_until) AS check_from,
    greatest(
      CASE
        WHEN s.next_began_by IS NULL AND s.changed_at IS NOT NULL THEN least(s.changed_at, s.known_until)
        ELSE least(s.held_until, s.known_until)
      END,
      least(greatest(s.seen_at, s.began_by), s.known_until)
    ) AS check_until
  FROM states AS s
  WHERE s.state = 'due'
),

-- The table of readings may have been begun later than the history.
readings AS (
  SELECT read_at, read_from, read_to FROM refersion_data.conversion_readings WHERE proven_by = 'read'
  UNION ALL
  SELECT h.seen_at AS read_at, min(c.created_at) AS read_from, max(c.created_at) AS read_to
  FROM refersion_data.conversion_history AS h
  JOIN refersion_summaries.conversions AS c ON c.conversion_id = h.id
  WHERE h.seen_at IS DISTINCT FROM h.updated
  GROUP BY h.seen_at
),

month_ends AS (
  SELECT CAST(series.moment AS TIMESTAMP) AT TIME ZONE $report_timezone AS ended_at
  FROM (
    SELECT min(booked_month) AS first_month FROM refersion_summaries.conversions
  ) AS f
  CROSS JOIN now AS n
  CROSS JOIN LATERAL generate_series(
    CAST(f.first_month AS TIMESTAMP) + INTERVAL '1' MONTH, CAST(n.month AS TIMESTAMP), INTERVAL '1' MONTH
  ) AS series(moment)
),

near AS (
  SELECT
    m.ended_at,
    r.read_at,
    r.read_from,
    CASE WHEN r.read_to >= r.read_at - INTERVAL '1' HOUR THEN CAST('9999-12-31 00:00:00+00' AS TIMESTAMPTZ) ELSE r.read_to END AS read_to
  FROM month_ends AS m
  JOIN readings AS r
    ON r.read_at > m.ended_at - INTERVAL '48' HOUR AND r.read_at < m.ended_at + INTERVAL '48' HOUR
),

days AS (
  SELECT DISTINCT CAST(created_at AS DATE) AS day
  FROM holds
  WHERE check_until > check_from + INTERVAL '48' HOUR
),

-- Days of creation whose conversions were read before and after a month's end, within two days.
read_days AS (
  SELECT
    d.day,
    n.ended_at,
    min(CASE WHEN n.read_at > n.ended_at THEN n.read_at END)
    <= max(CASE WHEN n.read_at <= n.ended_at THEN n.read_at END) + INTERVAL '48' HOUR AS is_read
  FROM days AS d
  JOIN near AS n ON n.read_from <= CAST(d.day AS TIMESTAMPTZ) AND n.read_to >= CAST(d.day AS TIMESTAMPTZ) + INTERVAL '24' HOUR
  GROUP BY d.day, n.ended_at
),

-- Between two readings, in the amount and the currency of this state.
between_readings AS (
  SELECT
    g.*,
    CASE
      WHEN is_same_currency AND is_one_change AND state_before = 'due' THEN amount_before
      WHEN is_same_currency AND is_close AND state = 'due' AND state_before = 'due' THEN least(amount, amount_before)
      WHEN is_same_currency THEN least(low, low_before)
      ELSE low
    END AS lowest,
    CASE
      WHEN is_same_currency AND is_one_change AND state_before = 'due' THEN amount_before
      WHEN is_same_currency AND is_close AND state = 'due' AND state_before = 'due' THEN greatest(amount, amount_before)
      WHEN is_same_currency THEN greatest(high, high_before)
      ELSE high
    END AS highest,
    CASE
      WHEN is_same_currency AND is_one_change AND state_before = 'due' THEN 'due'
      WHEN state_before IS NULL THEN 'before the first reading'
      ELSE 'between two readings'
    END AS reason,
    coalesce(approved_latest, began_by) AS until_at,
    -- It was due, and moved by the one change there was. The date of a payment is none of a move before it.
    is_moved AND is_one_change AND state_before = 'due' AND state <> 'paid' AS is_known_move,
    is_moved AND (state_before = 'due' OR NOT is_close) AS may_be_of_before,
    NOT is_moved OR state IN ('due', 'paid') OR NOT is_close AS may_be_of_this
  FROM gaps AS g
  WHERE NOT (
    -- It was not due before, and is not now, or became so by the one change there was.
    state_before IS NULL AND state = 'pending'
    OR (coalesce(state_before, 'pending') <> 'due' AND is_close AND state IN ('pending', 'neither'))
    OR (
      coalesce(state_before, 'pending') <> 'due' AND is_one_change AND state = 'due'
      AND amount = coalesce(amount_before, amount)
    )
    OR (coalesce(state_before, '') = state AND state IN ('pending', 'neither'))
  )
),

amounts AS (
  SELECT
    conversion_id,
    affiliate_id,
    currency,
    CASE WHEN NOT is_moved THEN lowest WHEN may_be_of_this AND NOT is_known_move THEN low ELSE 0 END AS lowest,
    CASE WHEN NOT is_moved THEN highest WHEN may_be_of_this AND NOT is_known_move THEN high ELSE 0 END AS highest,
    lowest AS lowest_of_all,
    highest AS highest_of_all,
    reason,
    began_after AS held_from,
    until_at AS held_until
  FROM between_readings
  UNION ALL
  -- Of the affiliate that it moved from.
  SELECT
    conversion_id,
    affiliate_before,
    currency,
    CASE WHEN is_known_move THEN amount_before ELSE low_before END,
    CASE WHEN is_known_move THEN amount_before ELSE high_before END,
    0,
    0,
    reason,
    began_after,
    until_at
  FROM between_readings
  WHERE may_be_of_before
),

-- Of one affiliate.
stretches AS (
  -- In the currency of the state before.
  SELECT
    conversion_id,
    affiliate_before AS affiliate_id,
    currency_before AS currency,
    low_before AS lowest,
    high_before AS highest,
    'between two readings' AS reason,
    began_after AS held_from,
    began_by AS held_until
  FROM gaps
  WHERE currency <> currency_before
  UNION ALL
  -- Approved by its last change, and paid later.
  SELECT conversion_id, affiliate_id, currency, amount, amount, 'due', approved_latest, began_by
  FROM states
  WHERE approved_latest IS NOT NULL
  UNION ALL
  -- Paid when it was seen, by another payment than the one it has now.
  SELECT conversion_id, affiliate_id, currency, low, high, 'between two readings', seen_at, paid_at
  FROM states
  WHERE state = 'paid' AND paid_at > seen_at
  UNION ALL
  -- By its last change, until it was seen.
  SELECT conversion_id, affiliate_id, currency, amount, amount, 'due', began_by, check_from
  FROM holds
  UNION ALL
  -- Seen again and again, or not.
  SELECT
    h.conversion_id,
    h.affiliate_id,
    h.currency,
    CASE WHEN h.check_until <= h.check_from + INTERVAL '48' HOUR OR r.is_read THEN h.amount ELSE h.low END,
    CASE WHEN h.check_until <= h.check_from + INTERVAL '48' HOUR OR r.is_read THEN h.amount ELSE h.high END,
    CASE
      WHEN h.check_until <= h.check_from + INTERVAL '48' HOUR OR r.is_read THEN 'due'
      ELSE 'not read in between'
    END,
    m.ended_at - INTERVAL '1' MICROSECOND,
    m.ended_at
  FROM holds AS h
  JOIN month_ends AS m ON m.ended_at > h.check_from AND m.ended_at <= h.check_until
  LEFT JOIN read_days AS r ON r.day = CAST(h.created_at AS DATE) AND r.ended_at = m.ended_at
  UNION ALL
  -- Not changed since.
  SELECT conversion_id, affiliate_id, currency, amount, amount, 'due', check_until, known_until
  FROM holds
  UNION ALL
  SELECT
    s.conversion_id,
    s.affiliate_id,
    s.currency,
    s.low,
    s.high,
    'not read since',
    s.known_until,
    -- What is older than two years counts as settled.
    CASE WHEN s.settled_at < n.as_of THEN s.settled_at END
  FROM states AS s
  CROSS JOIN now AS n
  WHERE s.next_began_by IS NULL AND s.known_until < n.as_of AND s.known_until < s.settled_at
  UNION ALL
  SELECT
    s.conversion_id,
    s.affiliate_id,
    s.currency,
    s.amount,
    s.amount,
    'due',
    greatest(s.settled_at, s.known_until),
    CAST(NULL AS TIMESTAMPTZ)
  FROM states AS s
  CROSS JOIN now AS n
  WHERE s.next_began_by IS NULL AND s.state = 'due' AND s.known_until < n.as_of AND s.settled_at < n.as_of
),

all_of_it AS (
  SELECT * FROM amounts
  UNION ALL
  SELECT
    conversion_id, affiliate_id, currency, lowest, highest, lowest AS lowest_of_all, highest AS highest_of_all, reason,
    held_from, held_until
  FROM stretches
),

dated AS (
  SELECT
    s.*,
    CAST(date_trunc('month', held_from AT TIME ZONE $report_timezone) AS DATE) AS from_month,
    CAST(date_trunc('month', held_until AT TIME ZONE $report_timezone) AS DATE) AS until_month
  FROM all_of_it AS s
  WHERE lowest <> 0 OR highest <> 0 OR lowest_of_all <> 0 OR highest_of_all <> 0
)

SELECT
  conversion_id,
  row_number() OVER (PARTITION BY conversion_id ORDER BY held_from, held_until, lowest, highest, currency, affiliate_id)
    AS stretch,
  affiliate_id,
  currency,
  CAST(lowest AS DECIMAL(18, 4)) AS lowest,
  CAST(highest AS DECIMAL(18, 4)) AS highest,
  CAST(lowest_of_all AS DECIMAL(18, 4)) AS lowest_of_all,
  CAST(highest_of_all AS DECIMAL(18, 4)) AS highest_of_all,
  reason,
  held_from,
  from_month,
  held_until,
  until_month
FROM dated
WHERE until_month IS NULL OR until_month > from_month
