/*
group: core
description: >
  The currencies of the account, each with the payout terms and costs that the settings give for it.
grain: one row per currency
primary_key: [currency]
owners: [team:data]
questions:
  - Which minimum payout and costs do the figures use?
columns:
  currency: Currency.
  minimum_payout: Commission below this is not paid out yet (REFERSION_MINIMUM_PAYOUT).
  subscription: >
    Refersion's subscription per month (REFERSION_SUBSCRIPTION); of several with dates, the last one. An amount without a
    currency counts in the currency of the most conversions.
  conversions: Number of conversions.
  place: >
    Place in every list of currencies: 1 for the account's own, which Refersion's totals name (without them, the one of
    the most conversions), then by name.
needs:
  place: []
states:
  conversions: [conversions.DENIED, conversions.UNQUALIFIED]
*/
WITH own AS (
  -- Totals are in the account's own currency, unless Refersion was asked for another one.
  SELECT currency
  FROM refersion_data.conversion_totals
  WHERE NOT coalesce(currency_asked, FALSE) AND currency IN (SELECT currency FROM refersion_summaries.conversions)
  GROUP BY currency
  ORDER BY count(*) DESC, currency
  LIMIT 1
),

counted AS (
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
  c.currency,
  CAST(coalesce(c.payout, c.any_payout) AS DECIMAL(18, 4)) AS minimum_payout,
  CAST(coalesce(c.own_subscription, CASE WHEN c.place = 1 THEN c.any_subscription ELSE '0' END) AS DECIMAL(18, 4))
    AS subscription,
  c.conversions,
  row_number() OVER (
    ORDER BY CASE WHEN c.currency = o.currency OR (o.currency IS NULL AND c.place = 1) THEN 0 ELSE 1 END, c.currency
  ) AS place
FROM counted AS c
LEFT JOIN own AS o ON TRUE
