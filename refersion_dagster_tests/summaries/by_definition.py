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

from refersion_dagster_tests.summaries.hand_made import READ_AT, Books, Row, summary_of

Figures = dict[Any, Decimal]
SOLD = ("pending", "due", "paid")
APPROVED = ("due", "paid")


def counts(row: Row) -> bool:
    return not row["is_test_conversion"] and row.get("vanished_at") is None


def kind(row: Row) -> str:
    type_, total, commission = row["type"] or "", row["total"], row["commission_total"]
    if type_.startswith("CANCELLATION_"):
        return "cancellation"
    if type_ == "MANUAL_CREDIT_BY_CLIENT":
        return "manual credit"
    if total < 0 or (commission < 0 and row["order_id"] is not None):
        return "cancellation"
    if total > 0:
        return "order"
    return "manual credit" if commission else "empty"


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


def assert_sums_are_preserved(books: Books, summaries: Collection[str], rows: Collection[Row]) -> None:
    """Each column that a header declares adds up, per currency, to what the definitions make of the raw rows."""
    for name in summaries:
        built = books.built(name)
        for column, measure in summary_of(name).header.sums.items():
            found: Figures = defaultdict(Decimal)
            for row in built:
                found[row["currency"]] += row[column]
            expected = added_up(rows, MEASURES[measure], lambda row: row["currency"])
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
            "is_test_conversion": st.sampled_from([False, False, True, None]),
            "vanished_at": st.sampled_from([None, None, None, READ_AT]),
        }
    ),
    max_size=20,
).map(lambda rows: [{"id": f"{at}", "read_at": READ_AT, **row} for at, row in enumerate(rows)])


def start_again(books: Books, conversions: Collection[Row]) -> None:
    """Puts these conversions in the place of those there are."""
    with books.warehouse.session() as session:
        session.query("DELETE FROM refersion_data.conversions")
    books.conversions(*conversions)


def local(moment: datetime, hours: int) -> datetime:
    """A moment as clocks show it that are so many hours ahead of UTC."""
    return (moment.astimezone(UTC) + timedelta(hours=hours)).replace(tzinfo=None)
