/*
group: sales
description: >
  How affiliates keep selling after their first sale. Affiliates whose first order in a currency was in the same month
  form a cohort, because Refersion publishes no sign-up date; each later month has a row, even if nobody sold. Months
  are those of the reporting time zone. Amounts of different currencies are never added up.
grain: one row per currency, month of the first sale and month since
primary_key: [currency, cohort_month, months_since]
owners: [team:data]
macros: [share, average]
questions:
  - Do affiliates keep selling after their first month?
  - Which year's or season's new affiliates were most valuable?
columns:
  currency: Currency of every amount of the row.
  cohort_month: First day of the month of the first order, pending or approved, in this currency.
  months_since: Whole months after cohort_month; 0 is the month of the first sale.
  month: First day of the month the figures are of.
  is_complete: Whether the month was over at the last load; figures of a month that was not over still grow.
  affiliates: Affiliates in the cohort, the same in each of its rows.
  affiliates_active: Those with an order, pending or approved, in the month.
  active_share: affiliates_active divided by affiliates, a fraction.
  sales: Their gross sales in the month; a purchase that several affiliates are credited with counts for each.
  sales_per_affiliate: sales divided by all affiliates in the cohort, active or not.
  cumulative_sales_per_affiliate: The same for all months from the first sale to this one.
  commission: >
    Their commission in the month, pending, due or paid, with manual credits and less cancellations. Commission from
    before the first sale counts in the month of that sale.
  cumulative_commission: The same for all months from the first sale to this one.
sums:
  sales: affiliate_sales
needs:
  "*": conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
*/
WITH conversions AS (
  SELECT
    currency,
    affiliate_id,
    booked_month,
    total,
    commission,
    is_sale,
    counts_for_affiliate
  FROM refersion_summaries.conversions
  WHERE is_earned
),

first_sales AS (
  SELECT currency, affiliate_id, min(booked_month) AS cohort_month
  FROM conversions
  WHERE is_sale
  GROUP BY currency, affiliate_id
),

cohorts AS (
  SELECT currency, cohort_month, count(*) AS affiliates
  FROM first_sales
  GROUP BY currency, cohort_month
),

per_month AS (
  SELECT
    f.currency,
    f.cohort_month,
    greatest(c.booked_month, f.cohort_month) AS month,
    count(DISTINCT CASE WHEN is_sale THEN c.affiliate_id END) AS affiliates_active,
    sum(CASE WHEN is_sale AND c.counts_for_affiliate THEN c.total ELSE 0 END) AS sales,
    sum(c.commission) AS commission
  FROM first_sales AS f
  JOIN conversions AS c ON c.currency = f.currency AND c.affiliate_id = f.affiliate_id
  GROUP BY f.currency, f.cohort_month, greatest(c.booked_month, f.cohort_month)
),

ends AS (
  SELECT
    p.currency,
    CAST(greatest(max(p.month), CAST(date_trunc('month', max(d.today)) AS DATE)) AS TIMESTAMP) AS last_month
  FROM per_month AS p
  LEFT JOIN refersion_summaries.data_as_of AS d ON TRUE
  GROUP BY p.currency
),

months AS (
  SELECT c.currency, c.cohort_month, c.affiliates, CAST(series.moment AS DATE) AS month
  FROM cohorts AS c
  JOIN ends AS e ON e.currency = c.currency
  CROSS JOIN LATERAL generate_series(
    CAST(c.cohort_month AS TIMESTAMP), e.last_month, INTERVAL '1' MONTH
  ) AS series(moment)
),

filled AS (
  SELECT
    m.currency,
    m.cohort_month,
    CAST(
      (extract(YEAR FROM m.month) - extract(YEAR FROM m.cohort_month)) * 12
        + extract(MONTH FROM m.month) - extract(MONTH FROM m.cohort_month)
      AS BIGINT
    ) AS months_since,
    m.month,
    m.affiliates,
    coalesce(p.affiliates_active, 0) AS affiliates_active,
    CAST(coalesce(p.sales, 0) AS DECIMAL(38, 4)) AS sales,
    CAST(coalesce(p.commission, 0) AS DECIMAL(38, 4)) AS commission
  FROM months AS m
  LEFT JOIN per_month AS p
    ON p.currency = m.currency AND p.cohort_month = m.cohort_month AND p.month = m.month
),

added_up AS (
  SELECT
    f.*,
    CAST(sum(sales) OVER until_month AS DECIMAL(38, 4)) AS cumulative_sales,
    CAST(sum(commission) OVER until_month AS DECIMAL(38, 4)) AS cumulative_commission
  FROM filled AS f
  WINDOW until_month AS (
    PARTITION BY currency, cohort_month ORDER BY month ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
)

SELECT
  a.currency,
  a.cohort_month,
  a.months_since,
  a.month,
  a.month < CAST(date_trunc('month', now.today) AS DATE) AS is_complete,
  a.affiliates,
  a.affiliates_active,
  share(a.affiliates_active, a.affiliates) AS active_share,
  a.sales,
  average(a.sales, a.affiliates) AS sales_per_affiliate,
  average(a.cumulative_sales, a.affiliates) AS cumulative_sales_per_affiliate,
  a.commission,
  a.cumulative_commission
FROM added_up AS a
LEFT JOIN refersion_summaries.data_as_of AS now ON TRUE
ORDER BY a.currency, a.cohort_month, a.months_since
