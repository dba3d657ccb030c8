/*
group: owed
description: >
  What is owed to each affiliate: commission due by age, commission that waits for approval, and how much of that is
  likely to become due. Only affiliates with something due or pending have a row. Negative rows (cancellations,
  commission taken back by hand) lower what is due, in the bucket of their own age.
grain: one row per affiliate and currency with commission due or pending
primary_key: [affiliate_id, currency]
owners: [team:data]
questions:
  - What do we owe, to whom, and since when?
  - How much more is likely to become due?
  - Who cannot be paid, and why?
columns:
  affiliate_id: Affiliate.
  affiliate_name: Name.
  affiliate_email: E-mail.
  affiliate_status: PENDING, ACTIVE, DENIED or DISABLED; NULL where Refersion does not list the affiliate.
  currency: Currency of every amount of the row.
  due: Commission approved and not paid, the sum of the four buckets.
  due_0_30: >
    Commission due, approved up to 30 days ago, counted to the day of the last reading in the reporting time zone.
  due_31_60: Commission due, approved 31 to 60 days ago.
  due_61_90: Commission due, approved 61 to 90 days ago.
  due_over_90: Commission due, approved more than 90 days ago.
  due_conversions: Number of conversions due.
  oldest_unpaid_at: When the oldest conversion due was approved, UTC; those that lower the balance are left out.
  oldest_unpaid_days: Its age in days; NULL where nothing due is above 0.
  pending: Commission that waits for approval.
  pending_conversions: Number of conversions that wait for approval.
  approval_rate: >
    Share of decided orders' commission that was approved, a fraction; NULL where nothing was decided yet. Orders with
    commission above 0 are counted.
  approval_rate_of: >
    Whose rate it is, the affiliate's own or, where nothing of the affiliate's was decided yet, the programme's in this
    currency; nobody where nothing was decided at all.
  accrued: Due + pending x approval rate; where there is no rate, pending counts in full.
  accrued_if_none_approved: The accrual if none of what is pending is approved, which is what is due.
  accrued_if_all_approved: The accrual if all of it is.
  minimum_payout: Commission below this is not paid out yet (REFERSION_MINIMUM_PAYOUT).
  blocked_by: >
    Why what is due cannot be paid now, reasons separated by semicolons; NULL where nothing is in the way. A missing
    PayPal e-mail is told where commission is only pending, too.
sums:
  due: due
  pending: pending
needs:
  affiliate_id:
    - conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
    - conversions.payment_status | conversions.payment_id | conversions.payment__id | conversions.payment__created
  affiliate_name: []
  affiliate_email: []
*/
WITH aged AS (
  SELECT
    c.affiliate_id,
    c.affiliate_name,
    c.affiliate_email,
    c.currency,
    c.state,
    c.commission,
    c.approved_at,
    d.today - CAST(c.approved_at AT TIME ZONE $report_timezone AS DATE) AS days,
    CASE
      WHEN c.kind = 'order' AND c.state IN ('due', 'paid', 'denied', 'unqualified') AND c.commission > 0
        THEN c.commission
      ELSE 0
    END AS decided
  FROM refersion_summaries.conversions AS c
  CROSS JOIN refersion_summaries.data_as_of AS d
),

per_affiliate AS (
  SELECT
    affiliate_id,
    currency,
    max(affiliate_name) AS name,
    max(affiliate_email) AS email,
    sum(CASE WHEN state = 'due' THEN commission ELSE 0 END) AS due,
    sum(CASE WHEN state = 'due' AND days <= 30 THEN commission ELSE 0 END) AS due_0_30,
    sum(CASE WHEN state = 'due' AND days BETWEEN 31 AND 60 THEN commission ELSE 0 END) AS due_31_60,
    sum(CASE WHEN state = 'due' AND days BETWEEN 61 AND 90 THEN commission ELSE 0 END) AS due_61_90,
    sum(CASE WHEN state = 'due' AND days > 90 THEN commission ELSE 0 END) AS due_over_90,
    count(CASE WHEN state = 'due' THEN 1 END) AS due_conversions,
    min(CASE WHEN state = 'due' AND commission > 0 THEN approved_at END) AS oldest_unpaid_at,
    max(CASE WHEN state = 'due' AND commission > 0 THEN days END) AS oldest_unpaid_days,
    sum(CASE WHEN state = 'pending' THEN commission ELSE 0 END) AS pending,
    count(CASE WHEN state = 'pending' THEN 1 END) AS pending_conversions,
    sum(CASE WHEN state IN ('due', 'paid') THEN decided ELSE 0 END) AS approved,
    sum(decided) AS decided
  FROM aged
  GROUP BY affiliate_id, currency
),

