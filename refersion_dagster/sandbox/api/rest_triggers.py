"""The REST v2 operations on conversion triggers and on an offer's SKU commissions."""

from decimal import Decimal
from typing import Any

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.api.rest_affiliates import EMAIL
from refersion_dagster.sandbox.api.rest_fields import Fields, make_unprocessable
from refersion_dagster.sandbox.model import FLAT_RATE, PERCENT_OF_SALE

TRIGGER_TYPES = ("COUPON", "SKU", "EMAIL")


def trigger(account: Account, fields: Fields) -> dict[str, Any]:
    """/affiliate/trigger. The response is in upper case (documented); the text for an existing trigger is inferred."""
    fields.require("affiliate_code", "type", "trigger")
    kind, text = fields.choice("type", TRIGGER_TYPES), fields.text("trigger")
    affiliate = account.affiliate_by_code(fields.text("affiliate_code"))
    if affiliate is None:
        raise make_unprocessable("Affiliate not found.")
    if kind == "EMAIL" and not EMAIL.fullmatch(text):
        raise make_unprocessable("The email is not valid.")
    if account.find_trigger(kind, text):
        raise make_unprocessable("The conversion trigger already exists.")
    made = account.add_trigger(affiliate, kind, text)
    return {"trigger_id": made.id, "trigger": made.trigger}


def trigger_delete(account: Account, fields: Fields) -> list[int]:
    """/trigger/delete: the ids of the deleted triggers. Triggers that do not exist are left out."""
    fields.require("affiliates")
    deleted: list[int] = []
    items = fields.items("affiliates")
    for item in items:
        item.require("id", "trigger", "type")
        item.number("id")
        item.choice("type", TRIGGER_TYPES)
        item.text("trigger")
    for item in items:
        found = account.find_trigger(item.text("type"), item.text("trigger"))
        if found is not None and found.affiliate_id == item.number("id"):
            del account.triggers[found.id]
            account.record_change()
            deleted.append(found.id)
    return deleted


def new_sku_commission(account: Account, fields: Fields) -> dict[str, Any]:
    """/offer/new_sku_commission: at most 50 SKUs. A SKU that the offer already has is not added."""
    fields.require("offer_id", "skus")
    offer_id, items = fields.number("offer_id"), fields.items("skus")
    rates: list[tuple[str, str, Decimal]] = []
    for item in items:
        item.require("sku", "commission_type", "commission_amount")
        item.text("product_description")
        kind = item.choice("commission_type", (PERCENT_OF_SALE, FLAT_RATE))
        rates.append((item.text("sku"), kind, item.money("commission_amount")))
    if offer_id not in account.offers:
        raise make_unprocessable("Offer ID does not exist (error 1).")
    duplicate: list[str] = []
    added: list[str] = []
    for sku, kind, amount in rates:
        if (offer_id, sku) in account.sku_commissions:
            duplicate.append(sku)
        else:
            account.sku_commissions[offer_id, sku] = kind, amount
            added.append(sku)
    return {"duplicate_not_added": duplicate, "added": added}
