/*
asset: summaries/conversions
description: Every currency is a code of three capital letters.
meaning: >
  Amounts in one currency may be split between two spellings, so every sum of that currency is incomplete.
severity: warning
*/
SELECT currency, count(*) AS conversions
FROM refersion_summaries.conversions
WHERE length(currency) <> 3 OR upper(currency) <> currency
GROUP BY currency
ORDER BY currency
