/*
description: The months of the roll-forward, the latest first.
*/
SELECT DISTINCT month
FROM refersion_summaries.commission_roll_forward
ORDER BY month DESC
