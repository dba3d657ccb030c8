"""SQL for the effects of conversions on a month: how each changed the liability to which affiliate, and earnings."""

# The effect of each period in due_periods on the month: its movements, as in commission_roll_forward, and whether it
# was due when the month began and ended. As there, dates after the last reading count in the month of that reading.
EFFECTS = """
last AS (
  SELECT max(CAST(date_trunc('month', today) AS DATE)) AS month, max(timezone) AS timezone
  FROM refersion_summaries.data_as_of
),

periods AS (
  SELECT
    p.*,
    -- Where the month is not known, it is one before or after those of which opening and closing are known.
    least(
      coalesce(
        p.from_month, CAST(date_trunc('month', p.due_from_latest AT TIME ZONE l.timezone) AS DATE)
      ), l.month
    ) AS came_in,
    CASE
      WHEN p.exit_reason IS NOT NULL
        THEN least(
          coalesce(
            p.until_month, CAST(date_trunc('month', p.due_until_latest AT TIME ZONE l.timezone) AS DATE)
          ), l.month
        )
    END AS left_in
  FROM refersion_summaries.due_periods AS p
  CROSS JOIN last AS l
),

effects AS (
  SELECT
    conversion_id,
    affiliate_id,
    currency,
    came_in = $month OR coalesce(left_in = $month, FALSE) AS moved,
    CASE WHEN came_in < $month AND (left_in IS NULL OR left_in >= $month) THEN amount ELSE 0 END AS opening,
    CASE WHEN came_in <= $month AND (left_in IS NULL OR left_in > $month) THEN amount ELSE 0 END AS closing,
    CASE
      WHEN came_in <> $month OR conversion_kind IN ('manual credit', 'cancellation') THEN 0
      WHEN entry_reason = 'approved' THEN amount
      WHEN entry_reason IN ('corrected', 'moved') AND amount > amount_before THEN amount - amount_before
      ELSE 0
    END AS approved,
    CASE
      WHEN came_in = $month AND conversion_kind = 'manual credit' AND entry_reason <> 'payment taken back'
        THEN amount - coalesce(amount_before, 0)
      ELSE 0
    END
    + CASE WHEN came_in = $month AND entry_reason = 'moved' THEN amount_before ELSE 0 END
    - CASE WHEN left_in = $month AND exit_reason = 'moved' THEN amount ELSE 0 END AS adjustments,
    CASE
      WHEN came_in <> $month OR conversion_kind = 'manual credit' OR entry_reason = 'payment taken back' THEN 0
      WHEN conversion_kind = 'cancellation' THEN coalesce(amount_before, 0) - amount
      WHEN entry_reason IN ('corrected', 'moved') AND amount < amount_before THEN amount_before - amount
      ELSE 0
    END
    + CASE WHEN left_in = $month AND exit_reason = 'reversed' THEN amount ELSE 0 END AS reversed,
    CASE WHEN left_in = $month AND exit_reason = 'paid' THEN amount ELSE 0 END
    - CASE WHEN came_in = $month AND entry_reason = 'payment taken back' THEN amount ELSE 0 END AS paid
  FROM periods
  WHERE came_in = $month
    OR left_in = $month
    OR (came_in < $month AND (left_in IS NULL OR left_in > $month))
),

booked AS (
  SELECT
    c.conversion_id,
    c.currency,
    CASE WHEN c.is_sale THEN c.commission ELSE 0 END AS earned,
    coalesce(s.affiliate_id, c.affiliate_id) AS affiliate_id,
    -- The last affiliate that the month shows; the first one that is known, where it was read later.
    row_number() OVER (
      PARTITION BY c.conversion_id
      ORDER BY
        CASE WHEN s.began_by < (CAST($month AS TIMESTAMP) + INTERVAL '1' MONTH) AT TIME ZONE l.timezone THEN s.step END
          DESC NULLS LAST,
        s.step
    ) AS place
  FROM refersion_summaries.conversions AS c
  CROSS JOIN last AS l
  LEFT JOIN refersion_summaries.conversion_states AS s ON s.conversion_id = c.conversion_id
  WHERE c.booked_month = $month
),

made AS (
  SELECT conversion_id, affiliate_id, currency, earned
  FROM booked
  WHERE place = 1
)
"""
