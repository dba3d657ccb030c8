"""The part of Refersion's GraphQL schema that the benchmark's server implements and its simple clients query."""

from graphql import build_schema

PAGE_SIZE = 200
"""Rows per page: Refersion's maximum."""

SCHEMA = build_schema("""
type Query {
  conversions(
    created_from: Int, created_to: Int, first: Int, offset: Int, status: String, payment_status: String
  ): [Conversion]
  payments(created_from: Int, created_to: Int, first: Int, offset: Int): [Payment]
  affiliates(limit: Int, first: Int, offset: Int, id: Int, email: String): [Affiliate]
  offers(first: Int): [Offer]
  pageInfo: PageInfo
}
type Conversion {
  id: Int
  status: String
  payment_status: String
  type: String
  total: String
  commission_total: String
  currency: String
  created: String
  updated: String
  order_id: String
  affiliate_id: Int
  affiliate: Affiliate
  subscription_id: String
  coupon_code: String
  is_test_conversion: Boolean
  is_recurring: Boolean
  total_items: Int
  denied_reason_code: String
  reason: String
  notes: String
  source: String
  payment_id: Int
  payment: Payment
  shop: Shop
  offer: Offer
  customer: Customer
  click: Click
}
type Affiliate { id: Int name: String email: String }
type Payment { id: Int created: String }
type Offer { id: Int name: String type: String amount: String }
type Shop { name: String }
type Customer { name: String email: String browser_ip: String }
type Click { created: String referer: String landed_url: String ip: String sub_id: String creative_id: Int }
type PageInfo { total_results: TotalResults }
type TotalResults { conversions: Int }
""")

CONVERSIONS_QUERY = """
query ($created_from: Int, $created_to: Int, $first: Int, $offset: Int) {
  conversions(created_from: $created_from, created_to: $created_to, first: $first, offset: $offset) {
    id status payment_status type total commission_total currency created updated order_id affiliate_id
    affiliate { id name email }
    subscription_id coupon_code is_test_conversion is_recurring total_items denied_reason_code reason notes source
    payment_id payment { id created } shop { name } offer { id name type amount }
    customer { name email browser_ip } click { created referer landed_url ip sub_id creative_id }
  }
  pageInfo { total_results { conversions } }
}
"""
