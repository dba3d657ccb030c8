/*
group: owed
description: >
  When the commission of each conversion was due: the stretch of time from its approval until it was paid or the
  approval was taken back. commission_roll_forward adds these up, so the conversions behind each of its figures are
  found here by from_month and came_as, or by until_month and left_as. Most conversions have one stretch; another begins
  where one was approved again, where a payment was taken back, or where Refersion changed the commission. What was
  approved and paid between two readings may have a stretch without length.
grain: one row per conversion and stretch of time
primary_key: [conversion_id, step]
owners: [team:data]
questions:
  - Which conversions make up what was newly due, reversed or paid in a month?
  - What did we owe on a day in the past?
columns:
  conversion_id: Conversion id.
  step: Which of the conversion's states known from the readings it began with; ascending in time.
  affiliate_id: Affiliate of the conversion.
  currency: Currency of the amounts, as the conversion had it then.
  kind: What the conversion is (order, cancellation, manual credit or empty).
  amount: Commission that was due, as the conversion had it then.
  amount_before: Commission before it was corrected; NULL where the stretch began otherwise.
  came_as: approved, corrected (Refersion changed the commission while it was due) or payment taken back.
  due_from: When it became due, UTC; how exactly this is known, conversions.approved_by says.
  from_month: First day of that month in the reporting time zone.
  left_as: paid, reversed (approved no more) or corrected; NULL while it is still due.
  due_until: When it was due no more, UTC; NULL while it is.
  until_month: First day of that month in the reporting time zone.
  still_due: The amount while it is due, else 0.
sums:
  still_due: due
*/
WITH readings AS (
  SELECT
    id,
    seen_at,
    lag(seen_at) OVER (PARTITION BY id ORDER BY seen_at) AS seen_before,
    updated,
    -- Paid stays paid, even if it is denied afterwards.
    CASE
      WHEN coalesce(payment_status, '') = 'PAID' THEN 'paid'
      WHEN coalesce(status, '') = 'APPROVED' THEN 'due'
      ELSE 'neither'
    END AS state,
    commission_total AS amount,
    currency
  FROM refersion_data.conversion_history
),

states AS (
  SELECT
    id,
    seen_at,
    -- A change between two readings was made when Refersion says, if that is between the two as well.
    CASE
      WHEN updated <= seen_at AND (seen_before IS NULL OR updated > seen_before) THEN updated
      WHEN seen_before IS NOT NULL THEN seen_at
    END AS since,
    state,
    amount,
    currency
  FROM readings
  UNION ALL
  -- The row as it is now, as readings may not show payments.
  SELECT
    c.conversion_id AS id,
    CAST('infinity' AS TIMESTAMPTZ) AS seen_at,
    CASE
      WHEN c.state = 'due' OR c.paid_at IS NOT NULL THEN c.approved_at
      ELSE coalesce(c.unapproved_at, d.as_of)
    END AS since,
    CASE WHEN c.state = 'due' THEN 'due' WHEN c.paid_at IS NOT NULL THEN 'paid' ELSE 'neither' END AS state,
    c.commission AS amount,
    c.currency
  FROM refersion_summaries.conversions AS c
  LEFT JOIN refersion_summaries.data_as_of AS d ON TRUE
),

compared AS (
  SELECT
    s.*,
    row_number() OVER (PARTITION BY id ORDER BY seen_at) AS step,
    coalesce(lag(state) OVER (PARTITION BY id ORDER BY seen_at), 'neither') AS state_before,
    lag(amount) OVER (PARTITION BY id ORDER BY seen_at) AS amount_before,
    lag(currency) OVER (PARTITION BY id ORDER BY seen_at) AS currency_before
  FROM states AS s
),

changes AS (
  SELECT
    x.*,
    x.state_before = 'due' AND x.currency = x.currency_before AS goes_on,
    count(CASE WHEN x.state = 'paid' THEN 1 END) OVER (PARTITION BY x.id ORDER BY x.seen_at DESC) AS payments_left
  FROM compared AS x
  WHERE x.state <> x.state_before
    OR (x.state = 'due' AND (x.amount <> x.amount_before OR x.currency <> x.currency_before))
),

dated AS (
  SELECT
    x.*,
    c.affiliate_id,
    c.kind,
    coalesce(x.since, CASE WHEN c.approved_by <> 'history' THEN c.approved_at END, c.created_at) AS changed_at,
    -- The last payment has a date of its own.
    CASE WHEN x.state = 'paid' AND x.payments_left = 1 THEN c.paid_at END AS paid_at
  FROM changes AS x
  JOIN refersion_summaries.conversions AS c ON c.conversion_id = x.id
),

ordered AS (
  SELECT
    x.*,
    -- Dates come from several sources: no change is later than the one that followed.
    min(coalesce(paid_at, changed_at)) OVER (PARTITION BY id ORDER BY seen_at DESC) AS happened_at,
    min(coalesce(paid_at, changed_at)) OVER (
      PARTITION BY id ORDER BY seen_at DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS next_at,
    lag(state) OVER (PARTITION BY id ORDER BY seen_at DESC) AS next_state,
    lag(amount) OVER (PARTITION BY id ORDER BY seen_at DESC) AS next_amount,
    lag(goes_on) OVER (PARTITION BY id ORDER BY seen_at DESC) AS next_goes_on
  FROM dated AS x
),

periods AS (
  SELECT
    id,
    step,
    affiliate_id,
    currency,
    kind,
    amount,
    CASE WHEN goes_on THEN amount_before END AS amount_before,
    CASE
      WHEN goes_on THEN 'corrected'
      WHEN state = 'due' AND state_before = 'paid' THEN 'payment taken back'
      ELSE 'approved'
    END AS came_as,
    CASE
      WHEN state = 'paid' AND state_before = 'neither' THEN least(changed_at, happened_at)
      ELSE happened_at
    END AS due_from,
    CASE
      WHEN state = 'paid' THEN 'paid'
      WHEN next_state IS NULL THEN NULL
      WHEN next_state = 'neither' OR NOT next_goes_on THEN 'reversed'
      WHEN next_state = 'paid' AND next_amount = amount THEN 'paid'
      ELSE 'corrected'
    END AS left_as,
    CASE WHEN state = 'paid' THEN happened_at ELSE next_at END AS due_until
  FROM ordered
  WHERE state = 'due'
    -- Paid without having been seen to be due in this amount.
    OR (state = 'paid' AND (state_before = 'neither' OR NOT goes_on OR amount <> amount_before))
)

SELECT
  id AS conversion_id,
  step,
  affiliate_id,
  currency,
  kind,
  CAST(amount AS DECIMAL(18, 4)) AS amount,
  CAST(amount_before AS DECIMAL(18, 4)) AS amount_before,
  came_as,
  due_from,
  CAST(date_trunc('month', due_from AT TIME ZONE $report_timezone) AS DATE) AS from_month,
  left_as,
  due_until,
  CAST(date_trunc('month', due_until AT TIME ZONE $report_timezone) AS DATE) AS until_month,
  CAST(CASE WHEN left_as IS NULL THEN amount ELSE 0 END AS DECIMAL(18, 4)) AS still_due
FROM periods
ORDER BY due_from DESC, conversion_id, step
