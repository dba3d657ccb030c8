"""Rows that no customer order creates directly: cancellations, manual credits, and an order credited again."""

from dataclasses import replace
from decimal import Decimal

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.amounts import commission_of
from refersion_dagster.sandbox.model import (
    AUTO_CREDIT,
    CANCELLATION_PREFIX,
    MANUAL_CREDIT,
    PENDING,
    UNPAID,
    Affiliate,
    Conversion,
)


def cancel(
    account: Account,
    row: Conversion,
    total: Decimal,
    commissionable: Decimal,
    commission: Decimal,
    *,
    whole: bool = True,
) -> Conversion:
    """Add a row with negative amounts. `row` itself does not change; both are pending or approved together.

    Args:
        whole: no further cancellation of this row can follow.
    """
    reversal = replace(
        row,
        id=account.new_id("conversion"),
        created=account.now,
        updated=account.now,
        type=CANCELLATION_PREFIX + row.type,
        total=total,
        commissionable_total=commissionable,
        commission_total=commission,
        payment_status=UNPAID,
        payment_id=None,
        approved=None,
        notes="Order cancelled",
        raw=None,
    )
    account.reversals[row.id].append(reversal.id)
    if whole:
        account.cancelled[row.id] = reversal.id
    account.add_conversion(reversal)
    if reversal.status == PENDING:
        account.auto_approve_later(reversal)
    return reversal


def credit_manually(
    account: Account, affiliate: Affiliate, commission: Decimal, currency: str, status: str, notes: str
) -> Conversion:
    """Add a manually credited row with a zero total."""
    row = account.add_conversion(
        Conversion(
            id=account.new_id("conversion"),
            created=account.now,
            updated=account.now,
            affiliate_id=affiliate.id,
            offer_id=affiliate.offer_id,
            type=MANUAL_CREDIT,
            status=status,
            order_id="",
            total=Decimal("0.00"),
            commissionable_total=Decimal("0.00"),
            commission_total=commission,
            currency=currency,
            total_items=0,
            notes=notes,
            source="MERCHANT_PROFILE",
        )
    )
    if status == PENDING:
        account.auto_approve_later(row)
    return row


def credit_again(account: Account, first: Conversion, affiliate: Affiliate, status: str, notes: str) -> None:
    """Credit the order of `first` again, to another affiliate and on that affiliate's offer."""
    offer = account.offers[affiliate.offer_id]
    row = account.add_conversion(
        replace(
            first,
            id=account.new_id("conversion"),
            created=account.now,
            updated=account.now,
            affiliate_id=affiliate.id,
            offer_id=offer.id,
            type=AUTO_CREDIT,
            status=status,
            commission_total=commission_of(offer, first.commissionable_total, first.currency),
            payment_status=UNPAID,
            payment_id=None,
            approved=None,
            coupon_code="",
            denied_reason_code="",
            reason="",
            notes=notes,
            source="MERCHANT_PROFILE",
            click=None,
            raw=None,
        )
    )
    if status == PENDING:
        account.auto_approve_later(row)
