/*
asset: summaries/control_totals
description: >
  The loaded conversions add up to Refersion's own totals, to the cent, in every month, status and payment status, but
  for differences that were accepted. Refersion was asked after the conversions were read.
meaning: >
  What is loaded is not what Refersion has in the months below. Read these months again (job refersion_backfill); a
  difference that remains and that you can explain is accepted by REFERSION_ACCEPTED_DIFFERENCES, with what stands here
  as difference, and then: by NAME on DATE: WHY.
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
  difference,
  reading,
  remark
FROM refersion_summaries.control_totals
WHERE verdict = 'differs'
ORDER BY month DESC, status, payment_status
