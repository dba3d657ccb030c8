/*
description: >
  The affiliates of each currency who sold most in $month, with their sales of $before and what is due to them now.
  A purchase that several affiliates are credited with counts for each, and once in commission_monthly.
*/
WITH sold AS (
  SELECT
    currency,
    affiliate_id,
    sum(CASE WHEN booked_month = $month AND is_sale AND counts_for_affiliate THEN total ELSE 0 END) AS sales,
    sum(CASE WHEN booked_month = $before AND is_sale AND counts_for_affiliate THEN total ELSE 0 END)
      AS sales_before,
    sum(CASE WHEN booked_month = $month THEN commission ELSE 0 END) AS commission
  FROM refersion_summaries.conversions
  WHERE booked_month IN ($month, $before) AND is_earned
  GROUP BY currency, affiliate_id
),

placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY currency ORDER BY sales DESC, commission DESC, affiliate_id) AS place,
    sum(sales) OVER (PARTITION BY currency) AS all_sales,
    sum(sales_before) OVER (PARTITION BY currency) AS all_sales_before
  FROM sold
)

SELECT
  p.currency,
  p.affiliate_id,
  a.affiliate_name AS name,
  CAST(p.sales AS DECIMAL(38, 4)) AS sales,
  CAST(p.sales_before AS DECIMAL(38, 4)) AS sales_before,
  CAST(p.all_sales AS DECIMAL(38, 4)) AS all_sales,
  CAST(p.all_sales_before AS DECIMAL(38, 4)) AS all_sales_before,
  CAST(p.commission AS DECIMAL(38, 4)) AS commission,
  a.commission_due AS due
FROM placed AS p
LEFT JOIN refersion_summaries.commission_by_affiliate AS a
  ON a.affiliate_id = p.affiliate_id AND a.currency = p.currency
WHERE p.place <= $most AND p.sales <> 0
ORDER BY p.currency, p.place
