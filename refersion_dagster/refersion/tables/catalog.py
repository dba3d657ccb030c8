"""The catalogue of Refersion's tables: every known field, its type, and the source of the fact.

Columns use dlt's naming (`payment__created` is field `created` of object `payment`). `evidence` says how certain a
field is: documented by Refersion, seen in working client code, or inferred (known from the webhook payloads).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The type of a column. See coerce.py for the accepted shapes and the Arrow type of each."""

    ID = "id"
    TEXT = "text"
    MONEY = "money"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    CUSTOM_FIELDS = "custom_fields"


class FieldSource(StrEnum):
    DOCUMENTED = "documented"
    SEEN = "seen"
    INFERRED = "inferred"
    OURS = "ours"


@dataclass(frozen=True)
class Column:
    """One column of a raw table.

    Args:
        name: the column's name in the warehouse; `a__b` is read from field `b` of object `a`.
        required: a row without it is an error, not a NULL.
        personal: a customer's personal value, subject to REFERSION_PII.
        holds_addresses: a page's URL, which may contain a customer's e-mail; that part is subject to REFERSION_PII.
        digest_of: the column whose hash this one holds, in the same form as hashed customer values. It is computed
        here.
    """

    name: str
    kind: Kind
    description: str
    evidence: FieldSource = FieldSource.INFERRED
    required: bool = False
    personal: bool = False
    holds_addresses: bool = False
    digest_of: str | None = None

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.name.split("__"))


@dataclass(frozen=True)
class Entity:
    """One raw table.

    Args:
        name: name of the table, the dlt resource and the asset.
        description: what a row is and where it comes from.
        columns: all known columns; additional scalar fields are loaded as text columns.
        primary_key: the merge key.
        graphql_type: its GraphQL type; None for REST tables.
        windowed: read by `created_from` and `created_to`.
        may_be_listed: whether it may be read as a whole list if the account has no such windows for it.
        under: lists that its rows may be nested in if there is no root field, each with the column to fill with the
        list's id.
        needed: whether no figure can be computed without the table. Other tables are empty if an account does not
        offer them.
        filled_by_filter: fields that summaries need, with the values to query one by one if the field cannot be
        selected but can be filtered on.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ("id",)
    graphql_type: str | None = None
    windowed: bool = False
    needed: bool = False
    may_be_listed: bool = False
    under: tuple[tuple[str, str], ...] = ()
    filled_by_filter: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def is_graphql(self) -> bool:
        return self.graphql_type is not None


D, S, I, OURS = FieldSource.DOCUMENTED, FieldSource.SEEN, FieldSource.INFERRED, FieldSource.OURS  # noqa: E741

CONVERSION_STATUSES = ("PENDING", "APPROVED", "DENIED", "UNQUALIFIED")
PAYMENT_STATUSES = ("PAID", "UNPAID")
# The currency of totals for which Refersion returns none.
NO_CURRENCY = "(none)"


def name_state(status: str) -> str:
    """What `_not_offered` has in place of a column if an account does not show a table's rows in this status."""
    return f"status={status}"


READ_AT = Column("read_at", Kind.TIMESTAMP, "When the reading that last returned this row began.", OURS)

