"""The ten write operations of Refersion's REST API v2: what each takes, sends, answers and touches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from refersion_dagster.actions import answers, bodies, items
from refersion_dagster.actions.asked import Asked
from refersion_dagster.actions.outcomes import Result

# Documented: more are a 429 that is final.
MOST_IN_A_CALL = 50


class Holds(StrEnum):
    """What a field has to hold, for the warehouse to agree with it."""

    AFFILIATE_ID = "affiliate_id"
    AFFILIATE_CODE = "affiliate_code"
    NEW_EMAIL = "new_email"
    PENDING_CONVERSION = "pending_conversion"
    ORDER_ID = "order_id"
    OFFER_ID = "offer_id"
    CURRENCY = "currency"


class Stake(StrEnum):
    """Whose commission a run moves, for the cap on it."""

    NONE = "none"
    OWN = "own"  # the item names the amount
    CONVERSION = "conversion"  # that of the conversion in the warehouse
    ORDER = "order"  # that of the order's conversions in the warehouse


class Touches(StrEnum):
    """What has to be read again after a write."""

    NOTHING = "nothing"
    AFFILIATES = "affiliates"
    NEW_CONVERSIONS = "new conversions"
    CONVERSIONS = "conversions"


@dataclass(frozen=True)
class Column:
    """A column of a result table that an item's answer fills."""

    name: str
    description: str


@dataclass(frozen=True, eq=False)
class Endpoint:
    """One write operation.

    Args:
        name: of the operation, its result table and its asset; the job is `actions_<name>`.
        path: under the base of REST v2.
        item: the class of its items.
        description: what it does, in a sentence.
        body: the request for some items, passwords as placeholders.
        read: what a 200 says of each.
        subject: what may be named once in a run, as two items would contradict or repeat each other; None where items
            do not stand in each other's way.
        together: items in one call, at most.
        same: fields that all items of a call share.
        holds: what is held against the warehouse before anything is sent, by field.
        stake: whose commission counts against the cap.
        touches: what is read again afterwards.
        answered: columns that answers fill.
    """

    name: str
    path: str
    item: type[items.Item]
    description: str
    body: Callable[[Sequence[Asked]], dict[str, Any]]
    read: Callable[[Sequence[Asked], Any], list[Result]]
    subject: tuple[str, ...] | None = None
    together: int = 1
    same: tuple[str, ...] = ()
    holds: Mapping[str, Holds] = field(default_factory=dict)
    stake: Stake = Stake.NONE
    touches: Touches = Touches.NOTHING
    answered: tuple[Column, ...] = ()

    @property
    def job(self) -> str:
        return f"actions_{self.name}"


CONVERSION_MADE = Column("conversion_id", "Id of the conversion that it made.")

