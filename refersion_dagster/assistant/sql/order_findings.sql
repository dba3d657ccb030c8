/*
description: The findings to review about the conversions with this order id or conversion id ($id).
*/
SELECT kind, conversion_id, currency, amount_at_stake, amount_unpaid, evidence, suggested_action
FROM refersion_summaries.conversion_exceptions
WHERE order_id = $id OR conversion_id = $id
ORDER BY kind, conversion_id
