"""Amounts as Refersion rounds them: decimals per currency, and the commission of an order."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from refersion_dagster.sandbox.model import CENT, PERCENT_OF_SALE, WHOLE_CURRENCIES, Offer


def amount_of(cents: int, currency: str) -> Decimal:
    """Convert hundredths to an amount. For a currency without a minor unit, `cents` counts whole units."""
    return Decimal(cents) if currency in WHOLE_CURRENCIES else Decimal(cents).scaleb(-2)


def unit_of(currency: str) -> Decimal:
    """The smallest amount of a currency."""
    return Decimal(1) if currency in WHOLE_CURRENCIES else CENT


def commission_of(offer: Offer, commissionable: Decimal, currency: str) -> Decimal:
    """The commission of an order: a percentage of its commissionable total, or a flat amount in the row's currency."""
    unit = unit_of(currency)
    if not commissionable:
        return Decimal(0).quantize(unit)
    if offer.type == PERCENT_OF_SALE:
        return (commissionable * offer.commission / 100).quantize(unit, ROUND_HALF_UP)
    return offer.commission.quantize(unit)
