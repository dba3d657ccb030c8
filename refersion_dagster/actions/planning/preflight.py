"""Checks items against the warehouse before anything is sent: existing ids, changeable conversions, limits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlglot import exp

from refersion_dagster.actions.operations.catalog import AmountAtRisk, Endpoint, Precondition
from refersion_dagster.actions.operations.item_key import PlannedItem
from refersion_dagster.actions.planning.input_errors import InputError
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.rounding import format_amount
from refersion_dagster.warehouse.resource import SUMMARIES
from refersion_dagster.warehouse.session import Session, UndefinedTable

# Maximum number of values in one IN (…).
AT_ONCE = 500
REGARDLESS = "or set check_warehouse to false"


@dataclass(frozen=True)
class AmountLimits:
    """Limits of a run, which the user may raise deliberately.

    Args:
        items: maximum number of items to send.
        commission: maximum sum of the absolute commissions moved, in each currency.
    """

    items: int
    commission: Decimal


@dataclass
class PreflightResult:
    """The result of the preflight.

    Args:
        errors: all errors that prevent sending.
        stakes: sum of the absolute commissions moved, by currency.
        net: sum of the signed commissions, by currency; negative amounts are taken back.
        unpriced: number of items whose commission is not in the warehouse; the limit does not cover them.
    """

    errors: list[InputError] = field(default_factory=list)
    stakes: dict[str, Decimal] = field(default_factory=dict)
    net: dict[str, Decimal] = field(default_factory=dict)
    unpriced: int = 0


def preflight(
    endpoint: Endpoint, items: Sequence[PlannedItem], session: Session, limits: AmountLimits, *, strictly: bool
) -> PreflightResult:
    """Checks items against the warehouse and the limits before they are sent.

    Args:
        strictly: whether to check ids, statuses and currencies; if False, only repetitions and limits are checked.
    """
    verdict = PreflightResult()
    if not items:
        return verdict
    if strictly:
        for name, holds in endpoint.holds.items():
            given = [(one, value) for one in items if (value := one.item.content().get(name)) is not None]
            if given:
                verdict.errors += CHECKS[holds](session, name, given)
    verdict.errors += _find_sent_credits(endpoint, items, session)
    moved, verdict.unpriced = _sum_stakes(endpoint, items, session)
    verdict.stakes = _sort_by_currency(_sums((currency, abs(commission)) for currency, commission in moved), session)
    verdict.net = _sort_by_currency(_sums(moved), session)
    verdict.errors += _check_limits(limits, len(items), verdict.stakes)
    return verdict


ItemValues = Sequence[tuple[PlannedItem, Any]]


def _rows(session: Session, table: str, columns: str, column: exp.Expr, values: Iterable[str]) -> list[Any]:
    """Returns the rows of a raw table whose column has one of the values. Raises UndefinedTable."""
    wanted = sorted(set(values))
    rows: list[Any] = []
    for at in range(0, len(wanted), AT_ONCE):
        literals = [exp.Literal.string(value) for value in wanted[at : at + AT_ONCE]]
        query = exp.select(*columns.split(", ")).from_(f"{DATASET}.{table}").where(column.copy().isin(*literals))
        rows += session.query(query)
    return rows


def select_from_first(
    session: Session, tables: Sequence[str], columns: str, column: exp.Expr, values: Iterable[str]
) -> list[Any] | None:
    """Returns the matching rows of several tables; None if none of the tables exists."""
    values = list(values)
    found: list[Any] | None = None
    for table in tables:
        try:
            found = (found or []) + _rows(session, table, columns, column, values)
        except UndefinedTable:
            continue
    return found


def _report_missing_table(name: str, table: str) -> list[InputError]:
    return [
        InputError(
            None, f"{name} cannot be checked because refersion/{table} was never loaded. Materialise it, {REGARDLESS}."
        )
    ]


def _exists(tables: Sequence[str], column: str, what: str) -> Callable[[Session, str, ItemValues], list[InputError]]:
    def check_affiliates(session: Session, name: str, given: ItemValues) -> list[InputError]:
        rows = select_from_first(session, tables, column, exp.column(column), (str(value) for _, value in given))
        if rows is None:
            return _report_missing_table(name, tables[0])
        known = {value for (value,) in rows}
        return [
            InputError(one.place, f"{name} {value}: no such {what} in the warehouse. Run a refresh, {REGARDLESS}")
            for one, value in given
            if str(value) not in known
        ]

    return check_affiliates


def _offers(session: Session, name: str, given: ItemValues) -> list[InputError]:
    """Offers are read through GraphQL. Without it, only offers that have affiliates are known."""
    wanted = [str(value) for _, value in given]
    of_affiliates = select_from_first(
        session, ("affiliate_get", "affiliate_list"), "offer_id", exp.column("offer_id"), wanted
    )
    offers = select_from_first(session, ("offers",), "id", exp.column("id"), wanted)
    if offers is None and of_affiliates is None:
        return _report_missing_table(name, "offers")
    known = {value for (value,) in [*(offers or []), *(of_affiliates or [])]}
    return [
        InputError(one.place, f"{name} {value}: no such offer in the warehouse. Run a refresh, {REGARDLESS}")
        for one, value in given
        if str(value) not in known
    ]


def _require_pending(session: Session, name: str, given: ItemValues) -> list[InputError]:
    """Merchants can change pending conversions only (documented)."""
    wanted = (str(value) for _, value in given)
    rows = select_from_first(session, ("conversions",), "id, status, vanished_at", exp.column("id"), wanted)
    if rows is None:
        return _report_missing_table(name, "conversions")
    known = {id_: "deleted in Refersion" if vanished else status for id_, status, vanished in rows}
    errors = []
    for one, value in given:
        if str(value) not in known:
            errors.append(
                InputError(
                    one.place, f"{name} {value}: no such conversion in the warehouse. Run a refresh, {REGARDLESS}"
                )
            )
        elif (status := known[str(value)]) not in ("PENDING", None):
            errors.append(
                InputError(one.place, f"{name} {value} is {status}, and only pending conversions can be changed")
            )
    return errors


def _emails(session: Session, name: str, given: ItemValues) -> list[InputError]:
    emails = {str(value).casefold() for _, value in given}
    lower = exp.func("lower", exp.column("email"))
    by_number = select_from_first(session, ("affiliates", "affiliate_get"), "id, email", lower, emails)
    by_code = select_from_first(session, ("affiliate_list",), "id, email", lower, emails)
    if by_number is None and by_code is None:
        return _report_missing_table(name, "affiliate_list")
    numbers = {email.casefold(): number for number, email in by_number or []}
    listed = {email.casefold() for _, email in by_code or []}
    errors = []
    for one, value in given:
        email, own = str(value).casefold(), one.item.content().get("affiliate_id")
        holder = numbers.get(email)
        if (own is None and (holder or email in listed)) or (own is not None and holder not in (None, str(own))):
            who = f"affiliate {holder}" if holder else "an affiliate"
            errors.append(InputError(one.place, f"{name} {value} already belongs to {who}"))
    return errors


def _currencies(session: Session, name: str, given: ItemValues) -> list[InputError]:
    known: set[str] = set()
    for table in ("conversions", "payments", "conversion_totals"):
        try:
            rows = session.query(f"SELECT DISTINCT currency FROM {DATASET}.{table} WHERE currency IS NOT NULL")  # noqa: S608
        except UndefinedTable:
            continue
        known |= {currency for (currency,) in rows}
    if not known:
        return _report_missing_table(name, "conversions")
    return [
        InputError(
            one.place,
            f"{name} {value} is not a currency of the account ({', '.join(sorted(known))}). Correct it, {REGARDLESS}",
        )
        for one, value in given
        if value not in known
    ]


CHECKS: dict[Precondition, Callable[[Session, str, ItemValues], list[InputError]]] = {
    Precondition.AFFILIATE_ID: _exists(("affiliate_get", "affiliates"), "id", "affiliate"),
    Precondition.AFFILIATE_CODE: _exists(("affiliate_get",), "affiliate_code", "affiliate's code"),
    Precondition.NEW_EMAIL: _emails,
    Precondition.PENDING_CONVERSION: _require_pending,
    Precondition.ORDER_ID: _exists(("conversions",), "order_id", "order"),
    Precondition.OFFER_ID: _offers,
    Precondition.CURRENCY: _currencies,
}


def _find_sent_credits(endpoint: Endpoint, items: Sequence[PlannedItem], session: Session) -> list[InputError]:
    """Finds credits that Refersion already has, by the reference in their notes: a journal may be lost."""
    if "notes" not in endpoint.item.model_fields:
        return []
    try:
        rows = session.query(
            f"SELECT id, notes FROM {DATASET}.conversions WHERE notes LIKE '%[ref %' AND vanished_at IS NULL"  # noqa: S608
        )
    except UndefinedTable:
        return []
    errors = []
    for one in items:
        if made := [id_ for id_, notes in rows if one.reference in notes]:
            errors.append(
                InputError(
                    one.place,
                    f"was already sent: conversion {made[0]} has its reference {one.reference}. To send it again, "
                    "set a key for it or another purpose for the run",
                )
            )
    return errors


def _sum_stakes(
    endpoint: Endpoint, items: Sequence[PlannedItem], session: Session
) -> tuple[list[tuple[str, Decimal]], int]:
    """Returns the signed commissions moved, with their currencies, and the number of items of unknown commission."""
    if endpoint.stake is AmountAtRisk.NONE:
        return [], 0
    if endpoint.stake is AmountAtRisk.OWN:
        return [(content["currency"], content["commission"]) for content in (one.item.content() for one in items)], 0
    name, column = ("conversion_id", "id") if endpoint.stake is AmountAtRisk.CONVERSION else ("order_id", "order_id")
    wanted = [str(one.item.content()[name]) for one in items]
    columns = f"{column}, currency, commission_total"
    rows = select_from_first(session, ("conversions",), columns, exp.column(column), wanted) or []
    # The cancellations of an order do not count again.
    counts = [row for row in rows if endpoint.stake is AmountAtRisk.CONVERSION or row[2] > 0]
    unpriced = len(set(wanted) - {id_ for id_, _, _ in rows})
    return [(currency, commission) for _, currency, commission in counts], unpriced


def _sums(moved: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for currency, commission in moved:
        sums[currency] += commission
    return dict(sums)


def _sort_by_currency(stakes: dict[str, Decimal], session: Session) -> dict[str, Decimal]:
    """Sorts by the currencies' places, the account's own first; by name if the summaries have no places."""
    places: dict[str, int] = {}
    if "place" in dict(session.columns(SUMMARIES, "currencies")):
        places = dict(session.query(f"SELECT currency, place FROM {SUMMARIES}.currencies"))  # noqa: S608 - our name
    return {name: stakes[name] for name in sorted(stakes, key=lambda name: (places.get(name, len(places) + 1), name))}


def _check_limits(limits: AmountLimits, count: int, stakes: dict[str, Decimal]) -> list[InputError]:
    errors = []
    if count > limits.items:
        errors.append(
            InputError(
                None,
                f"There are {count} items to send, and max_items is {limits.items}. Raise the limit if this is "
                "intended.",
            )
        )
    for currency, amount in stakes.items():
        if amount > limits.commission:
            errors.append(
                InputError(
                    None,
                    f"They move {format_amount(amount)} {currency} of commission, and max_commission is "
                    f"{format_amount(limits.commission)}. Raise the limit if this is intended.",
                )
            )
    return errors
