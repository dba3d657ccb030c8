/*
group: owed
description: >
  When the commission of each conversion was due: the period from its approval until it was paid or the approval was
  withdrawn. commission_roll_forward adds these up, so the conversions behind each of its figures are found here by
  from_month and entry_reason, or by until_month and exit_reason. Most conversions have one period; another begins
  where a conversion was approved again, where a payment was taken back, where Refersion changed the commission, or
  where it moved to another affiliate: it leaves the first and enters the second, both in the month of the move. What
  was approved and paid between two readings, or before the first one, was due for an unknown time before its payment.
grain: one row per conversion and period
primary_key: [conversion_id, step]
owners: [team:data]
questions:
  - Which conversions make up what was newly due, reversed or paid in a month?
  - What did we owe on a day in the past?
columns:
  conversion_id: Conversion id.
  step: Which of the conversion's states known from the readings it began with; ascending in time.
  affiliate_id: >
    Affiliate that the conversion had then; before the first reading, the one that it was read with first. Of what was
    paid, the one whom the payment paid, where the account says so.
  currency: Currency of the amounts, as the conversion had it then.
  conversion_kind: What the conversion is (order, cancellation, manual credit or empty).
  amount: Commission that was due, as the conversion had it then.
  amount_before: Commission before it was corrected or moved; NULL where the period began for another reason.
  entry_reason: >
    approved, corrected (Refersion changed the commission while it was due), moved (from another affiliate while it was
    due) or payment taken back.
  due_from: When it became due, UTC; NULL where it is not known to two days, see the two bounds.
  due_from_earliest: It became due at this moment or later, UTC.
  due_from_latest: It was due by this moment, UTC.
  from_month: First day of that month in the reporting time zone; NULL where the bounds lie in different months.
  exit_reason: >
    paid, reversed (no longer approved), corrected or moved (to another affiliate); NULL while it is still due.
  due_until: When it stopped being due, UTC; NULL while it is, and where it is not known to two days.
  due_until_earliest: It was still due at this moment, UTC; NULL while it is.
  due_until_latest: It had stopped being due by this moment, UTC; NULL while it is.
  until_month: >
    First day of that month in the reporting time zone; NULL while it is due, and where the bounds lie in different
    months.
  still_due: The amount while it is due, else 0.
renamed:
  conversion_kind: kind
  entry_reason: came_as
  exit_reason: left_as
sums:
  still_due: due
needs:
  due_from: &paid >-
    conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  due_from_earliest: *paid
  due_from_latest: *paid
  from_month: *paid
  due_until: *paid
  due_until_earliest: *paid
  due_until_latest: *paid
  until_month: *paid
  "*": *paid
*/
WITH changes AS (
  SELECT
    s.*,
    c.conversion_kind,
    coalesce(s.state_before, 'neither') AS before,
    coalesce(s.state_before = 'due' AND s.currency = s.currency_before AND s.affiliate_id = s.affiliate_before, FALSE)
      AS goes_on,
    coalesce(
      s.state_before = 'due' AND s.state IN ('due', 'paid')
      AND s.currency = s.currency_before AND s.affiliate_id <> s.affiliate_before,
      FALSE
    ) AS is_move,
    -- To the moment where there was one change of which it is known; else between the two readings.
    CASE
      WHEN s.is_dated AND (s.is_close OR s.is_dated_by_payment) THEN s.began_by
      ELSE s.began_after
    END AS changed_after
  FROM refersion_summaries.conversion_states AS s
  JOIN refersion_summaries.conversions AS c ON c.conversion_id = s.conversion_id
),

moves AS (
  SELECT
    x.*,
    -- The date of a payment is none of a move before it.
    CASE WHEN is_move AND state = 'paid' THEN began_after ELSE changed_after END AS came_after
  FROM changes AS x
),

