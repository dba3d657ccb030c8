/*
description: Refersion's own totals against what was loaded, by status and payment status.
*/
SELECT
  status,
  payment_status,
  verdict,
  count(*) AS months,
  min(month) AS from_month,
  max(month) AS to_month,
  CAST(sum(refersion_count) AS BIGINT) AS refersion_count,
  CAST(sum(loaded_count) AS BIGINT) AS loaded_count,
  CAST(sum(refersion_commission) AS DECIMAL(38, 4)) AS refersion_commission,
  CAST(sum(loaded_commission) AS DECIMAL(38, 4)) AS loaded_commission,
  CAST(sum(refersion_order_total) AS DECIMAL(38, 4)) AS refersion_order_total,
  CAST(sum(loaded_order_total) AS DECIMAL(38, 4)) AS loaded_order_total,
  max(totals_currency) AS totals_currency,
  max(interpretation) AS interpretation,
  max(totals_read_at) AS totals_read_at,
  min(remark) AS remark
FROM refersion_summaries.control_totals
GROUP BY status, payment_status, verdict
ORDER BY status, payment_status, verdict
