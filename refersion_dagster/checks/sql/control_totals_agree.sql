/*
asset: summaries/control_totals
description: >
  The loaded conversions add up to Refersion's own totals, to the cent (REFERSION_CONTROL_TOLERANCE), in every month,
  status and payment status. Refersion was asked after the conversions were read.
meaning: >
  What is loaded is not what Refersion has in the months below. Read these months again (job refersion_backfill); a
  difference that remains and that you can explain is accepted by REFERSION_CONTROL_TOLERANCE.
blocking: true
*/
SELECT
  month,
  status,
  payment_status,
  totals_currency,
  refersion_count,
  loaded_count,
  refersion_commission,
  loaded_commission,
  commission_difference,
  order_total_difference,
  reading,
  remark
FROM refersion_summaries.control_totals
WHERE verdict = 'differs'
ORDER BY month DESC, status, payment_status
