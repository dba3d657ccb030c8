"""Raw conversions judged in Python by the definitions alone, and rows for property tests to judge.

Nothing here looks at the summaries' SQL, so that a mistake there cannot be made here again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import Phase
from hypothesis import strategies as st

from refersion_dagster_tests.summaries.builders import READ_AT, Row, WarehouseBuilder, summary_of

Figures = dict[Any, Decimal]
SOLD = ("pending", "due", "paid")
APPROVED = ("due", "paid")


def counts(row: Row) -> bool:
    return not row["is_test_conversion"] and row.get("vanished_at") is None


def kind(row: Row) -> str:
    type_, total, commission = row["type"] or "", row["total"], row["commission_total"]
    by_hand, has_order = type_ == "MANUAL_CREDIT_BY_CLIENT", row["order_id"] is not None
    if type_.startswith("CANCELLATION_") or total < 0 or (commission < 0 and has_order and not by_hand):
        return "cancellation"
    if total > 0 and (has_order or not by_hand):
        return "order"
    if by_hand:
        return "manual credit"
    if not commission:
        return "empty"
    # Without a type, an order id says that it was tracked.
    return "order" if type_ or has_order else "manual credit"


def state(row: Row) -> str:
    if row["status"] == "APPROVED":
        paid = row["payment_status"] == "PAID" or row["payment_id"] is not None
        return "paid" if paid else "due"
    known = {"PENDING": "pending", "DENIED": "denied", "UNQUALIFIED": "unqualified"}
    return known.get(row["status"], "unknown")


def is_sale(row: Row) -> bool:
    return kind(row) == "order" and state(row) in SOLD


def affiliate_of(row: Row, listed: Mapping[str, str]) -> str:
    """The affiliate's id. `listed` are the ids of e-mails."""
    email = (row["affiliate__email"] or "").lower()
    return row["affiliate_id"] or row["affiliate__id"] or listed.get(email) or email or "(unknown)"


def is_net(row: Row) -> bool:
    return kind(row) in ("order", "cancellation") and state(row) in APPROVED


def original_of(row: Row, rows: Iterable[Row], listed: Mapping[str, str]) -> Row | None:
    """The order that a cancellation takes back."""
    if row["order_id"] is None:
        return None

    def likeness(order: Row) -> tuple[Any, ...]:
        return (
            affiliate_of(order, listed) != affiliate_of(row, listed),
            state(order) in ("denied", "unqualified"),
            order["total"] != -row["total"],
            order["created"] > row["created"],
            -order["created"].timestamp(),
            order["id"],
        )

    same = ("order_id", "currency")
    orders = [one for one in rows if kind(one) == "order" and all(one[name] == row[name] for name in same)]
    return min(orders, key=likeness, default=None)


