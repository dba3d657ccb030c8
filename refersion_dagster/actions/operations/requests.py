"""The items of the write operations: one class for each operation.

Names and rules are those of Refersion's REST API v2, except that ids name their object (`affiliate_id`, not `id`).
Descriptions are shown in Dagster's Launchpad.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from refersion_dagster.actions.operations.types import (
    Alphanumeric,
    Country,
    Credit,
    Currency,
    Email,
    Id,
    Password,
    Rate,
    Text,
    Upper,
    YesOrNo,
)

TriggerType = Annotated[Literal["COUPON", "SKU", "EMAIL"], Upper]
CreditStatus = Annotated[Literal["APPROVED", "PENDING"], Upper]


class Item(BaseModel):
    """Base class of all items. Values are validated strictly; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True, hide_input_in_errors=True)

    def content(self) -> dict[str, Any]:
        """Returns the values without secrets. Amounts are Decimal. Items with equal content are the same item."""
        return self.model_dump(exclude_none=True, exclude={"password"})


class AffiliateNew(Item):
    """A new affiliate."""

    first_name: Text = Field(description="First name.")
    last_name: Text = Field(description="Last name.")
    email: Email = Field(description="E-mail address; must not be used by another affiliate.")
    status: Annotated[Literal["ACTIVE", "PENDING"], Upper] = Field(description="Initial status.")
    offer_id: Id | None = Field(
        default=None, description="Offer of the affiliate. Default: the account's default offer."
    )
    company: Text | None = Field(default=None, description="Company.")
    paypal_email: Email | None = Field(default=None, description="PayPal e-mail address for payouts.")
    address1: Text | None = Field(default=None, description="Address.")
    address2: Text | None = Field(default=None, description="Second line of the address.")
    city: Text | None = Field(default=None, description="City.")
    zip: Text | None = Field(default=None, description="Postcode.")
    country: Country | None = Field(default=None, description="Country, two letters (ISO 3166), such as US.")
    state: Text | None = Field(default=None, description="State or province.")
    phone: Text | None = Field(default=None, description="Telephone.")
    send_welcome: YesOrNo | None = Field(
        default=None,
        description="Whether Refersion sends its welcome e-mail. Default: yes if the password is generated, "
        "because nobody else knows it; no if the file contains it.",
    )
    conversion_trigger_coupon: Text | None = Field(default=None, description="Coupon code that credits the affiliate.")
    unique_merchant_id: Alphanumeric | None = Field(default=None, description="Your own id; letters and digits.")
    password: Password | None = Field(
        default=None,
        description="Initial password. Default: one is generated and not kept. Only a file can contain it, "
        "because Dagster stores a run's configuration.",
    )

    @model_validator(mode="after")
    def _reject_email(self) -> AffiliateNew:
        if self.password and self.password.get_secret_value().casefold() == self.email.casefold():
            raise ValueError("password must not be the e-mail address")
        return self


class AffiliateStatusChange(Item):
    """An affiliate to approve, deny or disable."""

    affiliate_id: Id = Field(description="Numeric id of the affiliate.")
    status: Annotated[Literal["ACTIVE", "DENIED", "DISABLED"], Upper] = Field(description="New status.")


class CustomFieldValue(BaseModel):
    """The value of a custom field of the sign-up form."""

    model_config = Item.model_config

    id: Id = Field(description="Id of the custom field.")
    value: Text = Field(description="New value.")


class AffiliateEdit(Item):
    """Changes to an affiliate. Omitted fields stay unchanged."""

    affiliate_id: Id = Field(description="Numeric id of the affiliate.")
    offer_id: Id | None = Field(default=None, description="Offer to move to.")
    first_name: Text | None = Field(default=None, description="First name.")
    last_name: Text | None = Field(default=None, description="Last name.")
    email: Email | None = Field(default=None, description="E-mail address; must not be used by another affiliate.")
    paypal_email: Email | None = Field(default=None, description="PayPal e-mail.")
    company: Text | None = Field(default=None, description="Company.")
    address1: Text | None = Field(default=None, description="Address.")
    address2: Text | None = Field(default=None, description="Second line of the address.")
    city: Text | None = Field(default=None, description="City.")
    state: Text | None = Field(default=None, description="State or province.")
    zip: Text | None = Field(default=None, description="Postcode.")
    country: Country | None = Field(default=None, description="Country, two letters (ISO 3166), such as US.")
    phone: Text | None = Field(default=None, description="Telephone.")
    custom_fields: tuple[CustomFieldValue, ...] | None = Field(
        default=None, description="Custom fields to set; in a file, a column custom_field_<id> for each."
    )

    @model_validator(mode="after")
    def _require_change(self) -> AffiliateEdit:
        if self.model_fields_set <= {"affiliate_id"}:
            raise ValueError("there is nothing to change: set at least one field in addition to affiliate_id")
        return self


