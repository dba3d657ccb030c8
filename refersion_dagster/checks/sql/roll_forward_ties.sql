/*
asset: summaries/commission_roll_forward
description: >
  In every currency and month for which both are known, opening plus movements equals closing. Movements come from
  due_periods and closings from due_bounds, both built from the same readings: this proves that no movement was lost or
  counted twice between them, but nothing about changes that no reading showed.
meaning: >
  A movement of the amount owed was lost or counted twice: the months below cannot be explained to an auditor. Figures
  of other months and today's liability are not affected.
blocking: true
*/
SELECT currency, month, opening_due, newly_due, manual_credits, paid, reversed, closing_due, difference
FROM refersion_summaries.commission_roll_forward
WHERE difference <> 0
  OR (difference IS NULL AND opening_due IS NOT NULL AND closing_due IS NOT NULL AND basis = 'seen')
  OR closing_lowest > closing_highest
ORDER BY month, currency
