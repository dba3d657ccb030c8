/*
description: Orders, sales and commission of each affiliate by currency and month of the conversion.
*/
SELECT
  currency,
  affiliate_id,
  booked_month AS month,
  count(CASE WHEN is_sale AND counts_for_affiliate THEN 1 END) AS orders,
  CAST(sum(CASE WHEN is_sale AND counts_for_affiliate THEN total ELSE 0 END) AS DECIMAL(38, 4)) AS sales,
  CAST(sum(CASE WHEN is_earned THEN commission ELSE 0 END) AS DECIMAL(38, 4)) AS commission
FROM refersion_summaries.conversions
GROUP BY currency, affiliate_id, booked_month
ORDER BY currency, affiliate_id, booked_month
