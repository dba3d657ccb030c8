/*
group: sales
description: >
  Whether each affiliate's sales rise or fall: the last REFERSION_RISING_DAYS whole days (without the day of the last
  load, which is not over) compared with the same number of days before. Days are those of the reporting time zone.
  Amounts of different currencies are never added up.
grain: one row per affiliate and currency with an order
primary_key: [affiliate_id, currency]
owners: [team:data]
macros: [rate]
questions:
  - Whose sales rise, and by how much?
  - Whose sales fall, and should be asked why?
columns:
  affiliate_id: Affiliate id; (unknown) where conversions name nobody.
  affiliate_name: Name, as conversions have it where the affiliate is not in the list.
  currency: Currency of every amount of the row.
  sales: >
    Gross sales of all time, the sum of totals of orders pending or approved. A purchase that the affiliate is credited
    with twice counts once.
  sales_recent: Those of the last days.
  sales_before: Sales of the same number of days before.
  sales_change: Difference of the two.
  sales_change_rate: sales_change divided by sales_before, a fraction (0.1 is 10 % more); NULL where there were none.
  trend: rising, falling, steady (the same and not 0), or quiet (no sales in either span).
  recent_from: First of the last days.
  before_from: First of the days before.
sums:
  sales: affiliate_sales
needs:
  "*": [conversions.order_id, conversions.is_recurring]
  affiliate_name: []
*/
WITH spans AS (
  SELECT
    today,
    today - $rising_days AS recent_from,
    today - $rising_days - $rising_days AS before_from
  FROM refersion_summaries.data_as_of
),

per_affiliate AS (
  SELECT
    c.affiliate_id,
    c.currency,
    max(c.affiliate_name) AS affiliate_name,
    sum(c.total) AS sales,
    sum(CASE WHEN c.booked_day >= s.recent_from AND c.booked_day < s.today THEN c.total ELSE 0 END) AS sales_recent,
    sum(CASE WHEN c.booked_day >= s.before_from AND c.booked_day < s.recent_from THEN c.total ELSE 0 END)
      AS sales_before,
    max(s.recent_from) AS recent_from,
    max(s.before_from) AS before_from
  FROM refersion_summaries.conversions AS c
  LEFT JOIN spans AS s ON TRUE
  WHERE c.is_sale AND c.counts_for_affiliate
  GROUP BY c.affiliate_id, c.currency
)

SELECT
  p.affiliate_id,
  coalesce(a.name, p.affiliate_name) AS affiliate_name,
  p.currency,
  CAST(p.sales AS DECIMAL(38, 4)) AS sales,
  CAST(p.sales_recent AS DECIMAL(38, 4)) AS sales_recent,
  CAST(p.sales_before AS DECIMAL(38, 4)) AS sales_before,
  CAST(p.sales_recent - p.sales_before AS DECIMAL(38, 4)) AS sales_change,
  rate(p.sales_recent - p.sales_before, p.sales_before) AS sales_change_rate,
  CASE
    WHEN p.sales_recent > p.sales_before THEN 'rising'
    WHEN p.sales_recent < p.sales_before THEN 'falling'
    WHEN p.sales_recent > 0 THEN 'steady'
    ELSE 'quiet'
  END AS trend,
  p.recent_from,
  p.before_from
FROM per_affiliate AS p
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = p.affiliate_id
ORDER BY sales_change DESC, p.sales DESC, p.affiliate_id, p.currency
