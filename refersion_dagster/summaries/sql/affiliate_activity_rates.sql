/*
group: sales
description: >
  How many of the affiliates that may sell (status ACTIVE) do sell, in one row. The classes are those of
  affiliate_activity; each ACTIVE affiliate is in one of them.
grain: one row, or none before the first load
primary_key: [today]
owners: [team:data]
macros: [share]
questions:
  - What share of the affiliates is active?
  - How many stopped selling or never began?
columns:
  today: Day of the last load, in the reporting time zone. Every span of days ends on it.
  affiliates: All affiliates in any status.
  affiliates_active: Those with status ACTIVE; the base of both rates.
  active_30: Those of them with an approved order of the last 30 days.
  active_rate_30: active_30 divided by affiliates_active, a fraction; NULL where there are none.
  active_90: Those of them with an approved order of the last 90 days.
  active_rate_90: active_90 divided by affiliates_active, a fraction.
  rising: ACTIVE affiliates whose sales rise.
  falling: ACTIVE affiliates whose sales fall.
  selling: ACTIVE affiliates that sell as much as before, or more in one currency and less in another.
  lapsed: ACTIVE affiliates without an order for REFERSION_LAPSED_DAYS.
  never_sold: ACTIVE affiliates that never sold.
needs:
  "*": &who conversions.affiliate_id | conversions.affiliate__id | conversions.affiliate__email
  affiliates: affiliates.id | affiliate_get.id | affiliate_list.id
  rising: &trend [*who, affiliates.status | affiliate_get.status | affiliate_list.status, conversions.order_id, conversions.is_recurring]
  falling: *trend
  selling: *trend
  lapsed: *trend
  never_sold: *trend
states:
  affiliates: [affiliates.DENIED, affiliates.DISABLED]
*/
WITH counted AS (
  SELECT
    count(*) AS affiliates,
    count(CASE WHEN status = 'ACTIVE' THEN 1 END) AS affiliates_active,
    count(CASE WHEN active_30 THEN 1 END) AS active_30,
    count(CASE WHEN active_90 THEN 1 END) AS active_90,
    count(CASE WHEN status = 'ACTIVE' AND activity = 'rising' THEN 1 END) AS rising,
    count(CASE WHEN status = 'ACTIVE' AND activity = 'falling' THEN 1 END) AS falling,
    count(CASE WHEN status = 'ACTIVE' AND activity = 'selling' THEN 1 END) AS selling,
    count(CASE WHEN status = 'ACTIVE' AND activity = 'lapsed' THEN 1 END) AS lapsed,
    count(CASE WHEN status = 'ACTIVE' AND activity = 'never sold' THEN 1 END) AS never_sold
  FROM refersion_summaries.affiliate_activity
)

SELECT
  d.today,
  c.affiliates,
  c.affiliates_active,
  c.active_30,
  share(c.active_30, c.affiliates_active) AS active_rate_30,
  c.active_90,
  share(c.active_90, c.affiliates_active) AS active_rate_90,
  c.rising,
  c.falling,
  c.selling,
  c.lapsed,
  c.never_sold
FROM counted AS c
CROSS JOIN refersion_summaries.data_as_of AS d