per_programme AS (
  SELECT currency, sum(approved) AS approved, sum(decided) AS decided
  FROM per_affiliate
  GROUP BY currency
),

rated AS (
  SELECT
    a.*,
    CASE
      WHEN a.decided > 0 THEN CAST(CAST(a.approved / nullif(a.decided, 0) AS DECIMAL(38, 12)) AS DECIMAL(18, 6))
      ELSE CAST(CAST(p.approved / nullif(p.decided, 0) AS DECIMAL(38, 12)) AS DECIMAL(18, 6))
    END AS approval_rate,
    CASE WHEN a.decided > 0 THEN 'affiliate' WHEN p.decided > 0 THEN 'programme' ELSE 'nobody' END AS approval_rate_of
  FROM per_affiliate AS a
  JOIN per_programme AS p ON p.currency = a.currency
  WHERE a.due_conversions > 0 OR a.pending_conversions > 0
)

SELECT
  r.affiliate_id,
  coalesce(a.name, r.name) AS affiliate_name,
  coalesce(a.email, r.email) AS affiliate_email,
  a.status AS affiliate_status,
  r.currency,
  CAST(r.due AS DECIMAL(38, 4)) AS due,
  CAST(r.due_0_30 AS DECIMAL(38, 4)) AS due_0_30,
  CAST(r.due_31_60 AS DECIMAL(38, 4)) AS due_31_60,
  CAST(r.due_61_90 AS DECIMAL(38, 4)) AS due_61_90,
  CAST(r.due_over_90 AS DECIMAL(38, 4)) AS due_over_90,
  r.due_conversions,
  r.oldest_unpaid_at,
  -- Not greatest(), which makes 0 of no age at all.
  CAST(CASE WHEN r.oldest_unpaid_days < 0 THEN 0 ELSE r.oldest_unpaid_days END AS BIGINT) AS oldest_unpaid_days,
  CAST(r.pending AS DECIMAL(38, 4)) AS pending,
  r.pending_conversions,
  r.approval_rate,
  r.approval_rate_of,
  CAST(r.due + CAST(r.pending AS DECIMAL(28, 4)) * coalesce(r.approval_rate, 1) AS DECIMAL(38, 4)) AS accrued,
  CAST(r.due AS DECIMAL(38, 4)) AS accrued_if_none_approved,
  CAST(r.due + r.pending AS DECIMAL(38, 4)) AS accrued_if_all_approved,
  c.minimum_payout,
  nullif(
    concat_ws(
      '; ',
      CASE WHEN r.due < 0 THEN 'negative balance' END,
      CASE WHEN r.due = 0 AND r.due_conversions > 0 THEN 'balance of zero' END,
      CASE WHEN r.due > 0 AND r.due < c.minimum_payout THEN 'below the minimum payout' END,
      CASE
        WHEN a.affiliate_id IS NULL THEN 'affiliate not listed by Refersion'
        WHEN a.has_paypal_email IS NULL THEN 'PayPal e-mail not shown by Refersion'
        WHEN NOT a.has_paypal_email THEN 'no PayPal e-mail'
      END
    ),
    ''
  ) AS blocked_by
FROM rated AS r
JOIN refersion_summaries.currencies AS c ON c.currency = r.currency
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = r.affiliate_id
ORDER BY r.due DESC, r.pending DESC, r.affiliate_id, r.currency
