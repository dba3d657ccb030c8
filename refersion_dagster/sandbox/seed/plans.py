"""Events that the generator plans and the account carries out."""

from dataclasses import dataclass

from refersion_dagster.sandbox.model import Affiliate


@dataclass(slots=True)
class OrderPlan:
    """A planned order: what the customer does and what the merchant will decide. Amounts are in cents."""

    when: int
    case: str
    affiliate_id: int
    second_affiliate_id: int
    kind: str
    number: int
    cents: int
    shipping: int
    items: int
    customer: int
    ip: int
    click_before: int
    decide_after: int
    cancel_after: int
    home_currency: bool


@dataclass(slots=True)
class AffiliatePlan:
    """A planned affiliate: who applies, when, and how the merchant decides."""

    affiliate: Affiliate
    coupon: str
    decided: int
    decision: str
    disabled: int | None
