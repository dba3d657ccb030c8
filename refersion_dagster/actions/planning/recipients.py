"""Describes the affiliates and commissions of items for a dry run, because people know names, not ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlglot import exp

from refersion_dagster.actions.operations.catalog import CONVERSION_CANCEL, AmountAtRisk, Endpoint
from refersion_dagster.actions.operations.item_key import PlannedItem
from refersion_dagster.actions.planning.preflight import select_from_first
from refersion_dagster.rounding import format_amount
from refersion_dagster.warehouse.session import Session

TAKEN_BACK = "taken back"


@dataclass(frozen=True)
class Stake:
    """The commission of one item. A negative amount is taken back from the affiliate."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{format_amount(self.amount)} {self.currency}" + (f" ({TAKEN_BACK})" if self.amount < 0 else "")


def recipients(endpoint: Endpoint, items: Sequence[PlannedItem], session: Session) -> Iterator[str]:
    """Yields a line for each item that concerns an affiliate: name, id and the signed commission that it moves."""
    conversions = _conversions(endpoint, items, session)
    ids = {one.key: _affiliate_id(one, conversions[one.key]) for one in items}
    by_code = _ids_by_code(items, session)
    names = _names({id_ for id_ in (*ids.values(), *by_code.values()) if id_}, session)
    for one in items:
        content = one.item.content()
        id_ = ids[one.key] or by_code.get(str(content.get("affiliate_code")))
        if id_:
            who = f"{names.get(id_, '(no name)')} ({id_})"
        elif {"first_name", "last_name"} <= content.keys():
            who = f"{content['first_name']} {content['last_name']} (new)"
        else:
            continue
        moved = ", ".join(map(str, _find_stakes(endpoint, one, conversions[one.key])))
        yield f"{one.place}: {who}" + (f": {moved}" if moved else "")


@dataclass(frozen=True)
class _Conversion:
    affiliate_id: str | None
    currency: str
    commission: Decimal


def _conversions(
    endpoint: Endpoint, items: Sequence[PlannedItem], session: Session
) -> defaultdict[str, list[_Conversion]]:
    """Returns the conversions of each item, by the item's key; for an order, those with positive commission."""
    found: defaultdict[str, list[_Conversion]] = defaultdict(list)
    if endpoint.stake not in (AmountAtRisk.CONVERSION, AmountAtRisk.ORDER):
        return found
    name, column = ("conversion_id", "id") if endpoint.stake is AmountAtRisk.CONVERSION else ("order_id", "order_id")
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for one in items:
        keys[str(one.item.content()[name])].append(one.key)
    columns = f"{column}, affiliate_id, affiliate__id, currency, commission_total"
    for value, own_id, object_id, currency, commission in (
        select_from_first(session, ("conversions",), columns, exp.column(column), keys) or []
    ):
        if endpoint.stake is AmountAtRisk.CONVERSION or commission > 0:
            for key in keys[value]:
                found[key].append(_Conversion(own_id or object_id, currency, commission))
    return found


def _affiliate_id(one: PlannedItem, conversions: Sequence[_Conversion]) -> str | None:
    own = one.item.content().get("affiliate_id")
    if own is not None:
        return str(own)
    return next((row.affiliate_id for row in conversions if row.affiliate_id), None)


def _ids_by_code(items: Sequence[PlannedItem], session: Session) -> dict[str, str]:
    codes = {str(code) for one in items if (code := one.item.content().get("affiliate_code"))}
    found = select_from_first(session, ("affiliate_get",), "affiliate_code, id", exp.column("affiliate_code"), codes)
    return dict(found or [])


def _names(ids: Iterable[str], session: Session) -> dict[str, str]:
    tables = ("affiliates", "affiliate_get")
    found = select_from_first(session, tables, "id, first_name, last_name", exp.column("id"), ids) or []
    names = {id_: " ".join(f"{first or ''} {last or ''}".split()) for id_, first, last in found}
    return {id_: name for id_, name in names.items() if name}


def _find_stakes(endpoint: Endpoint, one: PlannedItem, conversions: Sequence[_Conversion]) -> Iterator[Stake]:
    content = one.item.content()
    if endpoint.stake is AmountAtRisk.OWN:
        yield Stake(content["commission"], content["currency"])
        return
    sign = -1 if endpoint is CONVERSION_CANCEL else 1
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in conversions:
        sums[row.currency] += sign * row.commission
    for currency, amount in sums.items():
        yield Stake(amount, currency)
