"""Changes that no API call makes: by Refersion's support, by nature, or by a test that breaks a row on purpose."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.clock import from_iso
from refersion_dagster.sandbox.model import APPROVED, LINK, PENDING, UNPAID, Conversion
from refersion_dagster.sandbox.rest_fields import whole_number
from refersion_dagster.sandbox.selection import Selection, Window


def insert_conversion(account: Account, values: Mapping[str, Any]) -> int:
    """Add a row and return its id (the real one, where `values` gives an id that is none).

    Left out, a field has the value of an ordinary PENDING order of the first affiliate, made now. Each given value is
    sent by GraphQL as it is; where it makes sense, the account counts with it too (`sums`, /conversion/totals).
    """
    with account.lock:
        affiliate = next(iter(account.affiliates.values()), None)
        if affiliate is None:
            raise ValueError("an account without affiliates has no conversions")
        row = Conversion(
            id=account.new_id("conversion"),
            created=account.now,
            updated=account.now,
            affiliate_id=affiliate.id,
            offer_id=affiliate.offer_id,
            type=LINK,
            status=PENDING,
            order_id="",
            total=Decimal("20.00"),
            commissionable_total=Decimal("20.00"),
            commission_total=Decimal("2.00"),
            currency=account.settings.base,
        )
        _put(row, values)
        if row.id in account.conversions:
            raise ValueError(f"there is a conversion {row.id} already")
        account.add_conversion(row)
        return row.id


def change_conversion(account: Account, conversion_id: int, values: Mapping[str, Any]) -> None:
    """Set fields of a row, whatever the rules say; `updated` moves unless it is given. KeyError: no such row."""
    with account.lock:
        row = account.conversions[conversion_id]
        before = row.status
        account.remove_conversion(row)
        row.updated = account.now
        if values.get("status") == APPROVED and row.status != APPROVED:
            row.approved = account.now
        _put(row, values)
        account.put_conversion(row)
        account.decided(row, before)
        if values.get("status") == PENDING:
            account.auto_approve_later(row)


def delete_conversion(account: Account, conversion_id: int) -> None:
    """Take a row away without a trace. KeyError: no such row."""
    with account.lock:
        account.remove_conversion(account.conversions[conversion_id])


def change_affiliate(account: Account, affiliate_id: int, values: Mapping[str, Any]) -> None:
    """Set fields of an affiliate; unknown ones are sent as they are by both APIs. KeyError: no such affiliate."""
    with account.lock:
        affiliate = account.affiliates[affiliate_id]
        before = affiliate.status
        for name, value in values.items():
            if isinstance(value, str) and isinstance(getattr(affiliate, name, None), str):
                setattr(affiliate, name, value)
            else:
                affiliate.raw = {**(affiliate.raw or {}), name: value}
        if affiliate.status != before:
            account.set_affiliate_status(affiliate, affiliate.status)
        if set(values) - {"status"}:
            account.changed_affiliate(affiliate)


class Churning:
    """Rows that arrive or vanish while somebody reads (see the switch `churn`)."""

    def __init__(self, account: Account, selection: Selection) -> None:
        self._account = account
        self._selection = selection
        self._requests = 0
        self._done = 0

    def before_request(self, window: Window) -> None:
        churn = self._account.switches.churn
        if churn is None:
            self._requests = self._done = 0
            return
        self._requests += 1
        if self._requests % churn.every or (churn.limit is not None and self._done >= churn.limit):
            return
        rows = self._selection.conversions(window)
        if not rows:
            return
        newest = max(rows, key=lambda row: (row.created, row.id))
        self._done += 1
        if churn.kind == "delete":
            self._account.remove_conversion(newest)
        else:
            row = replace(newest, id=self._account.new_id("conversion"), order_id=f"late-{newest.order_id}")
            row.payment_status, row.payment_id = UNPAID, None
            self._account.add_conversion(row)


def _put(row: Conversion, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if name in _COUNTED:
            try:
                setattr(row, name, _COUNTED[name](value))
            except (ValueError, InvalidOperation):
                row.raw = {**(row.raw or {}), name: value}
                continue
            if isinstance(value, str) and name in ("id", "affiliate_id"):
                row.raw = {**(row.raw or {}), name: value}
        else:
            row.raw = {**(row.raw or {}), name: value}


def _whole(value: Any) -> int:
    number = whole_number(value)
    if number is None:
        raise ValueError(f"not a whole number: {value!r}")
    return number


def _money(value: Any) -> Decimal:
    amount = Decimal(value) if isinstance(value, str | int) else Decimal(str(value))
    if not amount.is_finite():
        raise ValueError(f"not an amount: {value!r}")
    return amount


def _moment(value: Any) -> int:
    number = whole_number(value)
    return from_iso(str(value)) if number is None else number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"not a text: {value!r}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"not true or false: {value!r}")
    return value


def _payment(value: Any) -> int | None:
    return None if value is None else _whole(value)


_COUNTED: dict[str, Callable[[Any], Any]] = {
    "id": _whole,
    "affiliate_id": _whole,
    "offer_id": _whole,
    "payment_id": _payment,
    "created": _moment,
    "updated": _moment,
    "total": _money,
    "commissionable_total": _money,
    "commission_total": _money,
    "total_items": _whole,
    "is_test_conversion": _flag,
    "is_recurring": _flag,
    **dict.fromkeys(
        (
            "type",
            "status",
            "payment_status",
            "order_id",
            "currency",
            "subscription_id",
            "coupon_code",
            "denied_reason_code",
            "reason",
            "notes",
            "source",
        ),
        _text,
    ),
}
