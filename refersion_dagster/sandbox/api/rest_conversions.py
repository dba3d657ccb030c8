"""The REST v2 operations on conversions."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from refersion_dagster.sandbox.account import FOREVER, Account
from refersion_dagster.sandbox.api.rest_fields import Fields, invalid_field, make_unprocessable
from refersion_dagster.sandbox.lifecycle import adjustments
from refersion_dagster.sandbox.model import (
    APPROVED,
    CANCELLATION_PREFIX,
    CENT,
    CONVERSION_STATUSES,
    CONVERSION_TYPES,
    DENIED,
    PAID,
    PENDING,
    UNPAID,
    UNQUALIFIED,
    Conversion,
)

# Value of one unit in the first currency, for converted totals. The figures are arbitrary but fixed.
RATES = {"USD": Decimal("1"), "EUR": Decimal("1.08"), "GBP": Decimal("1.27"), "CAD": Decimal("0.73")}
CURRENCIES = frozenset(
    (
        "AED", "ARS", "AUD", "BGN", "BRL", "CAD", "CHF", "CLP", "CNY", "COP", "CZK", "DKK", "EGP", "EUR", "GBP", "HKD",
        "HUF", "IDR", "ILS", "INR", "JPY", "KES", "KRW", "MAD", "MXN", "MYR", "NGN", "NOK", "NZD", "PEN", "PHP", "PKR",
        "PLN", "QAR", "RON", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "UAH", "USD", "UYU", "VND", "ZAR",
    )
)  # fmt: skip

_REFUSALS = {
    (APPROVED, DENIED): "Cannot deny an approved conversion",
    (DENIED, APPROVED): "Cannot approve a denied conversion",
}
_OTHER_REFUSAL = "The conversion cannot have this status"


def totals(account: Account, fields: Fields) -> dict[str, Any]:
    """/conversion/totals in the account's currency. Both bounds on `created` are inclusive (inferred).

    The field `currency` is not declared in the contract; see the switch totals_currency_field.
    """
    currency = _currency_of_totals(account, fields)
    fields.require("status")
    statuses = _validate_choice(fields, "status", CONVERSION_STATUSES)
    types = _validate_choice(fields, "type", CONVERSION_TYPES) if fields.has("type") else None
    payment_status = fields.text("payment_status") or None
    if payment_status not in (None, PAID, UNPAID):
        raise make_unprocessable(f"{payment_status} is not a allowed value for field payment_status")
    low = fields.moment("created_from") if fields.has("created_from") else -FOREVER
    high = fields.moment("created_to") + 1 if fields.has("created_to") else FOREVER
    offer_id = fields.number("offer_id") if fields.has("offer_id") else None
    affiliate_id = fields.number("affiliate_id") if fields.has("affiliate_id") else None
    counted = account.switches.totals_test_conversions == "counted"
    test = fields.flag("is_test_conversion") if fields.has("is_test_conversion") else None if counted else False
    rows = [
        row
        for row in account.conversions_between(low, high, affiliate_id)
        if row.status in statuses
        and (types is None or row.type in types)
        and payment_status in (None, row.payment_status)
        and offer_id in (None, row.offer_id)
        and test in (None, row.is_test_conversion)
    ]
    return _build_totals(account, rows, currency)


def _currency_of_totals(account: Account, fields: Fields) -> str | None:
    how = account.switches.totals_currency_field
    if "currency" not in fields.body or how == "ignored":
        return None
    if how == "refused":
        raise invalid_field("currency")
    return fields.choice("currency", sorted(CURRENCIES | set(account.settings.currencies)))


def manual_credit(account: Account, fields: Fields) -> dict[str, Any]:
    """/conversion/manual_credit: adds a row with a zero total. The id in the response is a number."""
    fields.require("id", "commission", "status")
    number, commission = fields.number("id"), fields.money("commission")
    status, notes = fields.choice("status", (APPROVED, PENDING)), fields.text("notes")
    currency = fields.text("currency") or account.settings.base
    affiliate = account.affiliates.get(number)
    if affiliate is None:
        raise make_unprocessable("Invalid affiliate ID (error 2).")
    if currency not in CURRENCIES | set(account.settings.currencies):
        raise make_unprocessable(f"{currency} is not a valid currency")
    return {"conversion_id": adjustments.credit_manually(account, affiliate, commission, currency, status, notes).id}


def manual_credit_order_id(account: Account, fields: Fields) -> dict[str, Any]:
    """/conversion/manual_credit_order_id: the row appears once the order has been reprocessed, after two minutes.

    The two minutes pass on the sandbox's clock (switch reprocess_seconds). Until then the order is a 422, as is an
    order that the affiliate already has. The response carries a warning if another affiliate has the order.
    """
    fields.require("id", "order_id")
    number, order_id = fields.number("id"), fields.text("order_id")
    status = fields.choice("status", (APPROVED, PENDING)) if fields.has("status") else APPROVED
    notes = fields.text("notes")
    affiliate = account.affiliates.get(number)
    if affiliate is None:
        raise make_unprocessable("Invalid affiliate ID (error 2).")
    credited = account.by_order.get(order_id)
    if not credited:
        raise make_unprocessable("Invalid order ID (error 5)")
    if account.reprocessing.get(order_id, 0) > account.now:
        raise make_unprocessable("This order ID is being process (error 5).")
    qualified = [row for row in credited if row.status != UNQUALIFIED]
    if number in [row.affiliate_id for row in qualified]:
        raise make_unprocessable(f"Affiliate {number} has already been manually credited for this order ID. (Error 6)")
    answer = {"message": "Order(s) are re-processing. Changes may take a couple of minutes to appear."}
    if qualified:
        answer["warning"] = f"Order ID is already credited to affiliate {qualified[0].affiliate_id}"
    due = account.now + account.switches.reprocess_seconds
    account.reprocessing[order_id] = due
    account.clock.schedule(due, adjustments.credit_again, account, credited[0], affiliate, status, notes)
    account.clock.move_to(account.now)
    return answer


def status_change(account: Account, fields: Fields) -> dict[str, Any]:
    """/conversion/status_change: only PENDING rows change.

    A partial failure is a 200 with ids_not_changed (documented). That the 422 texts are returned only if no row could
    be changed is inferred.
    """
    fields.require("ids", "status")
    ids, status = fields.ids(), fields.text("status")
    if status not in CONVERSION_STATUSES:
        raise invalid_field("status")
    if status == PENDING:
        raise make_unprocessable(_OTHER_REFUSAL)
    changed: list[int] = []
    unchanged: list[int] = []
    refusals: list[str] = []
    for number in ids:
        row = account.conversions.get(number)
        if row is not None and row.status == PENDING:
            account.set_status(row, status)
            changed.append(number)
            continue
        unchanged.append(number)
        if row is not None and row.status != status:
            refusals.append(_REFUSALS.get((row.status, status), _OTHER_REFUSAL))
    if refusals and not changed:
        raise make_unprocessable(*dict.fromkeys(refusals))
    return {"ids_changed": changed, "ids_not_changed": unchanged}


def cancel(account: Account, fields: Fields) -> dict[str, Any]:
    """/conversion/cancel: adds a row with negative amounts. The id in the response is a string.

    If all items have a price, they take back that part of the order; otherwise all that is left is taken back. The
    total taken back never exceeds the order (inferred). Another SKU can be cancelled later while some of the order is
    left (switch cancel_sku_by_sku).
    """
    fields.require("order_id", "items")
    order_id, items = fields.text("order_id"), fields.items("items")
    amounts: list[Decimal | None] = []
    for item in items:
        item.require("sku")
        item.text("sku")
        quantity = item.number("quantity", 1)
        amounts.append(item.money("price") * quantity if item.has("price") else None)
        if quantity < 1 or (amounts[-1] or 0) < 0:
            raise invalid_field("quantity" if quantity < 1 else "price")
    skus = {item.text("sku") for item in items}
    row = next(filter(lambda row: _cancellable(account, row, skus), reversed(account.by_order.get(order_id, []))), None)
    if row is None:
        raise make_unprocessable("Invalid order ID (error 5)")
    before = [account.conversions[number] for number in account.reversals.get(row.id, ())]
    left = row.total + sum((one.total for one in before), Decimal("0.00"))
    named = [amount for amount in amounts if amount is not None]
    part = left if len(named) < len(amounts) else min(left, sum(named, Decimal("0.00")))
    whole = part >= left or not account.switches.cancel_sku_by_sku
    if part >= left and before:
        commissionable = row.commissionable_total + sum((one.commissionable_total for one in before), Decimal("0.00"))
        commission = row.commission_total + sum((one.commission_total for one in before), Decimal("0.00"))
    else:
        share = part / row.total if row.total else Decimal(1)
        commissionable, commission = _cents(row.commissionable_total * share), _cents(row.commission_total * share)
    account.cancelled_skus.setdefault(row.id, set()).update(skus)
    reversal = adjustments.cancel(account, row, -part, -commissionable, -commission, whole=whole)
    return {"conversion_id": str(reversal.id)}


def _cancellable(account: Account, row: Conversion, skus: set[str]) -> bool:
    return (
        row.status in (PENDING, APPROVED)
        and not row.type.startswith(CANCELLATION_PREFIX)
        and row.id not in account.cancelled
        and not skus & account.cancelled_skus.get(row.id, set())
    )


def _validate_choice(fields: Fields, name: str, allowed: Iterable[str]) -> list[str]:
    values = fields.texts(name)
    for value in values:
        if value not in allowed:
            raise make_unprocessable(f"{value} is not a allowed value for field {name}")
    return values


def _build_totals(account: Account, rows: list[Conversion], currency: str | None) -> dict[str, Any]:
    switches, base = account.switches, currency or account.settings.base
    if currency:
        rows = [row for row in rows if row.currency == currency]
    elif switches.totals_currencies == "left_out":
        rows = [row for row in rows if row.currency == base]
    sums = {
        "commission_total": Decimal("0.00"),
        "order_total": Decimal("0.00"),
        "commissionable_order_total": Decimal("0.00"),
    }
    for row in rows:
        rate = _rate(row.currency, base) if switches.totals_currencies == "converted" else Decimal(1)
        sums["commission_total"] += row.commission_total * rate
        sums["order_total"] += row.total * rate
        sums["commissionable_order_total"] += row.commissionable_total * rate
    values: dict[str, int | Decimal] = {
        "conversions_count": len(rows),
        **{name: _cents(amount) for name, amount in sums.items()},
    }
    return {name: _format_value(switches.totals_shape, name, value) for name, value in values.items()} | {
        "currency": base
    }


def _format_value(shape: str, name: str, value: int | Decimal) -> Any:
    """A value of the totals in the configured shape.

    The published sample contains "10,", "500.84," and "3,498.03,", and 2,874.85 without the stray comma.
    """
    if shape == "numbers":
        return value
    if shape == "strings":
        return str(value)
    stray = shape == "stray_comma" or (shape == "sample" and name != "commissionable_order_total")
    return f"{value:,}{',' if stray else ''}"


def _rate(currency: str, base: str) -> Decimal:
    return RATES.get(currency, Decimal(1)) / RATES.get(base, Decimal(1))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)
