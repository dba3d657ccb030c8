/*
group: sales
description: >
  What the affiliate channel costs and what it brings, month by month in the reporting time zone: commission with manual
  credits, Refersion's fee on sales (REFERSION_PLATFORM_FEE_PERCENT) and its subscription (REFERSION_SUBSCRIPTION),
  divided by net sales. A fee applies to the sales of the days on which it was valid, a subscription to the months
  that began while it was valid. Commission and net sales are those approved; where more than a tenth of a month's
  sales waits for approval, cost and expected net sales are shown beside them. channel_cost_total has all months
  together. Amounts of different currencies are never added up.
grain: one row per currency and month
primary_key: [currency, month]
owners: [team:data]
macros: [share, rate, months_of]
questions:
  - What is the total cost of a dollar of affiliate sales?
  - What is the return on what the channel costs?
columns:
  currency: Currency of every amount of the row.
  month: First day of the month of the conversions, in the reporting time zone.
  is_complete: Whether the month was over at the last load; the subscription is that of a whole month.
  sales: Gross affiliate sales, pending or approved orders; base of the platform fee.
  sales_pending: The part of sales that waits for approval and is not in net sales yet.
  net_sales: Sum of totals of approved orders and cancellations.
  commission: Commission approved, with manual credits and less cancellations.
  manual_credits: Part of commission that comes from manual credits.
  commission_pending: Commission that waits for approval; not in the cost yet.
  platform_fee: Fee percentage of sales, at the rate of each day.
  subscription: Subscription of the month.
  all_in_cost: Commission, platform fee and subscription.
  all_in_cost_rate: All-in cost divided by net sales, a fraction; NULL where net sales are not above 0.
  roas: Net sales divided by all-in cost (return on advertising spend); NULL where the cost is not above 0.
  pending_share: Sales pending divided by sales, a fraction; NULL without any.
  approval_rate: >
    Approved divided by approved and denied commission of the currency's orders, where it is above 0, of all months;
    used to weight what is pending. NULL before any order was decided.
  expected_net_sales: >
    Net sales and sales pending x approval rate. This column and the next two are NULL where no more than a tenth of the
    month's sales is pending, or where there is no rate.
  expected_all_in_cost: All-in cost and commission pending x approval rate.
  expected_all_in_cost_rate: Expected all-in cost divided by expected net sales; NULL where these are not above 0.
sums:
  sales: programme_sales
  net_sales: programme_net_sales
  commission_pending: pending
plot: {x: month, y: all_in_cost, by: currency}
*/
-- Settings come as '0001-01-01|2026-01-01|3#2026-01-01|9999-12-31|2.5#': from a day on, up to another, what holds.
WITH fees AS (
  SELECT
    CAST(split_part(e.entry, '|', 1) AS DATE) AS held_from,
    CAST(split_part(e.entry, '|', 2) AS DATE) AS held_until,
    CAST(split_part(e.entry, '|', 3) AS DECIMAL(18, 4)) AS percent
  FROM (
    SELECT split_part($platform_fee_by_date, '#', CAST(s.place AS INT)) AS entry
    FROM generate_series(1, length($platform_fee_by_date) - length(replace($platform_fee_by_date, '#', ''))) AS s(place)
  ) AS e
),

-- In the currency that it names; without a name, in that of the most conversions.
subscriptions AS (
  SELECT
    c.currency,
    CAST(split_part(e.entry, '|', 1) AS DATE) AS held_from,
    CAST(split_part(e.entry, '|', 2) AS DATE) AS held_until,
    CAST(
      coalesce(
        nullif(
          split_part(split_part(concat(';', split_part(e.entry, '|', 3)), concat(';', c.currency, '='), 2), ';', 1), ''
        ),
        CASE WHEN c.size_place = 1 THEN split_part(split_part(concat(';', split_part(e.entry, '|', 3)), ';*=', 2), ';', 1) END,
        '0'
      ) AS DECIMAL(18, 4)
    ) AS amount
  FROM (
    SELECT currency, row_number() OVER (ORDER BY conversions DESC, currency) AS size_place
    FROM refersion_summaries.currencies
  ) AS c
  CROSS JOIN (
    SELECT split_part($subscription_by_date, '#', CAST(s.place AS INT)) AS entry
    FROM generate_series(1, length($subscription_by_date) - length(replace($subscription_by_date, '#', ''))) AS s(place)
  ) AS e
),

