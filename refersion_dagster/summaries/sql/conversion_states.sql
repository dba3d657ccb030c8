/*
group: owed
description: >
  The states of each conversion that readings showed, in order, and the two moments between which each began.
  due_periods and due_bounds are built from it. A change between two readings is dated where Refersion says when it
  was, or where it was a payment with a date. The first reading shows a state that began at an unknown time before.
grain: one row per conversion and state known from a reading
primary_key: [conversion_id, step]
owners: [team:data]
questions:
  - What is known about a conversion, and since when?
columns:
  conversion_id: Conversion id.
  step: Number of the state, in order of time.
  state: pending, due, paid (also where it was denied afterwards) or neither.
  state_before: The state before; NULL of the first.
  affiliate_id: >
    Affiliate then: of what was paid, the one whom the payment paid, where the account says so; else the one that the
    reading showed. A move of what is already paid is not a state.
  affiliate_before: Affiliate in the state before; NULL of the first.
  amount: Commission then.
  amount_before: Commission in the state before.
  currency: Currency then.
  currency_before: Currency in the state before.
  seen_at: When the reading that showed it first began, UTC.
  began_after: When it had not begun yet, UTC, the last reading that showed the state before, or the conversion's creation.
  began_by: When it had begun, UTC; the moment itself where is_dated.
  is_dated: Whether began_by is the moment of its last change, as Refersion says, or of its payment.
  is_dated_by_payment: Whether began_by is the date of the payment.
  is_close: >
    Whether the readings before and after the change lie two days apart or less, so that there was one change; of a first
    state, the conversion's creation and the reading.
  approved_latest: >
    Of a conversion that was paid when the reading showed it first as paid, when it was due already, as its last change
    came before its payment, UTC; else NULL.
  held_until: When it was last seen in this state, UTC.
  next_began_by: began_by of the state after it; NULL of the last.
renamed:
  approved_latest: approved_by
# Where payments have no dates, readings show when they were made.
needs:
  state: &paid >-
    conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  state_before: *paid
  # Where payments are not offered, that of the reading.
  affiliate_id: &whose conversions.affiliate_id | conversions.affiliate__id
  affiliate_before: *whose
  began_after: *paid
  began_by: *paid
  is_dated: *paid
  is_dated_by_payment: *paid
  is_close: *paid
  approved_latest: *paid
  held_until: *paid
  next_began_by: *paid
*/
-- Histories may have been begun before the affiliate was kept: it had the first one that is known.
WITH first_known AS (
  SELECT id, affiliate_id
  FROM (
    SELECT id, affiliate_id, row_number() OVER (PARTITION BY id ORDER BY seen_at) AS place
    FROM refersion_data.conversion_history
    WHERE affiliate_id IS NOT NULL
  ) AS h
  WHERE place = 1
),

seen AS (
  SELECT
    h.id,
    h.seen_at,
    lag(h.seen_at) OVER (PARTITION BY h.id ORDER BY h.seen_at) AS entry_before,
    h.seen_before,
    h.updated,
    -- Paid stays paid, even if it is denied afterwards.
    CASE
      WHEN coalesce(h.payment_status, '') = 'PAID' THEN 'paid'
      WHEN coalesce(h.payment_status, '') = '' AND h.status = 'APPROVED' AND c.paid_at <= h.seen_at THEN 'paid'
      WHEN h.status = 'APPROVED' THEN 'due'
      WHEN h.status = 'PENDING' THEN 'pending'
      ELSE 'neither'
    END AS state,
    h.commission_total AS amount,
    h.currency,
    coalesce(h.affiliate_id, k.affiliate_id, c.affiliate_id) AS affiliate_id,
    p.affiliate__id AS payee_id,
    p.created AS payment_at,
    -- In the order of the window above, so that the history is sorted once.
    lead(h.seen_at) OVER (PARTITION BY h.id ORDER BY h.seen_at) IS NULL AS is_last
  FROM refersion_data.conversion_history AS h
  JOIN refersion_summaries.conversions AS c ON c.conversion_id = h.id
  LEFT JOIN first_known AS k ON k.id = h.id
  LEFT JOIN refersion_data.payments AS p ON p.id = h.payment_id
),

now AS (
  SELECT
    c.conversion_id AS id,
    c.read_at,
    c.changed_at,
    c.paid_at,
    CASE
      WHEN c.commission_state = 'due' THEN 'due'
      WHEN c.is_paid THEN 'paid'
      WHEN c.commission_state = 'pending' THEN 'pending'
      ELSE 'neither'
    END AS state,
    c.commission AS amount,
    c.currency,
    c.affiliate_id,
    p.affiliate__id AS payee_id,
    c.created_at
  FROM refersion_summaries.conversions AS c
  LEFT JOIN refersion_data.payments AS p ON p.id = c.payment_id
),

