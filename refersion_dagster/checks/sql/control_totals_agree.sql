/*
asset: summaries/control_totals
description: >
  The loaded conversions add up to Refersion's own totals, to the cent, in every month, status and payment status,
  except for accepted differences. The totals were requested after the conversions were read.
meaning: >
  The warehouse differs from Refersion in the months below. Read these months again (job refersion_backfill). To accept
  a remaining difference that you can explain, add it to REFERSION_ACCEPTED_DIFFERENCES as shown here in the column
  difference, followed by: by NAME on DATE: WHY.
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
  interpretation,
  remark
FROM refersion_summaries.control_totals
WHERE verdict = 'differs'
ORDER BY month DESC, status, payment_status
