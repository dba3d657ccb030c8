"""Changes outside the API: by Refersion's support, by churn, or by a test that corrupts a row on purpose."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from refersion_dagster.sandbox.account import NEW_PAYMENT, Account
from refersion_dagster.sandbox.amounts import unit_of
from refersion_dagster.sandbox.api.graphql_filters import RowFilter, RowSelection
from refersion_dagster.sandbox.api.rest_fields import whole_number
from refersion_dagster.sandbox.clock import from_iso
from refersion_dagster.sandbox.lifecycle import adjustments
from refersion_dagster.sandbox.model import APPROVED, CANCELLATION_PREFIX, LINK, PENDING, UNPAID, Conversion, Payment


def insert_conversion(account: Account, values: Mapping[str, Any]) -> int:
    """Add a row and return its id (a generated one if `values` holds an invalid id).

    Fields that are left out default to those of an ordinary PENDING order of the first affiliate, created now. GraphQL
    sends each given value unchanged. The account also uses valid values in its own calculations (`sums`,
    /conversion/totals).
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
        _set_values(row, values)
        if row.id in account.conversions:
            raise ValueError(f"there is a conversion {row.id} already")
        account.add_conversion(row)
        return row.id


def change_conversion(account: Account, conversion_id: int, values: Mapping[str, Any]) -> None:
    """Set fields of a row regardless of the rules. `updated` is set to now unless it is given.

    This covers late approvals and denials (`status`), corrections (`commission_total`), a move to another affiliate
    (`affiliate_id`) and a new date (`created`). Raises KeyError if the row does not exist.
    """
    with account.lock:
        row = account.conversions[conversion_id]
        before = row.status
        account.remove_conversion(row)
        row.updated = account.now
        if values.get("status") == APPROVED and row.status != APPROVED:
            row.approved = account.now
        _set_values(row, values)
        account.put_conversion(row)
        account.forget_id(row, conversion_id)
        account.announce_decision(row, before)
        if values.get("status") == PENDING:
            account.auto_approve_later(row)


def delete_conversion(account: Account, conversion_id: int) -> None:
    """Delete a row without a trace. Raises KeyError if it does not exist."""
    with account.lock:
        account.delete_conversion(account.conversions[conversion_id])


def cancel_part(account: Account, conversion_id: int, values: Mapping[str, Any]) -> int:
    """Cancel part of an order and return the id of the new row.

    `total` is a positive amount. The commission taken back is `commission` or else the proportional share. Several
    cancellations can follow each other, up to the order's total. Raises KeyError if the row does not exist.
    """
    if unknown := set(values) - {"total", "commission"}:
        raise ValueError(f"there is no {', '.join(sorted(unknown))}; give total, and commission or not")
    with account.lock:
        row = account.conversions[conversion_id]
        earlier = [account.conversions[key] for key in account.reversals.get(row.id, ()) if key in account.conversions]
        left, total = row.total + sum(one.total for one in earlier), _money(values["total"])
        if row.type.startswith(CANCELLATION_PREFIX) or not 0 < total <= left:
            raise ValueError(f"{total} cannot be taken back of conversion {row.id}: {left} {row.currency} are left")
        share = total / row.total
        unit = unit_of(row.currency)
        commission = _money(values["commission"]) if "commission" in values else row.commission_total * share
        reversal = adjustments.cancel(
            account,
            row,
            -total,
            -(row.commissionable_total * share).quantize(unit, ROUND_HALF_UP),
            -commission.quantize(unit, ROUND_HALF_UP),
            whole=total == left,
        )
        return reversal.id


def enter_payment(
    account: Account, conversion_ids: Sequence[int], created: Any = None, payment_id: int | None = None
) -> int:
    """Mark due rows of one affiliate and currency as paid by a new payment, and return its id.

    Raises KeyError if a row does not exist.

    Args:
        created: the payment's date, such as the date of a payment that was undone. Defaults to now.
    """
    with account.lock:
        rows = [account.conversions[number] for number in conversion_ids]
        if len({(row.affiliate_id, row.currency) for row in rows}) != 1:
            raise ValueError("a payment is of one affiliate and one currency")
        if waiting := [row.id for row in rows if row.id not in account.due]:
            raise ValueError(f"not due: {', '.join(map(str, waiting))}")
        payment = Payment(
            id=account.new_id("payment") if payment_id is None else payment_id,
            created=account.now if created is None else _moment(created),
            affiliate_id=rows[0].affiliate_id,
            currency=rows[0].currency,
            commission_total=sum((row.commission_total for row in rows), Decimal(0)),
            total=sum((row.total for row in rows), Decimal(0)),
            total_conversions=len(rows),
            payment_method="MARK_AS_PAID",
            note="",
        )
        if payment.id in account.payments:
            raise ValueError(f"there is a payment {payment.id} already")
        account.pay(rows, payment)
        account.announce(NEW_PAYMENT, [payment])
        return payment.id


def undo_payment(account: Account, payment_id: int) -> list[int]:
    """Delete a payment, mark its rows as unpaid and return their ids. Raises KeyError if the payment does not exist."""
    with account.lock:
        return [row.id for row in account.undo_payment(account.payments[payment_id])]


def delete_payment(account: Account, payment_id: int) -> None:
    """Delete a payment. Its rows stay paid and still refer to it. Raises KeyError if the payment does not exist."""
    with account.lock:
        account.delete_payment(account.payments[payment_id])


def delete_affiliate(account: Account, affiliate_id: int) -> None:
    """Delete an affiliate. Its rows stay and still refer to it. Raises KeyError if the affiliate does not exist."""
    with account.lock:
        account.delete_affiliate(account.affiliates[affiliate_id])


def change_affiliate(account: Account, affiliate_id: int, values: Mapping[str, Any]) -> None:
    """Set fields of an affiliate. Both APIs send unknown fields unchanged. Raises KeyError if it does not exist."""
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
            account.record_affiliate_change(affiliate)


class RowChurn:
    """Rows that are inserted or deleted while a client reads (see the switch `churn`)."""

    def __init__(self, account: Account, selection: RowSelection) -> None:
        self._account = account
        self._selection = selection
        self._requests = 0
        self._done = 0

    def before_request(self, window: RowFilter) -> None:
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
            self._account.delete_conversion(newest)
        else:
            row = replace(newest, id=self._account.new_id("conversion"), order_id=f"late-{newest.order_id}")
            row.payment_status, row.payment_id = UNPAID, None
            self._account.add_conversion(row)


def _set_values(row: Conversion, values: Mapping[str, Any]) -> None:
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


def _parse_whole(value: Any) -> int:
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
    return None if value is None else _parse_whole(value)


_COUNTED: dict[str, Callable[[Any], Any]] = {
    "id": _parse_whole,
    "affiliate_id": _parse_whole,
    "offer_id": _parse_whole,
    "payment_id": _payment,
    "created": _moment,
    "updated": _moment,
    "total": _money,
    "commissionable_total": _money,
    "commission_total": _money,
    "total_items": _parse_whole,
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