charged AS (
  SELECT c.currency, c.booked_month AS month, sum(c.total * f.percent) AS percents
  FROM refersion_summaries.conversions AS c
  JOIN fees AS f ON c.booked_day >= f.held_from AND c.booked_day < f.held_until
  WHERE c.counts_once AND c.is_sale
  GROUP BY c.currency, c.booked_month
),

decided AS (
  SELECT
    currency,
    sum(CASE WHEN is_approved THEN commission ELSE 0 END) AS approved,
    sum(CASE WHEN is_decided THEN commission ELSE 0 END) AS decided
  FROM refersion_summaries.conversions
  WHERE conversion_kind = 'order' AND commission > 0
  GROUP BY currency
),

per_month AS (
  SELECT
    currency,
    booked_month AS month,
    sum(CASE WHEN counts_once AND is_sale THEN total ELSE 0 END) AS sales,
    sum(CASE WHEN counts_once AND is_sale AND commission_state = 'pending' THEN total ELSE 0 END) AS sales_pending,
    sum(CASE WHEN counts_once AND is_net THEN total ELSE 0 END) AS net_sales,
    sum(CASE WHEN is_approved THEN commission ELSE 0 END) AS commission,
    sum(CASE WHEN conversion_kind = 'manual credit' AND is_approved THEN commission ELSE 0 END) AS manual_credits,
    sum(CASE WHEN commission_state = 'pending' THEN commission ELSE 0 END) AS commission_pending
  FROM refersion_summaries.conversions
  GROUP BY currency, booked_month
),

months_of(per_month),

costed AS (
  SELECT
    m.currency,
    m.month,
    CAST(coalesce(p.sales, 0) AS DECIMAL(38, 4)) AS sales,
    CAST(coalesce(p.sales_pending, 0) AS DECIMAL(38, 4)) AS sales_pending,
    CAST(coalesce(p.net_sales, 0) AS DECIMAL(38, 4)) AS net_sales,
    CAST(coalesce(p.commission, 0) AS DECIMAL(38, 4)) AS commission,
    CAST(coalesce(p.manual_credits, 0) AS DECIMAL(38, 4)) AS manual_credits,
    CAST(coalesce(p.commission_pending, 0) AS DECIMAL(38, 4)) AS commission_pending,
    CAST(coalesce(f.percents, 0) * 0.01 AS DECIMAL(38, 4)) AS platform_fee,
    CAST(c.amount AS DECIMAL(38, 4)) AS subscription,
    share(d.approved, d.decided) AS approval_rate
  FROM months AS m
  JOIN subscriptions AS c ON c.currency = m.currency AND m.month >= c.held_from AND m.month < c.held_until
  LEFT JOIN charged AS f ON f.currency = m.currency AND f.month = m.month
  LEFT JOIN decided AS d ON d.currency = m.currency
  LEFT JOIN per_month AS p ON p.currency = m.currency AND p.month = m.month
),

added_up AS (
  SELECT c.*, CAST(commission + platform_fee + subscription AS DECIMAL(38, 4)) AS all_in_cost
  FROM costed AS c
),

expected AS (
  SELECT
    a.*,
    CAST(
      CASE WHEN sales_pending * 10 > sales THEN net_sales + CAST(sales_pending AS DECIMAL(28, 4)) * approval_rate END
      AS DECIMAL(38, 4)
    ) AS expected_net_sales,
    CAST(
      CASE
        WHEN sales_pending * 10 > sales THEN all_in_cost + CAST(commission_pending AS DECIMAL(28, 4)) * approval_rate
      END AS DECIMAL(38, 4)
    ) AS expected_all_in_cost
  FROM added_up AS a
)

SELECT
  a.currency,
  a.month,
  a.month < CAST(date_trunc('month', now.today) AS DATE) AS is_complete,
  a.sales,
  a.sales_pending,
  a.net_sales,
  a.commission,
  a.manual_credits,
  a.commission_pending,
  a.platform_fee,
  a.subscription,
  a.all_in_cost,
  rate(a.all_in_cost, greatest(a.net_sales, 0)) AS all_in_cost_rate,
  rate(a.net_sales, greatest(a.all_in_cost, 0)) AS roas,
  share(a.sales_pending, a.sales) AS pending_share,
  a.approval_rate,
  a.expected_net_sales,
  a.expected_all_in_cost,
  rate(a.expected_all_in_cost, greatest(a.expected_net_sales, 0)) AS expected_all_in_cost_rate
FROM expected AS a
LEFT JOIN refersion_summaries.data_as_of AS now ON TRUE
ORDER BY a.month DESC, a.currency
