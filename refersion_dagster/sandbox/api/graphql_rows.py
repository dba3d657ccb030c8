"""The account's rows as GraphQL sends them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.clock import sql_time
from refersion_dagster.sandbox.model import Affiliate, Click, Conversion, Creative, Offer, Payment
from refersion_dagster.sandbox.settings import TypeSwitches

Row = dict[str, Any]

SOURCE = "source row"


def _return_unchanged(value: Any) -> Any:
    return value


def _upper(value: bool) -> str:
    return "TRUE" if value else "FALSE"


class Rows:
    """Builds the rows of one request. An affiliate or payment shared by many rows is built once."""

    def __init__(self, account: Account) -> None:
        types: TypeSwitches = account.switches.types
        self._account = account
        self._affiliates: dict[int, Row | None] = {}
        self._payments: dict[int, Row | None] = {}
        self._identity: Callable[[int], Any] = str if types.ids == "string" else _return_unchanged
        self._money: Callable[[Decimal], Any] = (
            str if types.money == "string" else _return_unchanged if types.money == "number" else "{:,}".format
        )
        self._time: Callable[[int], Any] = (
            str if types.times == "unix_string" else sql_time if types.times == "iso" else _return_unchanged
        )
        self._flag: Callable[[bool], Any] = (
            _return_unchanged if types.booleans == "boolean" else _upper if types.booleans == "upper" else int
        )
        shop = account.shop
        self._shop = {
            "name": shop.name,
            "url": shop.url,
            "shop_identifier": shop.shop_identifier,
            "currency": shop.currency,
        }
        self._offers = {offer.id: self.offer(offer) for offer in account.offers.values()}

    def conversion(self, row: Conversion) -> Row:
        money, customer = self._money, row.customer
        values: Row = {
            "id": self._identity(row.id),
            "created": self._time(row.created),
            "updated": self._time(row.updated),
            "status": row.status,
            "payment_status": row.payment_status,
            "payment_id": None if row.payment_id is None else self._identity(row.payment_id),
            "payment": None if row.payment_id is None else self._payment_by_id(row.payment_id),
            "type": row.type,
            "order_id": row.order_id or None,
            "subscription_id": row.subscription_id or None,
            "coupon_code": row.coupon_code or None,
            "total": money(row.total),
            "commission_total": money(row.commission_total),
            "currency": row.currency,
            "total_items": str(row.total_items),
            "is_test_conversion": self._flag(row.is_test_conversion),
            "is_recurring": self._flag(row.is_recurring),
            "denied_reason_code": row.denied_reason_code or None,
            "reason": row.reason,
            "notes": row.notes,
            "source": row.source,
            "affiliate_id": self._identity(row.affiliate_id),
            "affiliate": self._affiliate_by_id(row.affiliate_id),
            "offer": self._offers.get(row.offer_id),
            "customer": None
            if customer is None
            else {"name": customer.name, "email": customer.email, "browser_ip": customer.ip},
            "click": None if row.click is None else self.click(row.click),
            "shop": self._shop,
        }
        if row.raw:
            values.update(row.raw)
        return values

    def payment(self, row: Payment) -> Row:
        return {
            "id": self._identity(row.id),
            "created": self._time(row.created),
            "commission_total": self._money(row.commission_total),
            "total": self._money(row.total),
            "currency": row.currency,
            "total_conversions": row.total_conversions,
            "payment_method": row.payment_method,
            "note": row.note,
            "affiliate_id": self._identity(row.affiliate_id),
            "affiliate": self._affiliate_by_id(row.affiliate_id),
            "shop": self._shop,
        }

    def affiliate(self, row: Affiliate) -> Row:
        values: Row = {
            "id": self._identity(row.id),
            "status": row.status,
            "name": f"{row.first_name} {row.last_name}",
            "first_name": row.first_name,
            "last_name": row.last_name,
            "email": row.email,
            "paypal_email": row.paypal_email or None,
            "company": row.company,
            "country": row.country or None,
            "rfsn_parameter": f"&rfsn={row.id}.{row.code}",
            "custom_fields": [[str(item.id), item.label, item.value] for item in row.custom_fields],
            "offer": self._offers.get(row.offer_id),
            SOURCE: row,
        }
        if row.raw:
            values.update(row.raw)
        return values

    def offer(self, row: Offer) -> Row:
        return {
            "id": self._identity(row.id),
            "name": row.name,
            "type": row.type,
            "commission": str(row.commission),
            "amount": str(row.commission),
            "flat_rate_currency": row.flat_rate_currency,
            "cookie_days": row.cookie_days,
            "commission_terms": row.commission_terms,
            SOURCE: row,
        }

    def click(self, row: Click) -> Row:
        return {
            "id": self._identity(row.id),
            "created": self._time(row.created),
            "affiliate_id": self._identity(row.affiliate_id),
            "offer_id": self._offer_of(row.affiliate_id),
            "referer": row.referer,
            "landed_url": row.landed_url,
            "ip": row.ip,
            "sub_id": row.sub_id or None,
            "creative_id": None if row.creative_id is None else self._identity(row.creative_id),
        }

    def creative(self, row: Creative) -> Row:
        return {"id": self._identity(row.id), "name": row.name, "type": row.type, "url": row.url}

    def _offer_of(self, affiliate_id: int) -> Any:
        affiliate = self._account.affiliates.get(affiliate_id)
        return None if affiliate is None else self._identity(affiliate.offer_id)

    def _affiliate_by_id(self, affiliate_id: int) -> Row | None:
        if affiliate_id not in self._affiliates:
            row = self._account.affiliates.get(affiliate_id)
            self._affiliates[affiliate_id] = None if row is None else self.affiliate(row)
        return self._affiliates[affiliate_id]

    def _payment_by_id(self, payment_id: int) -> Row | None:
        if payment_id not in self._payments:
            row = self._account.payments.get(payment_id)
            self._payments[payment_id] = None if row is None else self.payment(row)
        return self._payments[payment_id]
