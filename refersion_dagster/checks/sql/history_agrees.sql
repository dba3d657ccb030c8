/*
asset: refersion/conversion_history
description: The latest history entry of each conversion agrees with the conversion itself.
meaning: >
  A change of status, amount or affiliate was missed or recorded twice: approval dates, months of the roll-forward and
  payout lags may be wrong. Materialise refersion/conversion_history to add missing entries.
*/
WITH latest AS (
  SELECT
    id,
    status,
    payment_status,
    commission_total,
    affiliate_id,
    change,
    row_number() OVER (PARTITION BY id ORDER BY seen_at DESC) AS age
  FROM refersion_data.conversion_history
)

SELECT
  c.id AS conversion_id,
  c.status,
  h.status AS status_in_history,
  c.payment_status,
  h.payment_status AS payment_status_in_history,
  c.commission_total,
  h.commission_total AS commission_in_history,
  coalesce(c.affiliate_id, c.affiliate__id) AS affiliate_id,
  h.affiliate_id AS affiliate_in_history
FROM refersion_data.conversions AS c
LEFT JOIN latest AS h ON h.id = c.id AND h.age = 1
WHERE h.id IS NULL
  OR (c.vanished_at IS NULL) <> (h.change <> 'vanished')
  OR (
    c.vanished_at IS NULL
    AND (
      c.status IS DISTINCT FROM h.status
      OR c.payment_status IS DISTINCT FROM h.payment_status
      OR c.commission_total IS DISTINCT FROM h.commission_total
      OR coalesce(c.affiliate_id, c.affiliate__id) <> h.affiliate_id
    )
  )
ORDER BY c.id
