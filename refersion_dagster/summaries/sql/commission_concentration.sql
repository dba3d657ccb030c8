/*
group: sales
description: >
  How much the programme depends on a few affiliates, by commission pending, due or paid, with manual credits and less
  cancellations. Affiliates whose commission is 0 or less are left out, because they would push the others' shares
  above the whole.
grain: one row per currency
primary_key: [currency]
owners: [team:data]
macros: [share]
questions:
  - How much of the commission goes to the top affiliate, the top five and the top ten?
  - How many affiliates make 80 % of it?
columns:
  currency: Currency of the shares.
  affiliates: Affiliates with commission above 0.
  commission: Their commission.
  top_affiliate_id: Affiliate with the most commission.
  top_affiliate_name: That affiliate's name.
  top_1_share: Share of the affiliate with the most commission, a fraction.
  top_5_share: Share of the first five, or of all where there are fewer.
  top_10_share: Share of the first ten, or of all where there are fewer.
  affiliates_for_80_percent: The smallest number of affiliates that have 80 % of the commission.
  hhi: >
    Herfindahl-Hirschman index, the sum of the squared shares: 1 where one affiliate has everything, 0.1 for ten equal
    ones. Above 0.25 is commonly called concentrated.
needs:
  affiliates: &who conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
  hhi: *who
  top_affiliate_name: *who
*/
WITH per_affiliate AS (
  SELECT currency, affiliate_id, max(affiliate_name) AS affiliate_name, sum(commission) AS commission
  FROM refersion_summaries.conversions AS c
  WHERE is_earned
  GROUP BY currency, affiliate_id
  HAVING sum(c.commission) > 0
),

ranked AS (
  SELECT
    p.*,
    row_number() OVER (PARTITION BY currency ORDER BY commission DESC, affiliate_id) AS place,
    sum(commission) OVER (
      PARTITION BY currency ORDER BY commission DESC, affiliate_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS so_far,
    sum(commission) OVER (PARTITION BY currency) AS everything
  FROM per_affiliate AS p
),

shared AS (
  SELECT
    r.*,
    CAST(commission / nullif(everything, 0) AS DECIMAL(18, 12)) AS share,
    -- Whether those before it fell short of 80 %, so that it is needed.
    so_far - commission < everything * 0.8 AS is_needed
  FROM ranked AS r
),

measured AS (
  SELECT
    currency,
    count(*) AS affiliates,
    sum(commission) AS commission,
    min(CASE WHEN place = 1 THEN affiliate_id END) AS top_affiliate_id,
    min(CASE WHEN place = 1 THEN affiliate_name END) AS top_affiliate_name,
    sum(CASE WHEN place <= 1 THEN commission ELSE 0 END) AS top_1,
    sum(CASE WHEN place <= 5 THEN commission ELSE 0 END) AS top_5,
    sum(CASE WHEN place <= 10 THEN commission ELSE 0 END) AS top_10,
    count(CASE WHEN is_needed THEN 1 END) AS affiliates_for_80_percent,
    sum(share * share) AS hhi
  FROM shared
  GROUP BY currency
)

SELECT
  m.currency,
  m.affiliates,
  CAST(m.commission AS DECIMAL(38, 4)) AS commission,
  m.top_affiliate_id,
  coalesce(a.name, m.top_affiliate_name) AS top_affiliate_name,
  share(m.top_1, m.commission) AS top_1_share,
  share(m.top_5, m.commission) AS top_5_share,
  share(m.top_10, m.commission) AS top_10_share,
  m.affiliates_for_80_percent,
  CAST(m.hhi AS DECIMAL(18, 6)) AS hhi
FROM measured AS m
LEFT JOIN refersion_summaries.affiliates AS a ON a.affiliate_id = m.top_affiliate_id
ORDER BY m.affiliates DESC, m.currency
