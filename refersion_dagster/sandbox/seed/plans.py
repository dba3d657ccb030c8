"""What the generator hands to the account: things that will happen."""

from dataclasses import dataclass

from refersion_dagster.sandbox.model import Affiliate


@dataclass(slots=True)
class OrderPlan:
    """One order to come: what the customer does and what the merchant will decide. Amounts in cents."""

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
    """An affiliate to come: who, when, and what the merchant makes of the application."""

    affiliate: Affiliate
    coupon: str
    decided: int
    decision: str
    disabled: int | None
