/*
asset: summaries/commission_roll_forward
description: In every currency and month, opening plus movements is the closing that was counted by itself.
meaning: >
  A movement of what is owed was lost or counted twice: the months below cannot be explained to an auditor. Figures of
  other months and of today's liability are not touched by it.
blocking: true
*/
SELECT currency, month, opening_due, newly_due, manual_credits, paid, reversed, closing_due, difference
FROM refersion_summaries.commission_roll_forward
WHERE difference <> 0 OR difference IS NULL
ORDER BY month, currency
