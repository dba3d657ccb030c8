"""The ten write operations of Refersion's REST API v2: input, request, response and affected tables of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from refersion_dagster.actions.operations import payloads, requests, responses
from refersion_dagster.actions.operations.item_key import PlannedItem
from refersion_dagster.actions.operations.outcomes import Result

# Documented limit. A larger call fails with a 429, and a retry does not help.
MOST_IN_A_CALL = 50


class Precondition(StrEnum):
    """A check of a field's value against the warehouse."""

    AFFILIATE_ID = "affiliate_id"
    AFFILIATE_CODE = "affiliate_code"
    NEW_EMAIL = "new_email"
    PENDING_CONVERSION = "pending_conversion"
    ORDER_ID = "order_id"
    OFFER_ID = "offer_id"
    CURRENCY = "currency"


class AmountAtRisk(StrEnum):
    """The source of the commission that counts against a run's limit."""

    NONE = "none"
    OWN = "own"  # the amount in the item
    CONVERSION = "conversion"  # the commission of the conversion in the warehouse
    ORDER = "order"  # the commission of the order's conversions in the warehouse


class AffectedData(StrEnum):
    """The data to read again after a write."""

    NOTHING = "nothing"
    AFFILIATES = "affiliates"
    NEW_CONVERSIONS = "new conversions"
    CONVERSIONS = "conversions"


@dataclass(frozen=True)
class ResultColumn:
    """A column of a result table that is filled from the response."""

    name: str
    description: str


@dataclass(frozen=True, eq=False)
class Endpoint:
    """One write operation.

    Args:
        name: name of the operation, its result table and its asset; the job is `actions_<name>`.
        path: path under the base URL of REST v2.
        item: class of its items.
        description: what it does, in one sentence.
        body: builds the request body for items; passwords are placeholders.
        read: reads the outcome of each item from a 200 response.
        subject: fields that must be unique in a run, because two items would contradict or repeat each other; None if
            items are independent.
        together: maximum number of items in one call.
        same: fields that all items of a call share.
        holds: checks against the warehouse before anything is sent, by field.
        stake: source of the commission that counts against the limit.
        touches: data to read again afterwards.
        answered: columns filled from the response.
    """

    name: str
    path: str
    item: type[requests.Item]
    description: str
    body: Callable[[Sequence[PlannedItem]], dict[str, Any]]
    read: Callable[[Sequence[PlannedItem], Any], list[Result]]
    subject: tuple[str, ...] | None = None
    together: int = 1
    same: tuple[str, ...] = ()
    holds: Mapping[str, Precondition] = field(default_factory=dict)
    stake: AmountAtRisk = AmountAtRisk.NONE
    touches: AffectedData = AffectedData.NOTHING
    answered: tuple[ResultColumn, ...] = ()

    @property
    def job(self) -> str:
        return f"actions_{self.name}"


CONVERSION_MADE = ResultColumn("conversion_id", "Id of the conversion that was created.")

