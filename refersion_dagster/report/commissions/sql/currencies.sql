/*
description: The currencies of the account, the one with most conversions first.
*/
SELECT currency, conversions
FROM refersion_summaries.currencies
ORDER BY conversions DESC, currency
