"""The account's rows as webhook bodies: the documented fields, times without a time zone, money as strings."""

from typing import Any

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.clock import sql_time
from refersion_dagster.sandbox.model import Affiliate, Click, Conversion, Payment, Reward, Trigger

Body = dict[str, Any]


def body(account: Account, row: Conversion | Affiliate | Trigger | Reward | list[Payment]) -> Body:
    """The body for the current state of a row."""
    match row:
        case Conversion():
            return conversion(account, row)
        case Affiliate():
            return affiliate(account, row)
        case Trigger():
            return {"id": row.id, "affiliate_id": row.affiliate_id, "trigger": row.trigger, "type": row.type}
        case Reward():
            return {"reward": {**row._asdict(), "amount_given": str(row.amount_given)}}
        case list():
            return payments(account, row)


def conversion(account: Account, row: Conversion) -> Body:
    """A conversion, with times, amounts and flags in the types of the documented sample."""
    of_affiliate, offer, customer = (
        account.affiliates.get(row.affiliate_id),
        account.offers.get(row.offer_id),
        row.customer,
    )
    values: Body = {
        "id": row.id,
        "created": sql_time(row.created),
        "status": row.status,
        "denied_reason_code": row.denied_reason_code or None,
        "is_recurring": row.is_recurring,
        "total_items": str(row.total_items),
        "total": str(row.total),
        "commission_total": str(row.commission_total),
        "currency": row.currency,
        "is_test_conversion": row.is_test_conversion,
        "payment_status": row.payment_status,
        "updated": sql_time(row.updated),
        "affiliate": None
        if of_affiliate is None
        else {
            "id": of_affiliate.id,
            "code": of_affiliate.code,
            "first_name": of_affiliate.first_name,
            "last_name": of_affiliate.last_name,
            "email": of_affiliate.email,
        },
        "payment_id": row.payment_id,
        "offer": None
        if offer is None
        else {"id": offer.id, "name": offer.name, "type": offer.type, "amount": str(offer.commission)},
        "customer": None
        if customer is None
        else {"name": customer.name, "email": customer.email, "browser_ip": customer.ip},
        "coupon_code": row.coupon_code or None,
        "order_id": row.order_id or None,
        "subscription_id": row.subscription_id or None,
        "reason": row.reason,
        "notes": row.notes,
        "click": None if row.click is None else click(row.click),
        "source": row.source,
    }
    if row.raw:
        values.update(row.raw)
    return values


def click(row: Click) -> Body:
    return {
        "created": sql_time(row.created),
        "referer": row.referer,
        "landed_url": row.landed_url,
        "ip": row.ip,
        "sub_id": row.sub_id or None,
        "creative_id": row.creative_id,
    }


def payments(account: Account, rows: list[Payment]) -> Body:
    """The payments of one payout, by affiliate."""
    affiliates: dict[str, Body] = {}
    for row in rows:
        paid = account.affiliates.get(row.affiliate_id)
        of_affiliate = affiliates.setdefault(
            str(row.affiliate_id),
            {
                "id": row.affiliate_id,
                "first_name": paid.first_name if paid else None,
                "last_name": paid.last_name if paid else None,
                "email": paid.email if paid else None,
                "paypal_email": paid.paypal_email if paid else None,
                "payments": [],
            },
        )
        of_affiliate["payments"].append(
            {
                "id": row.id,
                "created": sql_time(row.created),
                "total_conversions": row.total_conversions,
                "payment_method": row.payment_method,
                "commission_total": str(row.commission_total),
                "total": str(row.total),
                "currency": row.currency,
                "note": row.note,
            }
        )
    return {"data": {"affiliates": affiliates}}


def affiliate(account: Account, row: Affiliate) -> Body:
    offer = account.offers.get(row.offer_id)
    orders = account.by_affiliate.get(row.id)
    values: Body = {
        "id": row.id,
        "code": row.code,
        "status": row.status,
        "last_login": None,
        "last_conversion": sql_time(max(order.created for order in orders)) if orders else None,
        "first_name": row.first_name,
        "last_name": row.last_name,
        "email": row.email,
        "paypal_email": row.paypal_email or None,
        "company": row.company,
        "address_1": row.address1,
        "address_2": row.address2,
        "city": row.city,
        "state": row.state,
        "zip": row.zip,
        "country": row.country,
        "phone_number": row.phone,
        "source": "SIGNUP_PAGE",
        "custom_fields": [{"id": item.id, "name": item.label, "value": item.value} for item in row.custom_fields],
        "offer": None if offer is None else {"id": offer.id, "name": offer.name},
        "is_marketplace_user": False,
    }
    if row.raw:
        values.update(row.raw)
    return values