class AffiliateTrigger(Item):
    """A coupon, SKU or e-mail that credits an affiliate without a click."""

    affiliate_code: Text = Field(description="Code of the affiliate: the end of the referral link.")
    type: TriggerType = Field(description="What triggers the credit.")
    trigger: Text = Field(description="The coupon code, SKU or e-mail address. Refersion converts it to upper case.")

    @model_validator(mode="after")
    def _require_email(self) -> AffiliateTrigger:
        return _checked_trigger(self)


class TriggerDelete(Item):
    """A coupon, SKU or e-mail that should no longer credit an affiliate."""

    affiliate_id: Id = Field(description="Numeric id of the affiliate.")
    type: TriggerType = Field(description="What triggers the credit.")
    trigger: Text = Field(description="The coupon code, SKU or e-mail address.")

    @model_validator(mode="after")
    def _require_email(self) -> TriggerDelete:
        return _checked_trigger(self)


class ConversionManualCredit(Item):
    """A manual credit, or a debit if the amount is negative."""

    affiliate_id: Id = Field(description="Numeric id of the affiliate.")
    commission: Credit = Field(description="Amount, such as 12.50. A negative amount takes commission back.")
    currency: Currency = Field(description="Currency of the amount, three letters (ISO 4217).")
    status: CreditStatus = Field(description="APPROVED is payable immediately, PENDING has to be approved.")
    notes: Text | None = Field(default=None, description="Notes that Refersion stores with the conversion.")


class ConversionManualCreditOrderId(Item):
    """An order of the shop to credit to an affiliate, at that affiliate's rate."""

    affiliate_id: Id = Field(description="Numeric id of the affiliate.")
    order_id: Text = Field(description="Order id in the shop.")
    status: CreditStatus = Field(description="APPROVED is payable immediately, PENDING has to be approved.")
    notes: Text | None = Field(default=None, description="Notes that Refersion stores with the conversion.")


class ConversionStatusChange(Item):
    """A pending conversion to approve or deny."""

    conversion_id: Id = Field(description="Id of the conversion.")
    status: Annotated[Literal["APPROVED", "UNQUALIFIED", "DENIED"], Upper] = Field(description="New status.")


class CancelledSku(BaseModel):
    """A product of a cancelled order."""

    model_config = Item.model_config

    sku: Text = Field(description="SKU of the product.")
    price: Rate | None = Field(default=None, description="Original unit price.")
    quantity: Id | None = Field(default=None, description="How many.")


class ConversionCancel(Item):
    """A full or partial cancellation of an order: it creates a conversion with negative amounts."""

    order_id: Text = Field(description="Order id in the shop.")
    skus: tuple[CancelledSku, ...] = Field(min_length=1, description="Products to cancel; in a file, one row for each.")


class NewSkuCommission(Item):
    """A commission rate for one product in an offer."""

    offer_id: Id = Field(description="The offer.")
    sku: Text = Field(description="SKU of the product, exactly as in orders.")
    commission_type: Annotated[Literal["PERCENT_OF_SALE", "FLAT_RATE"], Upper] = Field(
        description="Whether the rate is a percentage or an amount."
    )
    commission_amount: Rate = Field(description="The rate: 10 for 10 % of the sale, or for 10.00 flat.")
    product_description: Text | None = Field(default=None, description="Text shown to affiliates.")

    @model_validator(mode="after")
    def _limit_percentage(self) -> NewSkuCommission:
        if self.commission_type == "PERCENT_OF_SALE" and self.commission_amount > 100:
            raise ValueError("commission_amount is above 100 %")
        return self


def _checked_trigger(item: Any) -> Any:
    if item.type == "EMAIL" and "@" not in item.trigger:
        raise ValueError("trigger has to be an e-mail address, as type is EMAIL")
    return item
