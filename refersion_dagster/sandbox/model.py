"""The records of an account. Times are Unix seconds (UTC); money is Decimal in major units of the row's currency."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

PENDING, APPROVED, DENIED, UNQUALIFIED = "PENDING", "APPROVED", "DENIED", "UNQUALIFIED"
CONVERSION_STATUSES = (PENDING, APPROVED, DENIED, UNQUALIFIED)

ACTIVE, DISABLED = "ACTIVE", "DISABLED"

PAID, UNPAID = "PAID", "UNPAID"

LINK = "AFFILIATE_SITE_CONVERSION"
MANUAL_CREDIT = "MANUAL_CREDIT_BY_CLIENT"
COUPON = "CONVERSION_TRIGGER_COUPON"
SKU = "CONVERSION_TRIGGER_SKU"
EMAIL = "CONVERSION_TRIGGER_EMAIL"
AUTO_CREDIT = "AUTO_CREDIT_AFFILIATE_ID"
CANCELLATION_PREFIX = "CANCELLATION_"
ORDER_TYPES = (LINK, MANUAL_CREDIT, SKU, COUPON, EMAIL, AUTO_CREDIT)
CONVERSION_TYPES = ORDER_TYPES + tuple(CANCELLATION_PREFIX + kind for kind in ORDER_TYPES)

PERCENT_OF_SALE, FLAT_RATE = "PERCENT_OF_SALE", "FLAT_RATE"

CENT = Decimal("0.01")
# Currencies without a minor unit: their amounts are whole numbers.
WHOLE_CURRENCIES = frozenset(("CLP", "JPY", "KRW", "VND"))


@dataclass(slots=True)
class Shop:
    """The merchant's store; each account has one."""

    name: str
    url: str
    shop_identifier: str
    currency: str


@dataclass(slots=True)
class Offer:
    """A commission rule. `commission` is a percentage or an amount, depending on `type`."""

    id: int
    name: str
    type: str
    commission: Decimal
    flat_rate_currency: str
    cookie_days: int
    renewal_limit: int
    commission_terms: str


@dataclass(slots=True)
class Creative:
    id: int
    name: str
    type: str
    url: str


class CustomField(NamedTuple):
    id: int
    label: str
    value: str


@dataclass(slots=True)
class Affiliate:
    """An affiliate with two keys: `id` is the number, `code` is the end of the referral link.

    `popularity` and `currency` control the orders that the sandbox generates and are never published.
    """

    id: int
    code: str
    joined: int
    status: str
    offer_id: int
    first_name: str
    last_name: str
    email: str
    paypal_email: str = ""
    company: str = ""
    address1: str = ""
    address2: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    country: str = ""
    phone: str = ""
    unique_merchant_id: str = ""
    custom_fields: list[CustomField] = field(default_factory=list)
    popularity: int = 1
    currency: str = "USD"
    raw: dict[str, Any] | None = None


class Customer(NamedTuple):
    name: str
    email: str
    ip: str


class Reward(NamedTuple):
    """The reward of an affiliate for reaching a bonus tier of an offer (Enterprise)."""

    id: int
    offer_id: int
    milestone_reached: str
    amount_given: Decimal
    notes: str


class Click(NamedTuple):
    id: int
    created: int
    affiliate_id: int
    referer: str
    landed_url: str
    ip: str
    sub_id: str
    creative_id: int | None


@dataclass(slots=True)
class Conversion:
    """One conversion. Cancellations are separate rows with negative amounts.

    `approved` is the time of the last approval and is used for payouts only. `raw` holds values that a test set in
    place of the published ones; they are sent unchanged.
    """

    id: int
    created: int
    updated: int
    affiliate_id: int
    offer_id: int
    type: str
    status: str
    order_id: str
    total: Decimal
    commissionable_total: Decimal
    commission_total: Decimal
    currency: str
    total_items: int = 1
    payment_status: str = UNPAID
    payment_id: int | None = None
    is_test_conversion: bool = False
    is_recurring: bool = False
    subscription_id: str = ""
    coupon_code: str = ""
    denied_reason_code: str = ""
    reason: str = ""
    notes: str = ""
    source: str = "SHOPIFY"
    customer: Customer | None = None
    click: Click | None = None
    approved: int | None = None
    raw: dict[str, Any] | None = None


@dataclass(slots=True)
class Payment:
    """One payout to one affiliate in one currency. `commission_total` is the sum of its conversions' commission."""

    id: int
    created: int
    affiliate_id: int
    currency: str
    commission_total: Decimal
    total: Decimal
    total_conversions: int
    payment_method: str
    note: str


@dataclass(slots=True)
class Trigger:
    """A coupon code, SKU or e-mail address that credits an affiliate without a click."""

    id: int
    affiliate_id: int
    type: str
    trigger: str