entries AS (
  SELECT
    id,
    seen_at,
    entry_before,
    greatest(entry_before, seen_before) AS seen_before,
    updated,
    state,
    amount,
    currency,
    CASE WHEN state = 'paid' THEN coalesce(payee_id, affiliate_id) ELSE affiliate_id END AS affiliate_id,
    payment_at
  FROM seen
  UNION ALL
  -- The row as it is now, where the history does not say so.
  SELECT
    n.id,
    greatest(n.read_at, s.seen_at + INTERVAL '1' MICROSECOND),
    s.seen_at,
    s.seen_at,
    n.changed_at,
    n.state,
    n.amount,
    n.currency,
    CASE WHEN n.state = 'paid' THEN coalesce(n.payee_id, n.affiliate_id) ELSE n.affiliate_id END AS affiliate_id,
    CAST(NULL AS TIMESTAMPTZ) AS payment_at
  FROM now AS n
  LEFT JOIN seen AS s ON s.id = n.id AND s.is_last
  WHERE s.id IS NULL
    OR s.state <> n.state
    OR s.amount <> n.amount
    OR s.currency <> n.currency
    OR (s.affiliate_id <> n.affiliate_id AND n.state <> 'paid')
),

compared AS (
  SELECT
    e.*,
    n.created_at,
    n.read_at,
    n.paid_at AS last_payment_at,
    row_number() OVER (PARTITION BY e.id ORDER BY e.seen_at) AS step,
    lag(e.state) OVER (PARTITION BY e.id ORDER BY e.seen_at) AS state_before,
    lag(e.amount) OVER (PARTITION BY e.id ORDER BY e.seen_at) AS amount_before,
    lag(e.currency) OVER (PARTITION BY e.id ORDER BY e.seen_at) AS currency_before,
    lag(e.affiliate_id) OVER (PARTITION BY e.id ORDER BY e.seen_at) AS affiliate_before
  FROM entries AS e
  JOIN now AS n ON n.id = e.id
),

changes AS (
  SELECT
    c.*,
    c.state = 'paid' AND coalesce(c.state_before, '') <> 'paid' AS is_payment,
    count(CASE WHEN c.state = 'paid' AND coalesce(c.state_before, '') <> 'paid' THEN 1 END) OVER (
      PARTITION BY c.id ORDER BY c.seen_at DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS payments_left,
    -- A change between two readings was made when Refersion says, if that is after the first of the two. It may have
    -- been made while the second went on, which is told by its beginning.
    CASE
      WHEN c.updated IS NULL OR c.updated > c.seen_at + INTERVAL '24' HOUR THEN NULL
      WHEN c.entry_before IS NULL OR c.updated > c.seen_before THEN greatest(c.updated, c.created_at)
    END AS updated_at
  FROM compared AS c
  WHERE c.state_before IS NULL
    OR c.state <> c.state_before
    OR c.amount <> c.amount_before
    OR c.currency <> c.currency_before
    OR (c.affiliate_id <> c.affiliate_before AND (c.state <> 'paid' OR c.state_before <> 'paid'))
),

dated AS (
  SELECT
    c.*,
    -- The payment that the reading showed, else the last one. One made long after it was seen to be paid is another.
    CASE
      WHEN is_payment AND payment_at <= seen_at + INTERVAL '24' HOUR THEN payment_at
      WHEN is_payment AND payments_left = 1 AND last_payment_at <= seen_at + INTERVAL '24' HOUR THEN last_payment_at
    END AS paid_at
  FROM changes AS c
),

ordered AS (
  SELECT
    d.*,
    -- Dates come from several sources: no change is later than the one that followed.
    min(coalesce(paid_at, updated_at, seen_at)) OVER (
      PARTITION BY id ORDER BY seen_at DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS began_by,
    lag(seen_before) OVER (PARTITION BY id ORDER BY seen_at DESC) AS next_seen_before,
    min(coalesce(paid_at, updated_at, seen_at)) OVER (
      PARTITION BY id ORDER BY seen_at DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS next_began_by
  FROM dated AS d
)

SELECT
  o.id AS conversion_id,
  o.step,
  o.state,
  o.state_before,
  o.affiliate_id,
  o.affiliate_before,
  CAST(o.amount AS DECIMAL(18, 4)) AS amount,
  CAST(o.amount_before AS DECIMAL(18, 4)) AS amount_before,
  o.currency,
  o.currency_before,
  o.seen_at,
  least(CASE WHEN o.state_before IS NULL THEN o.created_at ELSE o.seen_before END, o.began_by) AS began_after,
  o.began_by,
  coalesce(o.paid_at, o.updated_at) IS NOT NULL AS is_dated,
  coalesce(o.paid_at = o.began_by, FALSE) AS is_dated_by_payment,
  o.seen_at <= CASE WHEN o.state_before IS NULL THEN o.created_at ELSE o.seen_before END + INTERVAL '48' HOUR AS is_close,
  CASE WHEN o.paid_at IS NOT NULL AND o.updated_at < o.began_by THEN o.updated_at END AS approved_latest,
  least(coalesce(o.next_seen_before, o.read_at), o.next_began_by) AS held_until,
  o.next_began_by
FROM ordered AS o