def cancellations_of(rows: Collection[Row], listed: Mapping[str, str]) -> dict[str, list[Row]]:
    """Cancellations pending or approved, by the id of the order that they take back."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if kind(row) == "cancellation" and state(row) in SOLD and (order := original_of(row, rows, listed)):
            found[order["id"]].append(row)
    return found


def purchases(rows: Collection[Row], listed: Mapping[str, str], of_affiliate: bool) -> list[list[Row]]:
    """Orders that are one purchase, the one that counts first; of each affiliate apart, or of the whole programme."""
    taken_back = cancellations_of(rows, listed)
    groups: dict[Any, list[Row]] = defaultdict(list)
    last: dict[Any, tuple[datetime, int]] = {}
    for row in sorted((row for row in rows if kind(row) == "order"), key=lambda row: (row["created"], row["id"])):
        key: tuple[Any, ...] = (row["order_id"] or ("row", row["id"]), row["currency"], bool(row["is_recurring"]))
        if row["is_recurring"]:
            before, number = last.get(key, (None, 0))
            number += before is None or row["created"] - before > timedelta(hours=24)
            last[key] = (row["created"], number)
            key = (*key, number)
        groups[(*key, affiliate_of(row, listed)) if of_affiliate else key].append(row)

    def worth(row: Row) -> tuple[Any, ...]:
        rank = 0 if state(row) in APPROVED else 1 if state(row) == "pending" else 2
        left = row["total"] + sum(one["total"] for one in taken_back[row["id"]])
        cancelled = bool(taken_back[row["id"]]) and left <= 0
        return (rank, cancelled, -row["total"], row["created"], row["id"])

    return [sorted(group, key=worth) for group in groups.values()]


def counted(rows: Iterable[Row], listed: Mapping[str, str], of_affiliate: bool) -> set[str]:
    """Ids of the rows that sales count: of each purchase one order, with its own cancellations."""
    there = [row for row in rows if counts(row)]
    others = {row["id"] for group in purchases(there, listed, of_affiliate) for row in group[1:]}
    left_out = set(others)
    for row in there:
        if kind(row) == "cancellation" and (order := original_of(row, there, listed)):
            same = not of_affiliate or affiliate_of(order, listed) == affiliate_of(row, listed)
            if order["id"] in others and same:
                left_out.add(row["id"])
    return {row["id"] for row in there} - left_out


def _commission(*states: str) -> Callable[[Row], Decimal]:
    return lambda row: row["commission_total"] if state(row) in states else Decimal(0)


# What a summary may say it preserves, row by row; the names are those of measures.py.
MEASURES: dict[str, Callable[[Row], Decimal]] = {
    "rows": lambda row: Decimal(1),
    "pending": _commission("pending"),
    "due": _commission("due"),
    "paid": _commission("paid"),
    "denied": _commission("denied"),
    "unqualified": _commission("unqualified"),
    "unknown": _commission("unknown"),
    "sales": lambda row: row["total"] if is_sale(row) else Decimal(0),
    "net_sales": lambda row: row["total"] if is_net(row) else Decimal(0),
}


def added_up(rows: Iterable[Row], measure: Callable[[Row], Decimal], by: Callable[[Row], Any]) -> Figures:
    """Sums by key; keys of which nothing is left are left out."""
    sums: Figures = defaultdict(Decimal)
    for row in rows:
        if counts(row):
            sums[by(row)] += measure(row)
    return {key: amount for key, amount in sums.items() if amount}


def _scope(measure: str) -> tuple[str, str]:
    """Whose purchases a measure counts once, and the measure itself."""
    for scope in ("programme", "affiliate"):
        if measure.startswith(f"{scope}_"):
            return scope, measure.removeprefix(f"{scope}_")
    return "", measure


def assert_sums_are_preserved(
    books: WarehouseBuilder, summaries: Collection[str], rows: Collection[Row], listed: Mapping[str, str] | None = None
) -> None:
    """Each column that a header declares adds up, per currency, to what the definitions make of the raw rows."""
    listed = LISTED if listed is None else listed
    for name in summaries:
        built = books.built(name)
        for column, measure in summary_of(name).header.sums.items():
            found: Figures = defaultdict(Decimal)
            for row in built:
                found[row["currency"]] += row[column]
            scope, plain = _scope(measure)
            ids = counted(rows, listed, scope == "affiliate") if scope else None
            of = [row for row in rows if ids is None or row["id"] in ids]
            expected = added_up(of, MEASURES[plain], lambda row: row["currency"])
            assert {key: amount for key, amount in found.items() if amount} == expected, (name, column)


AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=4, allow_nan=False, allow_infinity=False)
SMALL_AMOUNTS = st.decimals(min_value=-50, max_value=200, places=2, allow_nan=False, allow_infinity=False)
MOMENTS = st.integers(0, 200 * 24 * 3600).map(lambda seconds: READ_AT - timedelta(seconds=seconds))
# Each example builds tables, so making a failing one smaller would take minutes.
FOUND_AS_IT_IS = (Phase.explicit, Phase.reuse, Phase.generate)
LISTED = {"a@example.com": "1", "b@example.com": "2"}

CONVERSIONS = st.lists(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(["PENDING", "APPROVED", "APPROVED", "DENIED", "UNQUALIFIED", "ON_HOLD", None]),
            "payment_status": st.sampled_from(["PAID", "UNPAID", None]),
            "payment_id": st.sampled_from([None, None, "900"]),
            "type": st.sampled_from(
                [
                    "AFFILIATE_SITE_CONVERSION",
                    "AFFILIATE_SITE_CONVERSION",
                    "CANCELLATION_CONVERSION_TRIGGER_SKU",
                    "MANUAL_CREDIT_BY_CLIENT",
                    None,
                ]
            ),
            "currency": st.sampled_from(["USD", "EUR"]),
            "affiliate_id": st.sampled_from(["1", "2", None]),
            "affiliate__id": st.sampled_from(["1", "3", None]),
            "affiliate__email": st.sampled_from(["a@example.com", "B@example.com", "c@example.com", None]),
            "order_id": st.sampled_from(["A", "B", "C", None]),
            "coupon_code": st.sampled_from(["Save", "SAVE", "other", " ", None]),
            "offer__id": st.sampled_from(["10", "5", None]),
            "offer__name": st.sampled_from(["Ten", None]),
            "offer__type": st.sampled_from(["PERCENT_OF_SALE", "FLAT_RATE", None]),
            "offer__amount": st.sampled_from([Decimal("10"), Decimal("12.5"), None]),
            "total": AMOUNTS | SMALL_AMOUNTS,
            "commission_total": AMOUNTS | SMALL_AMOUNTS,
            "created": MOMENTS,
            "is_recurring": st.sampled_from([False, False, True, None]),
            "is_test_conversion": st.sampled_from([False, False, True, None]),
            "vanished_at": st.sampled_from([None, None, None, READ_AT]),
        }
    ),
    max_size=20,
).map(lambda rows: [{"id": f"{at}", "read_at": READ_AT, **row} for at, row in enumerate(rows)])


def start_again(books: WarehouseBuilder, conversions: Collection[Row]) -> None:
    """Puts these conversions in the place of those there are."""
    with books.warehouse.session() as session:
        session.query("DELETE FROM refersion_data.conversions")
    books.conversions(*conversions)


def local(moment: datetime, hours: int) -> datetime:
    """A moment as clocks show it that are so many hours ahead of UTC."""
    return (moment.astimezone(UTC) + timedelta(hours=hours)).replace(tzinfo=None)
