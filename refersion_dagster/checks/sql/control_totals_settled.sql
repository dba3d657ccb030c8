/*
asset: summaries/control_totals
description: >
  No month, status and payment status of the control totals kept moving while it was read: each of them was compared.
meaning: >
  Orders, approvals or payments came in whenever these were read, so that what is loaded and Refersion's totals are of
  different moments. They are neither proven nor wrong, and the next refresh reads and compares them again.
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