AFFILIATE_LIST = Entity(
    name="affiliate_list",
    description="Every affiliate as returned by REST (/affiliate/list). Its id is documented as the affiliate "
    "code (the end of the referral link); some accounts may return the numeric id.",
    columns=(
        Column("id", Kind.ID, "Affiliate code, as returned by the list.", D, required=True),
        Column("offer_id", Kind.ID, "Offer of the affiliate.", D),
        Column("status", Kind.TEXT, "PENDING, ACTIVE, DENIED or DISABLED.", D),
        Column("first_name", Kind.TEXT, "First name.", D),
        Column("last_name", Kind.TEXT, "Last name.", D),
        Column("email", Kind.TEXT, "The affiliate's e-mail.", D),
        Column("custom_fields", Kind.CUSTOM_FIELDS, "Answers to the sign-up form: a list of {label, value}.", D),
        Column(
            "vanished_at",
            Kind.TIMESTAMP,
            "When a reading of the list no longer returned the affiliate; otherwise NULL.",
            OURS,
        ),
        READ_AT,
    ),
)
AFFILIATE_GET = Entity(
    name="affiliate_get",
    description="Details of each affiliate through REST (/affiliate/get); maps the numeric id to the code. Read "
    "for affiliates that are new or whose list row changed.",
    columns=(
        Column("id", Kind.ID, "Numeric affiliate id.", D, required=True),
        Column("affiliate_code", Kind.ID, "Affiliate code: the end of the referral link.", OURS),
        Column("offer_id", Kind.ID, "Offer of the affiliate.", D),
        Column("status", Kind.TEXT, "PENDING, ACTIVE, DENIED or DISABLED.", D),
        Column("first_name", Kind.TEXT, "First name.", D),
        Column("last_name", Kind.TEXT, "Last name.", D),
        Column("company_name", Kind.TEXT, "Company.", D),
        Column("email", Kind.TEXT, "The affiliate's e-mail.", D),
        Column("link", Kind.TEXT, "Referral link.", D),
        Column("custom_fields", Kind.CUSTOM_FIELDS, "Answers to the sign-up form: a list of {label, value}.", D),
        READ_AT,
    ),
)
CONVERSION_TOTALS = Entity(
    name="conversion_totals",
    description="Refersion's own sums through REST (/conversion/totals), per period, status and payment status: "
    "the control totals that loaded conversions are compared with. One currency per response: the account's own, "
    "and each further one if the account accepts a currency in the request.",
    columns=(
        Column("granularity", Kind.TEXT, "month or day: the length of the period.", OURS, required=True),
        Column("period_from", Kind.TIMESTAMP, "First second of the period, UTC.", OURS, required=True),
        Column("period_to", Kind.TIMESTAMP, "Last second of the requested period, UTC.", OURS, required=True),
        Column("status", Kind.TEXT, "Requested conversion status.", OURS, required=True),
        Column("payment_status", Kind.TEXT, "Requested payment status.", OURS, required=True),
        Column("conversions_count", Kind.INTEGER, "Number of conversions.", D, required=True),
        Column("commission_total", Kind.MONEY, "Sum of commissions.", D, required=True),
        Column("order_total", Kind.MONEY, "Sum of order totals.", D, required=True),
        Column("commissionable_order_total", Kind.MONEY, "Sum of the commissionable part of order totals.", D),
        Column("currency", Kind.TEXT, "Currency of the sums; (none) if Refersion does not name it.", D, required=True),
        Column("currency_asked", Kind.BOOLEAN, "Whether this currency was requested explicitly.", OURS),
        READ_AT,
    ),
    primary_key=("granularity", "period_from", "status", "payment_status", "currency"),
)
AFFILIATES = Entity(
    name="affiliates",
    description="Every affiliate as returned by GraphQL: numeric id, PayPal e-mail, country, and rfsn_parameter, "
    "which contains both the numeric id and the code.",
    graphql_type="Affiliate",
    columns=(
        Column("id", Kind.ID, "Numeric affiliate id.", D, required=True),
        Column("status", Kind.TEXT, "PENDING, ACTIVE, DENIED or DISABLED.", D),
        Column("name", Kind.TEXT, "Full name.", D),
        Column("first_name", Kind.TEXT, "First name.", D),
        Column("last_name", Kind.TEXT, "Last name.", D),
        Column("email", Kind.TEXT, "The affiliate's e-mail.", D),
        Column("email_hash", Kind.TEXT, "Hash of email, comparable with customers' hashes.", OURS, digest_of="email"),
        Column("rfsn_parameter", Kind.TEXT, "&rfsn=<numeric id>.<code>: maps one affiliate id to the other.", D),
        Column("paypal_email", Kind.TEXT, "PayPal e-mail; without it the affiliate cannot be paid by PayPal.", S),
        Column("paypal_email_hash", Kind.TEXT, "Hash of paypal_email.", OURS, digest_of="paypal_email"),
        Column("country", Kind.TEXT, "Country.", S),
        Column("offer__commission", Kind.MONEY, "Commission of the offer: percent or amount, see offer__type.", D),
        Column("offer__type", Kind.TEXT, "PERCENT_OF_SALE or FLAT_RATE.", D),
        Column("custom_fields", Kind.CUSTOM_FIELDS, "Answers to the sign-up form: a list of {id, label, value}.", S),
        Column(
            "vanished_at",
            Kind.TIMESTAMP,
            "When a reading of all affiliates no longer returned this one; otherwise NULL.",
            OURS,
        ),
        READ_AT,
    ),
)
CONVERSIONS = Entity(
    name="conversions",
    description="Every conversion (order, cancellation or manual credit), through GraphQL. A row changes after "
    "it was created: it is approved or denied, and later paid.",
    graphql_type="Conversion",
    windowed=True,
    needed=True,
    filled_by_filter=(("status", CONVERSION_STATUSES), ("payment_status", PAYMENT_STATUSES)),
    columns=(
        Column("id", Kind.ID, "Conversion id.", S, required=True),
        Column("status", Kind.TEXT, "PENDING, APPROVED, DENIED or UNQUALIFIED."),
        Column("payment_status", Kind.TEXT, "PAID or UNPAID."),
        Column("type", Kind.TEXT, "How it was attributed; CANCELLATION_… rows have negative amounts."),
        Column("order_id", Kind.ID, "The shop's order. Not unique: renewals, cancellations and duplicates repeat it."),
        Column(
            "total", Kind.MONEY, "Order amount on which the commission is calculated, in `currency`.", D, required=True
        ),
        Column("commission_total", Kind.MONEY, "Commission, in `currency`.", D, required=True),
        Column("currency", Kind.TEXT, "Currency of this row.", D, required=True),
        Column("created", Kind.TIMESTAMP, "When the conversion was made, UTC.", D, required=True),
        Column("updated", Kind.TIMESTAMP, "When it last changed, UTC."),
        Column("affiliate_id", Kind.ID, "Numeric affiliate id.", S),
        Column("affiliate__id", Kind.ID, "Numeric affiliate id from the affiliate object."),
        Column("affiliate__name", Kind.TEXT, "Affiliate's name.", D),
        Column("affiliate__email", Kind.TEXT, "Affiliate's e-mail.", D),
        Column("offer__id", Kind.ID, "Offer at the time of the conversion."),
        Column("offer__name", Kind.TEXT, "Name of that offer."),
        Column("offer__type", Kind.TEXT, "PERCENT_OF_SALE or FLAT_RATE."),
        Column("offer__amount", Kind.MONEY, "Percent or amount, see offer__type."),
        Column("payment_id", Kind.ID, "Payment that paid it."),
        Column("payment__id", Kind.ID, "Payment that paid it, from the payment object.", D),
        Column("payment__created", Kind.TIMESTAMP, "When it was paid, UTC; NULL while unpaid.", D),
        Column("coupon_code", Kind.TEXT, "Coupon that attributed it.", S),
        Column("subscription_id", Kind.ID, "Subscription of a renewal.", S),
        Column("is_recurring", Kind.BOOLEAN, "A renewal."),
        Column("is_test_conversion", Kind.BOOLEAN, "Whether it is a test; tests are excluded from every figure."),
        Column("total_items", Kind.INTEGER, "Items in the order."),
        Column("denied_reason_code", Kind.TEXT, "Why it was denied."),
        Column("reason", Kind.TEXT, "Reason as text."),
        Column("notes", Kind.TEXT, "Merchant's notes."),
        Column("source", Kind.TEXT, "SHOPIFY, API, MERCHANT_PROFILE, …"),
        Column("shop__name", Kind.TEXT, "Shop.", D),
        Column("customer__name", Kind.TEXT, "Customer's name (personal).", personal=True),
        Column("customer__email", Kind.TEXT, "Customer's e-mail (personal).", personal=True),
        Column("customer__browser_ip", Kind.TEXT, "Customer's IP address (personal).", personal=True),
        Column("click__created", Kind.TIMESTAMP, "When the referring click was made, UTC."),
        Column("click__referer", Kind.TEXT, "Page the click came from.", holds_addresses=True),
        Column("click__landed_url", Kind.TEXT, "Page the click landed on.", holds_addresses=True),
        Column("click__ip", Kind.TEXT, "IP address of the click (personal).", personal=True),
        Column("click__sub_id", Kind.TEXT, "Affiliate's own tracking id."),
        Column("click__creative_id", Kind.ID, "Creative that was clicked."),
        Column(
            "vanished_at",
            Kind.TIMESTAMP,
            "When a reading of its time range no longer returned the row; otherwise NULL.",
            OURS,
        ),
        READ_AT,
    ),
)
PAYMENTS = Entity(
    name="payments",
    description="Every payment to an affiliate, through GraphQL: one affiliate and one currency each.",
    graphql_type="Payment",
    windowed=True,
    columns=(
        Column("id", Kind.ID, "Payment id.", D, required=True),
        Column("created", Kind.TIMESTAMP, "When it was paid, UTC.", D, required=True),
        Column("commission_total", Kind.MONEY, "Amount paid, in `currency`.", D, required=True),
        Column("currency", Kind.TEXT, "Currency of the payment.", D, required=True),
        Column("total_conversions", Kind.INTEGER, "Number of conversions paid by it.", D),
        Column("total", Kind.MONEY, "Order amount behind it."),
        Column("affiliate__id", Kind.ID, "Affiliate that was paid."),
        Column("affiliate__name", Kind.TEXT, "Affiliate's name."),
        Column("affiliate__email", Kind.TEXT, "Affiliate's e-mail."),
        Column("payment_method", Kind.TEXT, "How it was paid."),
        Column("note", Kind.TEXT, "Merchant's note."),
        Column("shop__name", Kind.TEXT, "Shop.", D),
        Column(
            "vanished_at",
            Kind.TIMESTAMP,
            "When a reading of its time range no longer returned the payment; otherwise NULL.",
            OURS,
        ),
        READ_AT,
    ),
)
OFFERS = Entity(
    name="offers",
    description="Every offer, through GraphQL: its commission rate and terms.",
    graphql_type="Offer",
    columns=(
        Column("id", Kind.ID, "Offer id.", S, required=True),
        Column("name", Kind.TEXT, "Name.", D),
        Column("commission", Kind.MONEY, "Percent or amount, see type.", D),
        Column("type", Kind.TEXT, "PERCENT_OF_SALE or FLAT_RATE.", D),
        Column("flat_rate_currency", Kind.TEXT, "Currency of a flat rate.", S),
        Column("cookie_days", Kind.INTEGER, "Number of days for which a click counts.", S),
        Column("commission_terms", Kind.TEXT, "Terms as text.", S),
        READ_AT,
    ),
)