ordered AS (
  SELECT
    x.*,
    lead(state) OVER w AS next_state,
    lead(amount) OVER w AS next_amount,
    lead(goes_on) OVER w AS next_goes_on,
    lead(is_move) OVER w AS next_is_move,
    lead(came_after) OVER w AS next_after,
    lead(is_close) OVER w AS next_is_close
  FROM moves AS x
  WINDOW w AS (PARTITION BY conversion_id ORDER BY step)
),

periods AS (
  SELECT
    conversion_id,
    step,
    affiliate_id,
    currency,
    conversion_kind,
    amount,
    CASE WHEN goes_on OR is_move THEN amount_before END AS amount_before,
    CASE
      WHEN goes_on THEN 'corrected'
      WHEN is_move THEN 'moved'
      WHEN state = 'due' AND before = 'paid' THEN 'payment taken back'
      ELSE 'approved'
    END AS entry_reason,
    CASE
      WHEN state = 'due' OR goes_on OR is_move THEN came_after
      ELSE began_after
    END AS from_earliest,
    CASE WHEN state = 'paid' AND NOT is_move THEN coalesce(approved_latest, began_by) ELSE began_by END AS from_latest,
    -- Approved and paid between two readings: not by one change.
    is_close AND (state = 'due' OR goes_on OR is_move) AS is_from_close,
    CASE
      WHEN state = 'paid' THEN 'paid'
      WHEN next_state IS NULL THEN NULL
      WHEN next_is_move THEN 'moved'
      WHEN next_state IN ('neither', 'pending') OR NOT next_goes_on THEN 'reversed'
      WHEN next_state = 'paid' AND next_amount = amount THEN 'paid'
      ELSE 'corrected'
    END AS exit_reason,
    CASE WHEN state = 'paid' THEN changed_after ELSE next_after END AS until_earliest,
    CASE WHEN state = 'paid' THEN began_by ELSE next_began_by END AS until_latest,
    CASE WHEN state = 'paid' THEN is_close ELSE next_is_close END AS is_until_close
  FROM ordered
  WHERE state = 'due'
    -- Paid without having been seen to be due in this amount.
    OR (state = 'paid' AND before <> 'paid' AND (before <> 'due' OR NOT goes_on OR amount <> amount_before))
),

known AS (
  SELECT
    p.*,
    CAST(date_trunc('month', from_earliest AT TIME ZONE $report_timezone) AS DATE) AS month_from_earliest,
    CAST(date_trunc('month', from_latest AT TIME ZONE $report_timezone) AS DATE) AS month_from_latest,
    CAST(date_trunc('month', until_earliest AT TIME ZONE $report_timezone) AS DATE) AS month_until_earliest,
    CAST(date_trunc('month', until_latest AT TIME ZONE $report_timezone) AS DATE) AS month_until_latest
  FROM periods AS p
)

SELECT
  conversion_id,
  step,
  affiliate_id,
  currency,
  conversion_kind,
  CAST(amount AS DECIMAL(18, 4)) AS amount,
  CAST(amount_before AS DECIMAL(18, 4)) AS amount_before,
  entry_reason,
  CASE WHEN from_earliest >= from_latest OR is_from_close THEN from_latest END AS due_from,
  least(from_earliest, from_latest) AS due_from_earliest,
  from_latest AS due_from_latest,
  CASE WHEN month_from_earliest >= month_from_latest THEN month_from_latest END AS from_month,
  exit_reason,
  CASE WHEN until_earliest >= until_latest OR is_until_close THEN until_latest END AS due_until,
  least(until_earliest, until_latest) AS due_until_earliest,
  until_latest AS due_until_latest,
  CASE WHEN month_until_earliest >= month_until_latest THEN month_until_latest END AS until_month,
  CAST(CASE WHEN exit_reason IS NULL THEN amount ELSE 0 END AS DECIMAL(18, 4)) AS still_due
FROM known
ORDER BY due_from_latest DESC, conversion_id, step
