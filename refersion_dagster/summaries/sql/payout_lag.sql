/*
group: owed
description: >
  How long affiliates wait for their money: from the order to its approval, from the approval to the payment, and from
  the order to the payment; and how long open conversions have been waiting. Stages that involve approval are
  measured only where readings show when it happened; nothing is estimated. Orders only; days are calendar days in
  the reporting time zone.
grain: one row per currency, stage and month in which the stage ended
primary_key: [currency, stage, month]
owners: [team:data]
questions:
  - How long does it take until an order is approved, and until it is paid?
  - How old is the oldest commission that we have not paid?
columns:
  currency: Currency of the orders.
  stage: >
    created to approved, approved to paid or created to paid; waiting for approval and waiting for payment are the ages
    of what waits at the last reading, since the order and since the approval.
  month: >
    First day of the month in which the stage ended, in the reporting time zone; for what waits, the month of the last
    reading.
  conversions: Number of orders' conversions measured.
  median_days: Half of them took this many days or less; NULL where none was measured.
  longest_days: Days of the one that took longest; for waiting for payment, the age of the oldest unpaid row.
  not_measured: >
    Conversions of the month left out because it is not known when they were approved or paid: those approved before the
    first reading, between two readings that lie more than two days apart, or between the same two as they were paid.
    They are counted in the month by which it had happened.
*/
WITH orders AS (
  SELECT
    c.currency,
    c.commission_state,
    c.is_approved,
    c.approved_at IS NOT NULL AND (c.paid_latest IS NULL OR c.approved_at < c.paid_latest) AS is_seen,
    c.paid_at IS NOT NULL AS is_payment_known,
    c.booked_day AS created_day,
    CAST(coalesce(c.approved_at, c.aged_since, c.approved_latest) AT TIME ZONE $report_timezone AS DATE) AS approved_day,
    CAST(c.paid_latest AT TIME ZONE $report_timezone AS DATE) AS paid_day,
    d.today
  FROM refersion_summaries.conversions AS c
  CROSS JOIN refersion_summaries.data_as_of AS d
  WHERE c.is_sale
),

measured AS (
  SELECT currency, 'created to approved' AS stage, approved_day AS ended, date_diff('day', created_day, approved_day) AS days, is_seen
  FROM orders
  WHERE is_approved
  UNION ALL
  SELECT currency, 'approved to paid' AS stage, paid_day AS ended, date_diff('day', approved_day, paid_day) AS days,
    is_seen AND is_payment_known AS is_seen
  FROM orders
  WHERE commission_state = 'paid'
  UNION ALL
  SELECT currency, 'created to paid' AS stage, paid_day AS ended, date_diff('day', created_day, paid_day) AS days,
    is_payment_known AS is_seen
  FROM orders
  WHERE commission_state = 'paid'
  UNION ALL
  SELECT currency, 'waiting for approval' AS stage, today AS ended, date_diff('day', created_day, today) AS days, TRUE AS is_seen
  FROM orders
  WHERE commission_state = 'pending'
  UNION ALL
  -- What is not known by a reading is an estimate, but nothing unpaid may be left out.
  SELECT currency, 'waiting for payment' AS stage, today AS ended, date_diff('day', approved_day, today) AS days, TRUE AS is_seen
  FROM orders
  WHERE commission_state = 'due'
)

SELECT
  currency,
  stage,
  CAST(date_trunc('month', ended) AS DATE) AS month,
  count(CASE WHEN is_seen THEN 1 END) AS conversions,
  CAST(
    percentile_disc(0.5) WITHIN GROUP (ORDER BY CASE WHEN is_seen THEN greatest(days, 0) END) AS BIGINT
  ) AS median_days,
  CAST(max(CASE WHEN is_seen THEN greatest(days, 0) END) AS BIGINT) AS longest_days,
  count(CASE WHEN NOT coalesce(is_seen, FALSE) THEN 1 END) AS not_measured
FROM measured
WHERE ended IS NOT NULL -- what began or ended at a time that is not known has no month
GROUP BY currency, stage, CAST(date_trunc('month', ended) AS DATE)
ORDER BY month DESC, currency, stage
