"""The REST v2 operations on affiliates.

Texts of 422 responses that are not in the published contract are marked as inferred where they are raised.
"""

import re
from typing import Any

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.api.rest_fields import Fields, make_unknown_offer, make_unprocessable
from refersion_dagster.sandbox.model import ACTIVE, DENIED, DISABLED, PENDING, Affiliate, CustomField

MOST_ROWS = 100
NEW_FIELDS = (
    "offer", "first_name", "last_name", "email", "password", "company", "paypal_email", "address1", "address2",
    "city", "zip", "country", "state", "phone", "send_welcome", "status", "conversion_trigger_coupon",
    "unique_merchant_id",
)  # fmt: skip
_TEXTS = ("company", "paypal_email", "address1", "address2", "city", "zip", "country", "state", "phone")
_EDITABLE = ("first_name", "last_name", "email", *_TEXTS)
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def new(account: Account, fields: Fields) -> dict[str, Any]:
    """/affiliate/new. The texts for a duplicate e-mail, an unknown offer and an invalid password are inferred."""
    fields.require("first_name", "last_name", "email", "password", "status")
    status = fields.choice("status", (ACTIVE, PENDING))
    email = fields.text("email")
    texts = {name: fields.text(name) for name in _TEXTS}
    if fields.has("send_welcome"):
        fields.choice("send_welcome", ("TRUE", "FALSE"))
    coupon = fields.text("conversion_trigger_coupon")
    merchant_id = fields.text("unique_merchant_id")
    offer_id = fields.number("offer", next(iter(account.offers)))
    errors = _password_errors(fields.text("password"), email)
    if not EMAIL.fullmatch(email):
        errors.append("The email is not valid.")
    elif account.affiliate_by_email(email):
        errors.append("An affiliate with this email already exists.")
    if texts["paypal_email"] and not EMAIL.fullmatch(texts["paypal_email"]):
        errors.append("The paypal_email is not valid.")
    if texts["country"] and not re.fullmatch("[A-Za-z]{2}", texts["country"]):
        errors.append("The country is not valid.")
    if offer_id not in account.offers:
        errors.append("Offer not found.")
    if merchant_id and not re.fullmatch("[A-Za-z0-9]+", merchant_id):
        errors.append("The unique_merchant_id is not alphanumeric.")
    if coupon and account.find_trigger("COUPON", coupon):
        errors.append("The conversion trigger already exists.")
    if errors:
        raise make_unprocessable(*errors)
    template = account.world.affiliate(account.new_affiliate_index(), account.now).affiliate
    affiliate = Affiliate(
        id=template.id,
        code=template.code,
        joined=account.now,
        status=status,
        offer_id=offer_id,
        first_name=fields.text("first_name"),
        last_name=fields.text("last_name"),
        email=email,
        unique_merchant_id=merchant_id,
        popularity=template.popularity,
        currency=template.currency,
    )
    for name, value in texts.items():
        setattr(affiliate, name, value)
    account.add_affiliate(affiliate)
    if coupon:
        account.add_trigger(affiliate, "COUPON", coupon)
    return {
        "id": affiliate.code,
        "link": account.link(affiliate),
        "message": f"The affiliate {affiliate.id} has been created with the status of {status}.",
    }


def get(account: Account, fields: Fields) -> dict[str, Any]:
    """/affiliate/get by number or code. `id` in the response is the number."""
    if fields.has("id"):
        affiliate = account.affiliates.get(fields.number("id"))
    else:
        fields.require("affiliate_code" if "affiliate_code" in fields.body else "id")
        affiliate = account.affiliate_by_code(fields.text("affiliate_code"))
    if affiliate is None:
        raise make_unprocessable("Affiliate not found.")
    return {
        "id": affiliate.id,
        "offer_id": str(affiliate.offer_id),
        "status": affiliate.status,
        "first_name": affiliate.first_name,
        "last_name": affiliate.last_name,
        "company_name": affiliate.company,
        "email": affiliate.email,
        "link": account.link(affiliate),
        "custom_fields": [{"label": item.label, "value": item.value} for item in affiliate.custom_fields],
    } | (affiliate.raw or {})


def list_affiliates(account: Account, fields: Fields) -> dict[str, Any]:
    """/affiliate/list: ordered by id, at most 100 rows a page; a larger limit is reduced to 100 (inferred)."""
    limit = fields.number("limit", account.switches.list_default_limit)
    if limit < 1:
        return _page(account, fields, [], 1)
    rows = sorted(account.affiliates.values(), key=lambda row: row.id)
    return _page(account, fields, rows, min(limit, MOST_ROWS))


def search(account: Account, fields: Fields) -> dict[str, Any]:
    """/affiliate/search: by exact id (number or code), by part of an e-mail, and by name."""
    fields.require("keyword")
    keyword, first, last = (fields.text(name).casefold() for name in ("keyword", "first_name", "last_name"))
    rows = [
        row
        for row in sorted(account.affiliates.values(), key=lambda row: row.id)
        if (keyword in (str(row.id), row.code) or keyword in row.email.casefold())
        and first in row.first_name.casefold()
        and last in row.last_name.casefold()
    ]
    fields.number("page", 1)
    if not rows:
        raise make_unprocessable("Could not find affiliates with this keyword.")
    return _page(account, fields, rows, MOST_ROWS)


