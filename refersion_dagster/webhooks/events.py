"""Parses webhook events: conversions, payments, affiliates, triggers, and Enterprise bonus tiers.

Refersion's help describes them in the section on webhooks. Two topic names are seen (APPROVED_CONVERSION,
AFFILIATE_DETAILS_CHANGE); the others are inferred from the list of topics in Refersion's settings. The signature does
not cover the topic. The body therefore determines what an event is about, and the topic is used only if the body has
an undocumented shape.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from refersion_dagster.refersion.tables.coerce import InexactNumber, read_id, read_timestamp
from refersion_dagster.webhooks.inbox import StoredEvent

# No amount or id has a larger exponent.
LARGEST_EXPONENT = 400


class Subject(StrEnum):
    """What an event is about."""

    CONVERSION = "conversion"
    PAYMENT = "payment"
    AFFILIATE = "affiliate"
    TRIGGER = "trigger"
    REWARD = "reward"
    OTHER = "other"


TOPICS = {
    "NEW_CONVERSION": Subject.CONVERSION,
    "APPROVED_CONVERSION": Subject.CONVERSION,
    "DENIED_CONVERSION": Subject.CONVERSION,
    "NEW_PAYMENT": Subject.PAYMENT,
    "NEW_AFFILIATE": Subject.AFFILIATE,
    "AFFILIATE_STATUS_CHANGE": Subject.AFFILIATE,
    "AFFILIATE_DETAILS_CHANGE": Subject.AFFILIATE,
    "NEW_CONVERSION_TRIGGER": Subject.TRIGGER,
    "BONUS_TIER_MOVEMENT": Subject.REWARD,
}


@dataclass(frozen=True)
class EventPayment:
    """A payment in an event. Missing values are None."""

    id: str | None
    created: datetime | None
    affiliate_id: str | None
    currency: str | None


@dataclass(frozen=True)
class WebhookEvent:
    """A parsed event.

    Args:
        kept: the event as stored in the inbox.
        subject: what it is about.
        body: the object it is about, without its envelope; numbers with a fraction are Decimal.
    """

    kept: StoredEvent
    subject: Subject
    body: Any

    @property
    def subject_id(self) -> str | None:
        """Id of the conversion, affiliate or trigger, or of the payment if there is exactly one."""
        if self.subject is Subject.PAYMENT:
            ids = {paid.id for paid in self.payments()}
            return ids.pop() if len(ids) == 1 else None
        if self.subject is Subject.REWARD and isinstance(self.body, Mapping):
            reward = self.body.get("reward", self.body)
            return _id(reward.get("id")) if isinstance(reward, Mapping) else None
        return _id(self.body.get("id")) if isinstance(self.body, Mapping) else None

    @property
    def changed_at(self) -> datetime | None:
        """When the reported change happened, UTC: `updated` of a conversion, `created` of the newest payment."""
        if self.subject is Subject.PAYMENT:
            return max((paid.created for paid in self.payments() if paid.created), default=None)
        return _moment(self.body.get("updated")) if isinstance(self.body, Mapping) else None

    @property
    def created(self) -> datetime | None:
        """When the conversion was created, UTC."""
        return _moment(self.body.get("created")) if isinstance(self.body, Mapping) else None

    def affiliate_ids(self) -> list[str]:
        """Numeric id and code of the affiliate that an event is about."""
        if self.subject is not Subject.AFFILIATE or not isinstance(self.body, Mapping):
            return []
        return [found for name in ("id", "code") if (found := _id(self.body.get(name)))]

    def payments(self) -> list[EventPayment]:
        """The payments in the event."""
        return list(_payments(self.body)) if self.subject is Subject.PAYMENT else []


def read_event(kept: StoredEvent) -> WebhookEvent:
    """Parses an event of the inbox, which contains only JSON."""
    body = json.loads(kept.body, parse_float=_number)
    inner = body.get("data") if isinstance(body, dict) else None
    if isinstance(inner, dict):
        body = inner
    shape = _shape(body)
    return WebhookEvent(kept, TOPICS.get(kept.topic, Subject.OTHER) if shape is Subject.OTHER else shape, body)


def conversion_row(event: WebhookEvent) -> dict[str, Any]:
    """The row of a conversion event, by GraphQL field names, which are the table's columns.

    Empty if the body is not an object. Such a row is reported as unreadable, like any other without an id.
    """
    row = dict(event.body) if isinstance(event.body, Mapping) else {}
    affiliate = row.get("affiliate")
    if isinstance(affiliate, Mapping):
        names = [str(affiliate[part]) for part in ("first_name", "last_name") if affiliate.get(part)]
        row["affiliate"] = {"name": " ".join(names) or None, **affiliate}
        row.setdefault("affiliate_id", affiliate.get("id"))
    return row


def _shape(body: Any) -> Subject:
    if not isinstance(body, dict):
        return Subject.OTHER
    fields = set(body)
    if {"id", "commission_total", "status"} <= fields:
        return Subject.CONVERSION
    if any(True for _ in _payments(body)):
        return Subject.PAYMENT
    if {"trigger", "affiliate_id"} <= fields:
        return Subject.TRIGGER
    if isinstance(body.get("reward"), dict) or {"milestone_reached", "amount_given"} <= fields:
        return Subject.REWARD
    if {"id", "email", "status"} <= fields:
        return Subject.AFFILIATE
    return Subject.OTHER


def _payments(body: Any) -> Iterator[EventPayment]:
    """`affiliates.<id>.payments[]` (documented); a list of affiliates is accepted too."""
    affiliates = body.get("affiliates") if isinstance(body, dict) else None
    rows = affiliates.values() if isinstance(affiliates, dict) else affiliates if isinstance(affiliates, list) else ()
    for affiliate in rows:
        payments = affiliate.get("payments") if isinstance(affiliate, dict) else None
        for payment in payments if isinstance(payments, list) else ():
            if isinstance(payment, dict):
                currency = payment.get("currency")
                yield EventPayment(
                    _id(payment.get("id")),
                    _moment(payment.get("created")),
                    _id(affiliate.get("id")),
                    currency if isinstance(currency, str) else None,
                )


def _number(text: str) -> Decimal | str:
    try:
        number = Decimal(text)
    except ArithmeticError:
        return text
    return number if abs(number.adjusted()) <= LARGEST_EXPONENT else text


def _id(value: Any) -> str | None:
    """An id, or None if the value is not an id. The raw event keeps the original value."""
    try:
        return None if value is None else read_id(value)
    except (ValueError, InexactNumber):
        return None


def _moment(value: Any) -> datetime | None:
    try:
        return None if value is None else read_timestamp(value)
    except ValueError:
        return None