AFFILIATE_NEW = Endpoint(
    name="affiliate_new",
    path="/affiliate/new",
    item=requests.AffiliateNew,
    description="Creates affiliates.",
    body=payloads.affiliate_new,
    read=responses.affiliate_new,
    subject=("email",),
    holds={"email": Precondition.NEW_EMAIL, "offer_id": Precondition.OFFER_ID},
    touches=AffectedData.AFFILIATES,
    answered=(
        ResultColumn("affiliate_id", "Numeric id of the new affiliate, extracted from the response message."),
        ResultColumn("affiliate_code", "Code of the new affiliate: the end of the referral link."),
        ResultColumn("link", "Referral link of the new affiliate."),
    ),
)
AFFILIATE_STATUS_CHANGE = Endpoint(
    name="affiliate_status_change",
    path="/affiliate/status_change",
    item=requests.AffiliateStatusChange,
    description="Approves, denies or disables affiliates.",
    body=payloads.affiliate_status_change,
    read=responses.affiliate_status_change,
    subject=("affiliate_id",),
    together=MOST_IN_A_CALL,
    same=("status",),
    holds={"affiliate_id": Precondition.AFFILIATE_ID},
    touches=AffectedData.AFFILIATES,
)
AFFILIATE_EDIT = Endpoint(
    name="affiliate_edit",
    path="/affiliate/edit",
    item=requests.AffiliateEdit,
    description="Updates details of affiliates.",
    body=payloads.affiliate_edit,
    read=responses.affiliate_edit,
    subject=("affiliate_id",),
    together=MOST_IN_A_CALL,
    holds={
        "affiliate_id": Precondition.AFFILIATE_ID,
        "email": Precondition.NEW_EMAIL,
        "offer_id": Precondition.OFFER_ID,
    },
    touches=AffectedData.AFFILIATES,
)
AFFILIATE_TRIGGER = Endpoint(
    name="affiliate_trigger",
    path="/affiliate/trigger",
    item=requests.AffiliateTrigger,
    description="Adds conversion triggers to affiliates: coupons, SKUs or e-mail addresses that credit them without a "
    "click.",
    body=payloads.affiliate_trigger,
    read=responses.affiliate_trigger,
    subject=("type", "trigger"),
    holds={"affiliate_code": Precondition.AFFILIATE_CODE},
    answered=(
        ResultColumn("trigger_id", "Id of the trigger."),
        ResultColumn("trigger_made", "The trigger as Refersion stores it, in upper case."),
    ),
)
TRIGGER_DELETE = Endpoint(
    name="trigger_delete",
    path="/trigger/delete",
    item=requests.TriggerDelete,
    description="Removes conversion triggers (coupons, SKUs or e-mail addresses) from affiliates.",
    body=payloads.trigger_delete,
    read=responses.trigger_delete,
    subject=("type", "trigger"),
    holds={"affiliate_id": Precondition.AFFILIATE_ID},
    answered=(ResultColumn("trigger_id", "Id of the removed trigger."),),
)
CONVERSION_MANUAL_CREDIT = Endpoint(
    name="conversion_manual_credit",
    path="/conversion/manual_credit",
    item=requests.ConversionManualCredit,
    description="Credits commission to affiliates manually, or debits it with a negative amount.",
    body=payloads.conversion_manual_credit,
    read=responses.conversion_manual_credit,
    holds={"affiliate_id": Precondition.AFFILIATE_ID, "currency": Precondition.CURRENCY},
    stake=AmountAtRisk.OWN,
    touches=AffectedData.NEW_CONVERSIONS,
    answered=(CONVERSION_MADE,),
)
CONVERSION_MANUAL_CREDIT_ORDER_ID = Endpoint(
    name="conversion_manual_credit_order_id",
    path="/conversion/manual_credit_order_id",
    item=requests.ConversionManualCreditOrderId,
    description="Credits the shop's orders to affiliates at their own rates. The conversion appears minutes later.",
    body=payloads.conversion_manual_credit_order_id,
    read=responses.conversion_manual_credit_order_id,
    subject=("affiliate_id", "order_id"),
    holds={"affiliate_id": Precondition.AFFILIATE_ID, "order_id": Precondition.ORDER_ID},
    stake=AmountAtRisk.ORDER,
    touches=AffectedData.NEW_CONVERSIONS,
    answered=(
        ResultColumn("warning", "Refersion's warning, for example that the order is already credited to someone."),
    ),
)
CONVERSION_STATUS_CHANGE = Endpoint(
    name="conversion_status_change",
    path="/conversion/status_change",
    item=requests.ConversionStatusChange,
    description="Approves or denies pending conversions.",
    body=payloads.conversion_status_change,
    read=responses.conversion_status_change,
    subject=("conversion_id",),
    together=MOST_IN_A_CALL,
    same=("status",),
    holds={"conversion_id": Precondition.PENDING_CONVERSION},
    stake=AmountAtRisk.CONVERSION,
    touches=AffectedData.CONVERSIONS,
)
CONVERSION_CANCEL = Endpoint(
    name="conversion_cancel",
    path="/conversion/cancel",
    item=requests.ConversionCancel,
    description="Cancels the commission of orders, completely or by product. Refersion creates a new conversion with "
    "negative amounts.",
    body=payloads.conversion_cancel,
    read=responses.conversion_cancel,
    subject=("order_id",),
    holds={"order_id": Precondition.ORDER_ID},
    stake=AmountAtRisk.ORDER,
    touches=AffectedData.NEW_CONVERSIONS,
    answered=(CONVERSION_MADE,),
)
NEW_SKU_COMMISSION = Endpoint(
    name="new_sku_commission",
    path="/offer/new_sku_commission",
    item=requests.NewSkuCommission,
    description="Sets a product-specific commission rate in an offer.",
    body=payloads.new_sku_commission,
    read=responses.new_sku_commission,
    subject=("offer_id", "sku"),
    together=MOST_IN_A_CALL,
    same=("offer_id",),
    holds={"offer_id": Precondition.OFFER_ID},
)

ENDPOINTS: dict[str, Endpoint] = {
    endpoint.name: endpoint
    for endpoint in (
        AFFILIATE_NEW,
        AFFILIATE_STATUS_CHANGE,
        AFFILIATE_EDIT,
        AFFILIATE_TRIGGER,
        TRIGGER_DELETE,
        CONVERSION_MANUAL_CREDIT,
        CONVERSION_MANUAL_CREDIT_ORDER_ID,
        CONVERSION_STATUS_CHANGE,
        CONVERSION_CANCEL,
        NEW_SKU_COMMISSION,
    )
}
