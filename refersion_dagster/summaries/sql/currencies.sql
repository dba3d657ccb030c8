/*
group: core
description: >
  The currencies of the account, each with the payout terms and costs that the settings give for it.
grain: one row per currency
primary_key: [currency]
owners: [team:data]
questions:
  - Which minimum payout and which costs are the figures reckoned with?
columns:
  currency: Currency.
  minimum_payout: Commission below this is not paid out yet (REFERSION_MINIMUM_PAYOUT).
  subscription: Refersion's subscription per month (REFERSION_SUBSCRIPTION); an amount given without a currency counts in the currency of the most conversions.
  conversions: Number of conversions.
*/
WITH counted AS (
  SELECT
    currency,
    count(*) AS conversions,
    row_number() OVER (ORDER BY count(*) DESC, currency) AS place,
    -- Settings come as 'USD=50;EUR=45;*=0;'; the star stands for every other currency.
    nullif(split_part(split_part(concat(';', $minimum_payout), concat(';', currency, '='), 2), ';', 1), '') AS payout,
    split_part(split_part(concat(';', $minimum_payout), ';*=', 2), ';', 1) AS any_payout,
    nullif(split_part(split_part(concat(';', $subscription), concat(';', currency, '='), 2), ';', 1), '') AS own_subscription,
    split_part(split_part(concat(';', $subscription), ';*=', 2), ';', 1) AS any_subscription
  FROM refersion_summaries.conversions
  GROUP BY currency
)

SELECT
  currency,
  CAST(coalesce(payout, any_payout) AS DECIMAL(18, 4)) AS minimum_payout,
  CAST(coalesce(own_subscription, CASE WHEN place = 1 THEN any_subscription ELSE '0' END) AS DECIMAL(18, 4)) AS subscription,
  conversions
FROM counted
