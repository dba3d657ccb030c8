"""Amounts as Refersion has them: how many decimals a currency has, and what an order earns."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from refersion_dagster.sandbox.model import CENT, PERCENT_OF_SALE, WHOLE_CURRENCIES, Offer


def amount_of(cents: int, currency: str) -> Decimal:
    """So many hundredths; in a currency without a minor unit so many whole units."""
    return Decimal(cents) if currency in WHOLE_CURRENCIES else Decimal(cents).scaleb(-2)


def unit_of(currency: str) -> Decimal:
    """The smallest amount."""
    return Decimal(1) if currency in WHOLE_CURRENCIES else CENT


def commission_of(offer: Offer, commissionable: Decimal, currency: str) -> Decimal:
    """What an order earns: a percentage of its commissionable total, or the flat amount in the row's currency."""
    unit = unit_of(currency)
    if not commissionable:
        return Decimal(0).quantize(unit)
    if offer.type == PERCENT_OF_SALE:
        return (commissionable * offer.commission / 100).quantize(unit, ROUND_HALF_UP)
    return offer.commission.quantize(unit)