def edit(account: Account, fields: Fields) -> dict[str, Any]:
    """/affiliate/edit. An affiliate is unchanged if it does not exist or its new values are missing or invalid."""
    fields.require("affiliates")
    changed: list[int] = []
    unchanged: list[int] = []
    items = fields.items("affiliates")
    for item in items:
        item.require("id")
        if item.has("offer") and item.number("offer") not in account.offers:
            raise make_unknown_offer()
    for item, number in [(item, item.number("id")) for item in items]:
        affiliate = account.affiliates.get(number)
        done = affiliate is not None and _edit(account, affiliate, item)
        (changed if done else unchanged).append(number)
    return {"ids_changed": changed, "ids_not_changed": unchanged}


def status_change(account: Account, fields: Fields) -> dict[str, Any]:
    """/affiliate/status_change: to ACTIVE, DENIED or DISABLED, for at most 50 affiliates."""
    fields.require("ids", "status")
    ids, status = fields.ids(), fields.choice("status", (ACTIVE, DENIED, DISABLED))
    changed: list[int] = []
    unchanged: list[int] = []
    for number in ids:
        affiliate = account.affiliates.get(number)
        if affiliate is None or affiliate.status == status:
            unchanged.append(number)
        else:
            account.set_affiliate_status(affiliate, status)
            changed.append(number)
    return {"ids_changed": changed, "ids_not_changed": unchanged}


def _page(account: Account, fields: Fields, rows: list[Affiliate], limit: int) -> dict[str, Any]:
    switches = account.switches
    page, last = fields.number("page", 1), max(1, -(-len(rows) // limit))
    if page > last and switches.list_past_end == "repeat":
        page = last
    elif page > last and switches.list_past_end == "422":
        raise make_unprocessable("The page does not exist.")
    first = max(0, page - 1) * limit
    answer: dict[str, Any] = {
        "total": str(len(rows)) if switches.list_total == "string" else len(rows),
        "results": [_summary(account, row) for row in rows[first : first + limit]],
    }
    if switches.list_page_key:
        answer["page"] = f"{page}/{last}"
    return answer


def _summary(account: Account, affiliate: Affiliate) -> dict[str, Any]:
    return {
        "id": affiliate.id if account.switches.list_ids == "number" else affiliate.code,
        "offer_id": str(affiliate.offer_id),
        "status": affiliate.status,
        "first_name": affiliate.first_name,
        "last_name": affiliate.last_name,
        "email": affiliate.email,
        "custom_fields": [{"label": item.label, "value": item.value} for item in affiliate.custom_fields],
    } | (affiliate.raw or {})


def _password_errors(password: str, email: str) -> list[str]:
    """Violations of the documented password rules; the wording is inferred."""
    rules = (
        (9 <= len(password) <= 72, "The password must have 9 to 72 characters."),
        (re.search("[A-Z]", password), "The password must have an upper case letter."),
        (re.search("[a-z]", password), "The password must have a lower case letter."),
        (re.search("[0-9]", password), "The password must have a digit."),
        (re.search("[^A-Za-z0-9]", password), "The password must have a special character."),
        (password.casefold() != email.casefold(), "The password must not be the email."),
        (
            not re.search(r"(.)\1{3}", password, re.DOTALL),
            "The password must not repeat a character more than 3 times.",
        ),
    )
    return [text for kept, text in rules if not kept]


def _edit(account: Account, affiliate: Affiliate, item: Fields) -> bool:
    values = {name: item.text(name) for name in _EDITABLE if name in item.body}
    offer_id = item.number("offer") if "offer" in item.body else None
    custom = _custom_fields(affiliate, item) if "custom_fields" in item.body else None
    if not values and offer_id is None and custom is None:
        return False
    if offer_id is not None and offer_id not in account.offers:
        return False
    if "email" in values:
        other = account.affiliate_by_email(values["email"])
        if not EMAIL.fullmatch(values["email"]) or (other is not None and other is not affiliate):
            return False
    for name, value in values.items():
        setattr(affiliate, name, value)
    if offer_id is not None:
        affiliate.offer_id = offer_id
    if custom is not None:
        affiliate.custom_fields = custom
    account.record_affiliate_change(affiliate)
    return True


def _custom_fields(affiliate: Affiliate, item: Fields) -> list[CustomField]:
    """Custom fields as objects keyed by the field's id (documented): `[{"901": "https://example.com"}]`."""
    kept = {custom.id: custom for custom in affiliate.custom_fields}
    for sent in item.body["custom_fields"] if isinstance(item.body["custom_fields"], list) else ():
        for key, value in sent.items() if isinstance(sent, dict) else ():
            if key.isdigit():
                label = kept[int(key)].label if int(key) in kept else f"Custom field {key}"
                kept[int(key)] = CustomField(int(key), label, str(value))
    return list(kept.values())