AFFILIATE_NEW = Endpoint(
    name="affiliate_new",
    path="/affiliate/new",
    item=items.AffiliateNew,
    description="Makes affiliates.",
    body=bodies.affiliate_new,
    read=answers.affiliate_new,
    subject=("email",),
    holds={"email": Holds.NEW_EMAIL, "offer_id": Holds.OFFER_ID},
    touches=Touches.AFFILIATES,
    answered=(
        Column("affiliate_id", "Numeric id of the new affiliate, out of the words of the answer."),
        Column("affiliate_code", "Code of the new affiliate: the end of the referral link."),
        Column("link", "Referral link of the new affiliate."),
    ),
)
AFFILIATE_STATUS_CHANGE = Endpoint(
    name="affiliate_status_change",
    path="/affiliate/status_change",
    item=items.AffiliateStatusChange,
    description="Lets affiliates in, turns them away or switches them off.",
    body=bodies.affiliate_status_change,
    read=answers.affiliate_status_change,
    subject=("affiliate_id",),
    together=MOST_IN_A_CALL,
    same=("status",),
    holds={"affiliate_id": Holds.AFFILIATE_ID},
    touches=Touches.AFFILIATES,
)
AFFILIATE_EDIT = Endpoint(
    name="affiliate_edit",
    path="/affiliate/edit",
    item=items.AffiliateEdit,
    description="Changes details of affiliates.",
    body=bodies.affiliate_edit,
    read=answers.affiliate_edit,
    subject=("affiliate_id",),
    together=MOST_IN_A_CALL,
    holds={"affiliate_id": Holds.AFFILIATE_ID, "email": Holds.NEW_EMAIL, "offer_id": Holds.OFFER_ID},
    touches=Touches.AFFILIATES,
)
AFFILIATE_TRIGGER = Endpoint(
    name="affiliate_trigger",
    path="/affiliate/trigger",
    item=items.AffiliateTrigger,
    description="Gives affiliates coupons, SKUs or e-mails that credit them without a click.",
    body=bodies.affiliate_trigger,
    read=answers.affiliate_trigger,
    subject=("type", "trigger"),
    holds={"affiliate_code": Holds.AFFILIATE_CODE},
    answered=(
        Column("trigger_id", "Id of the trigger."),
        Column("trigger_made", "The trigger as Refersion keeps it, in capitals."),
    ),
)
TRIGGER_DELETE = Endpoint(
    name="trigger_delete",
    path="/trigger/delete",
    item=items.TriggerDelete,
    description="Takes coupons, SKUs or e-mails away from affiliates.",
    body=bodies.trigger_delete,
    read=answers.trigger_delete,
    subject=("type", "trigger"),
    holds={"affiliate_id": Holds.AFFILIATE_ID},
    answered=(Column("trigger_id", "Id of the trigger that is gone."),),
)
CONVERSION_MANUAL_CREDIT = Endpoint(
    name="conversion_manual_credit",
    path="/conversion/manual_credit",
    item=items.ConversionManualCredit,
    description="Gives affiliates commission by hand, or takes it back.",
    body=bodies.conversion_manual_credit,
    read=answers.conversion_manual_credit,
    holds={"affiliate_id": Holds.AFFILIATE_ID, "currency": Holds.CURRENCY},
    stake=Stake.OWN,
    touches=Touches.NEW_CONVERSIONS,
    answered=(CONVERSION_MADE,),
)
CONVERSION_MANUAL_CREDIT_ORDER_ID = Endpoint(
    name="conversion_manual_credit_order_id",
    path="/conversion/manual_credit_order_id",
    item=items.ConversionManualCreditOrderId,
    description="Credits orders of the shop to affiliates, at their own rates. The conversion appears minutes later.",
    body=bodies.conversion_manual_credit_order_id,
    read=answers.conversion_manual_credit_order_id,
    subject=("affiliate_id", "order_id"),
    holds={"affiliate_id": Holds.AFFILIATE_ID, "order_id": Holds.ORDER_ID},
    stake=Stake.ORDER,
    touches=Touches.NEW_CONVERSIONS,
    answered=(Column("warning", "What Refersion warned of, such as an order that is credited to somebody already."),),
)
CONVERSION_STATUS_CHANGE = Endpoint(
    name="conversion_status_change",
    path="/conversion/status_change",
    item=items.ConversionStatusChange,
    description="Approves pending conversions, or turns them down.",
    body=bodies.conversion_status_change,
    read=answers.conversion_status_change,
    subject=("conversion_id",),
    together=MOST_IN_A_CALL,
    same=("status",),
    holds={"conversion_id": Holds.PENDING_CONVERSION},
    stake=Stake.CONVERSION,
    touches=Touches.CONVERSIONS,
)
CONVERSION_CANCEL = Endpoint(
    name="conversion_cancel",
    path="/conversion/cancel",
    item=items.ConversionCancel,
    description="Takes back the commission of orders, whole or by article: a new conversion with negative amounts.",
    body=bodies.conversion_cancel,
    read=answers.conversion_cancel,
    subject=("order_id",),
    holds={"order_id": Holds.ORDER_ID},
    stake=Stake.ORDER,
    touches=Touches.NEW_CONVERSIONS,
    answered=(CONVERSION_MADE,),
)
NEW_SKU_COMMISSION = Endpoint(
    name="new_sku_commission",
    path="/offer/new_sku_commission",
    item=items.NewSkuCommission,
    description="Gives articles a commission rate of their own in an offer.",
    body=bodies.new_sku_commission,
    read=answers.new_sku_commission,
    subject=("offer_id", "sku"),
    together=MOST_IN_A_CALL,
    same=("offer_id",),
    holds={"offer_id": Holds.OFFER_ID},
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
