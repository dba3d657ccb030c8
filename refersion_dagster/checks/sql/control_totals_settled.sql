/*
asset: summaries/control_totals
description: >
  Every month, status and payment status of the control totals was stable while it was read, so each was compared.
meaning: >
  Orders, approvals or payments arrived each time these were read, so the loaded rows and Refersion's totals are from
  different times. They are neither proven nor wrong; the next refresh reads and compares them again.
severity: warning
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
  totals_read_at
FROM refersion_summaries.control_totals
WHERE verdict = 'not settled'
ORDER BY month DESC, status, payment_status
