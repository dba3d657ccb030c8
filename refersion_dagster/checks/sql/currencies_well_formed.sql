/*
asset: summaries/conversions
description: Every currency is a code of three capital letters.
meaning: >
  Amounts of one currency may be split over two spellings of it, so that no sum of that currency is whole.
severity: warning
*/
SELECT currency, count(*) AS conversions
FROM refersion_summaries.conversions
WHERE length(currency) <> 3 OR upper(currency) <> currency
GROUP BY currency
ORDER BY currency