CLICKS = Entity(
    name="clicks",
    description="Every click on a referral link, through GraphQL: from the root field clicks if the account has "
    "it, otherwise from the clicks of each affiliate or offer. A click does not change, so only the last days "
    "are read again.",
    graphql_type="Click",
    windowed=True,
    may_be_listed=True,
    under=(("affiliates", "affiliate_id"), ("offers", "offer_id")),
    primary_key=("click_key",),
    columns=(
        Column(
            "click_key",
            Kind.ID,
            "The click's id; if the account does not offer one, a hash of the row's content, with a number if "
            "several clicks are identical.",
            OURS,
            required=True,
        ),
        Column("id", Kind.ID, "Click id."),
        Column("created", Kind.TIMESTAMP, "When the click was made, UTC.", S, required=True),
        Column("affiliate_id", Kind.ID, "Numeric id of the affiliate that owns the link."),
        Column("offer_id", Kind.ID, "Offer of the link."),
        Column("referer", Kind.TEXT, "Page the click came from.", holds_addresses=True),
        Column("landed_url", Kind.TEXT, "Page the click landed on.", holds_addresses=True),
        Column("ip", Kind.TEXT, "IP address of the click (personal).", personal=True),
        Column("sub_id", Kind.TEXT, "Affiliate's own tracking id.", S),
        Column("creative_id", Kind.ID, "Creative that was clicked."),
        Column(
            "vanished_at",
            Kind.TIMESTAMP,
            "When a reading of its time range no longer returned it; otherwise NULL.",
            OURS,
        ),
        READ_AT,
    ),
)

ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (AFFILIATE_LIST, AFFILIATE_GET, CONVERSION_TOTALS, AFFILIATES, CONVERSIONS, PAYMENTS, OFFERS, CLICKS)
}
