"""Request bodies of the write operations, as documented for Refersion's REST API v2. Amounts are Decimal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from refersion_dagster.actions.operations.item_key import PlannedItem

Body = dict[str, Any]

# Replace the password wherever a body is shown or stored.
MADE, GIVEN = "[generated when sent]", "[from the file]"

# Refersion's names for fields that have a more specific name here.
OFFER = {"offer_id": "offer"}
AFFILIATE = {"affiliate_id": "id"}


def affiliate_new(items: Sequence[PlannedItem]) -> Body:
    """One affiliate; the password is a placeholder."""
    (one,) = items
    content = one.item.content()
    given = getattr(one.item, "password", None) is not None
    welcome = content.pop("send_welcome", not given)
    texts = {name: str(value) for name, value in content.items()}
    return _rename_fields(texts, OFFER) | {"password": GIVEN if given else MADE, "send_welcome": str(welcome).upper()}


def affiliate_status_change(items: Sequence[PlannedItem]) -> Body:
    return _ids_and_status(items, "affiliate_id")


def affiliate_edit(items: Sequence[PlannedItem]) -> Body:
    changes = []
    for one in items:
        content = one.item.content()
        if custom := content.pop("custom_fields", None):
            content["custom_fields"] = [{str(field["id"]): field["value"]} for field in custom]
        changes.append(_rename_fields(content, AFFILIATE | OFFER))
    return {"affiliates": changes}


def affiliate_trigger(items: Sequence[PlannedItem]) -> Body:
    (one,) = items
    return one.item.content()


def trigger_delete(items: Sequence[PlannedItem]) -> Body:
    return {"affiliates": [_rename_fields(one.item.content(), AFFILIATE) for one in items]}


def conversion_manual_credit(items: Sequence[PlannedItem]) -> Body:
    (one,) = items
    return _rename_fields(one.item.content(), AFFILIATE) | _notes(one)


def conversion_manual_credit_order_id(items: Sequence[PlannedItem]) -> Body:
    (one,) = items
    return _rename_fields(one.item.content(), AFFILIATE) | _notes(one)


def conversion_status_change(items: Sequence[PlannedItem]) -> Body:
    return _ids_and_status(items, "conversion_id")


def conversion_cancel(items: Sequence[PlannedItem]) -> Body:
    (one,) = items
    content = one.item.content()
    return {"order_id": content["order_id"], "items": list(content["skus"])}


def new_sku_commission(items: Sequence[PlannedItem]) -> Body:
    contents = [one.item.content() for one in items]
    skus = [{name: str(value) for name, value in content.items() if name != "offer_id"} for content in contents]
    return {"offer_id": str(contents[0]["offer_id"]), "skus": skus}


def _rename_fields(content: Mapping[str, Any], names: Mapping[str, str]) -> Body:
    return {names.get(name, name): value for name, value in content.items()}


def _ids_and_status(items: Sequence[PlannedItem], name: str) -> Body:
    contents = [one.item.content() for one in items]
    return {"ids": [content[name] for content in contents], "status": contents[0]["status"]}


def _notes(one: PlannedItem) -> Body:
    notes = one.item.content().get("notes")
    return {"notes": f"{notes} {one.reference}" if notes else one.reference}
