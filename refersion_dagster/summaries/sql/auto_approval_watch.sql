/*
group: review
description: >
  Pending commission that Refersion is about to approve automatically, which Enterprise accounts have it do after 90
  days (REFERSION_AUTO_APPROVAL_DAYS): what is due for approval within the next 15 days, and what is already past the
  limit. Where amounts past the limit stay pending, the account does not approve automatically.
grain: one row per affiliate and currency with commission that is about to be approved, or is past the limit
primary_key: [affiliate_id, currency]
owners: [team:data]
questions:
  - Which pending conversions have to be decided on now, before they are approved without a review?
  - How much commission becomes due automatically in the next days?
columns:
  affiliate_id: Affiliate.
  affiliate_name: Affiliate's name.
  currency: Currency of the amounts.
  conversions: Pending conversions that are approved automatically within 15 days, cancellations and credits included.
  commission: Their commission; cancellations lower it.
  order_total: Their order amounts.
  next_approval_at: When the first of them is approved automatically, UTC.
  next_approval_day: The same as a day in the reporting time zone.
  next_7_days_conversions: Those of them that are approved within 7 days.
  next_7_days_commission: Commission of these.
  exceptions: How many of them are in summaries/conversion_exceptions, individually or as the first of several.
  overdue_conversions: Pending conversions past the limit, not counted in the columns above.
  overdue_commission: Their commission.
  overdue_since: When the oldest of these would have been approved, UTC.
needs:
  affiliate_name: []
*/
WITH pending AS (
  SELECT
    c.conversion_id,
    c.affiliate_id,
    c.affiliate_name,
    c.currency,
    c.commission,
    c.total,
    -- Hours, as a day of the calendar may last 23 or 25 of them.
    c.created_at + INTERVAL '24' HOUR * $auto_approval_days AS approval_at,
    d.as_of
  FROM refersion_summaries.conversions AS c
  CROSS JOIN refersion_summaries.data_as_of AS d
  WHERE c.commission_state = 'pending'
),

watched AS (
  SELECT p.*, p.approval_at <= p.as_of AS is_overdue
  FROM pending AS p
  WHERE p.approval_at <= p.as_of + INTERVAL '24' HOUR * 15
),

found AS (
  SELECT DISTINCT conversion_id
  FROM refersion_summaries.conversion_exceptions
  WHERE conversion_id IS NOT NULL
),

summed AS (
  SELECT
    w.affiliate_id,
    max(w.affiliate_name) AS affiliate_name,
    w.currency,
    count(CASE WHEN NOT w.is_overdue THEN 1 END) AS conversions,
    sum(CASE WHEN NOT w.is_overdue THEN w.commission ELSE 0 END) AS commission,
    sum(CASE WHEN NOT w.is_overdue THEN w.total ELSE 0 END) AS order_total,
    min(CASE WHEN NOT w.is_overdue THEN w.approval_at END) AS next_approval_at,
    count(CASE WHEN NOT w.is_overdue AND w.approval_at <= w.as_of + INTERVAL '24' HOUR * 7 THEN 1 END) AS soon,
    sum(
      CASE WHEN NOT w.is_overdue AND w.approval_at <= w.as_of + INTERVAL '24' HOUR * 7 THEN w.commission ELSE 0 END
    ) AS soon_commission,
    count(CASE WHEN NOT w.is_overdue AND f.conversion_id IS NOT NULL THEN 1 END) AS exceptions,
    count(CASE WHEN w.is_overdue THEN 1 END) AS overdue_conversions,
    sum(CASE WHEN w.is_overdue THEN w.commission ELSE 0 END) AS overdue_commission,
    min(CASE WHEN w.is_overdue THEN w.approval_at END) AS overdue_since
  FROM watched AS w
  LEFT JOIN found AS f ON f.conversion_id = w.conversion_id
  GROUP BY w.affiliate_id, w.currency
)

SELECT
  s.affiliate_id,
  coalesce(a.name, s.affiliate_name) AS affiliate_name,
  s.currency,
  s.conversions,
  CAST(s.commission AS DECIMAL(38, 4)) AS commission,
  CAST(s.order_total AS DECIMAL(38, 4)) AS order_total,
  s.next_approval_at,
  CAST(s.next_approval_at AT TIME ZONE $report_timezone AS DATE) AS next_approval_day,
  s.soon AS next_7_days_conversions,
  CAST(s.soon_commission AS DECIMAL(38, 4)) AS next_7_days_commission,
  s.exceptions,
  s.overdue_conversions,
  CAST(s.overdue_commission AS DECIMAL(38, 4)) AS overdue_commission,
  s.overdue_since
FROM summed AS s
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = s.affiliate_id
ORDER BY s.next_approval_at IS NULL, s.next_approval_at, s.affiliate_id, s.currency
