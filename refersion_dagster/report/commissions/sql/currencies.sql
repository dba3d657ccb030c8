/*
description: The currencies of the account, its own first and then those with most conversions.
*/
SELECT currency, conversions, place
FROM refersion_summaries.currencies
ORDER BY CASE WHEN place = 1 THEN 0 ELSE 1 END, conversions DESC, currency
