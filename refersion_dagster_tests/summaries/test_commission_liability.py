"""What is owed to whom, and since when, worked out by hand."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    D,
    Row,
    WarehouseBuilder,
    affiliate,
    cancellation,
    credit,
    day,
    history,
    order,
    paid,
    payment,
)
from refersion_dagster_tests.summaries.definitions import (
    CONVERSIONS,
    FOUND_AS_IT_IS,
    LISTED,
    affiliate_of,
    assert_sums_are_preserved,
    counts,
    kind,
    start_again,
    state,
)

NAME = "commission_liability"
NO_WAY = "no PayPal e-mail and no other way to be paid known"
BUCKETS = ("due_0_30_days", "due_31_60_days", "due_61_90_days", "due_over_90_days")


def buckets(row: Row) -> tuple[Decimal, ...]:
    return tuple(row[name] for name in BUCKETS)


def blocked(books: WarehouseBuilder) -> dict[tuple[str, str], str | None]:
    return {(row["affiliate_id"], row["currency"]): row["block_reason"] for row in books.rows(NAME)}


def test_every_column_of_an_affiliate(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1, paypal_email=None), affiliate(2))
    row = books.conversions(
        order(1, "100", "10", updated=day(20)),
        order(2, "200", "20", created=day(1, 1), updated=day(1, 2)),
        cancellation(3, 9, "-50", "-5", updated=day(10)),
        credit(4, "7", created=day(1, 1)),
        paid(5, "300", "30"),
        order(6, "400", "40", "DENIED"),
        order(7, "500", "50", "PENDING"),
        credit(8, "3", status="PENDING"),
        order(9, "600", "60", is_test_conversion=True),
        order(10, "700", "70", vanished_at=day(30)),
        order(11, "800", "80", "UNQUALIFIED"),
        order(12, "900", "90", "ON_HOLD"),
    ).row(NAME)
    assert row == {
        "affiliate_id": "1",
        "affiliate_name": "Affiliate 1",
        "affiliate_email": "affiliate1@example.com",
        "affiliate_status": "ACTIVE",
        "currency": "USD",
        "due": D("32"),  # 10 + 20 - 5 + 7
        "due_0_30_days": D("10"),  # 12 days old
        "due_31_60_days": D("20"),  # February 1 to April 1 are 59 days
        "due_61_90_days": D("7"),  # January 1 to April 1 are 90
        "due_over_90_days": D("0"),
        "credits_not_set_off": D("-5"),
        "due_conversions": 4,
        "oldest_unpaid_at": day(1, 1),
        "oldest_unpaid_days": 90,
        "pending": D("53"),  # 50 + 3
        "pending_conversions": 2,
        # (10 + 20 + 30) of (10 + 20 + 30 + 40), the programme's too; neither credits nor what is unqualified count.
        "approval_rate": D("0.6"),
        "decided_orders": 4,
        "approval_rate_of": "affiliate and programme",
        "accrued": D("63.8"),  # 32 + 53 x 0.6
        "accrued_if_none_approved": D("32"),
        "accrued_if_all_approved": D("85"),
        "minimum_payout": D("0"),
        "payment_method": None,
        "due_paid_before": D("0"),
        "paid_before_by": None,
        "block_reason": "no PayPal e-mail and no other way to be paid known",
        "not_known": None,
    }


@pytest.mark.parametrize(
    ("days", "bucket"),
    limit_cases(
        [
            (-3, "due_0_30_days"),  # dated after the last reading
            (0, "due_0_30_days"),
            (30, "due_0_30_days"),
            (31, "due_31_60_days"),
            (60, "due_31_60_days"),
            (61, "due_61_90_days"),
            (90, "due_61_90_days"),
            (91, "due_over_90_days"),
            (5000, "due_over_90_days"),
        ],
        4,
    ),
)
def test_age_begins_with_the_approval(books: WarehouseBuilder, days: int, bucket: str) -> None:
    approved = READ_AT - timedelta(days=days)
    row = books.conversions(order(1, "10", "4", created=approved)).row(NAME)
    assert dict(zip(BUCKETS, buckets(row), strict=True)) == {**dict.fromkeys(BUCKETS, D("0")), bucket: D("4")}
    assert (row["oldest_unpaid_at"], row["oldest_unpaid_days"]) == (approved, max(days, 0))


def test_approval_is_known_from_history_else_from_the_last_change_else_from_the_order(books: WarehouseBuilder) -> None:
    books.add(
        "conversion_history",
        history(1, day(1, 1), "new", "PENDING"),
        history(1, day(20, 2), "changed", "APPROVED"),
    )
    row = books.conversions(
        # Seen approved on February 20, 40 days ago, whenever it was changed later.
        order(1, "10", "1", created=day(1, 1), updated=day(30)),
        # Changed on January 20, 71 days ago.
        order(2, "10", "2", created=day(1, 1), updated=day(20, 1)),
        # Made in 2024.
        order(3, "10", "4", created=datetime.fromisoformat("2024-12-01T00:00:00+00:00")),
    ).row(NAME)
    assert buckets(row) == (D("0"), D("1"), D("2"), D("4"))


@pytest.mark.parametrize(
    ("zone", "approved", "days"),
    limit_cases(
        [
            # The last reading is at noon of April 1 in UTC.
            ("UTC", "2025-03-01T23:59:59+00:00", 31),
            ("UTC", "2025-03-02T00:00:00+00:00", 30),
            # Midnight in New York was at 5 before clocks went on, so that 30 days are an hour less.
            ("America/New_York", "2025-03-02T04:59:59+00:00", 31),
            ("America/New_York", "2025-03-02T05:00:00+00:00", 30),
            # It is April 2 on Kiritimati, 14 hours ahead.
            ("Pacific/Kiritimati", "2025-03-02T09:59:59+00:00", 31),
            ("Pacific/Kiritimati", "2025-03-02T10:00:00+00:00", 30),
        ],
        2,
    ),
)
def test_days_are_those_of_the_reporting_time_zone(database: Path, zone: str, approved: str, days: int) -> None:
    books = WarehouseBuilder(database, report_timezone=zone)
    row = books.conversions(order(1, "10", "1", created=datetime.fromisoformat(approved))).row(NAME)
    assert row["oldest_unpaid_days"] == days
    assert (row["due_0_30_days"], row["due_31_60_days"]) == ((D("1"), D("0")) if days <= 30 else (D("0"), D("1")))


def test_credits_stand_apart_until_they_are_set_off_and_no_age_is_negative(books: WarehouseBuilder) -> None:
    row = books.conversions(
        order(1, "100", "10", created=day(1, 1)),
        cancellation(2, 1, "-100", "-10", created=day(25)),
        credit(3, "-3", created=day(15, 2)),
    ).row(NAME)
    assert buckets(row) == (D("0"), D("0"), D("10"), D("0"))
    assert row["credits_not_set_off"] == D("-13")
    assert (row["due"], row["oldest_unpaid_days"]) == (D("-3"), 90)


def test_the_oldest_is_none_where_nothing_due_is_above_zero(books: WarehouseBuilder) -> None:
    rows = books.conversions(
        order(1, "10", "1", "PENDING"),
        cancellation(2, 9, "-10", "-1", currency="EUR"),
        order(3, "10", "0", currency="JPY"),
    ).rows(NAME, "currency", "oldest_unpaid_at", "oldest_unpaid_days")
    assert [tuple(row.values()) for row in rows] == [("EUR", None, None), ("JPY", None, None), ("USD", None, None)]


def test_approval_rate_is_weighed_by_how_much_was_decided(database: Path) -> None:
    books = WarehouseBuilder(database, credibility_orders="2")
    rows = books.conversions(
        # USD: affiliate 1 has 30 of 40 approved, affiliate 2 has 0 of 60: the programme has 30 of 100.
        paid(1, "10", "30"),
        order(2, "10", "10", "DENIED"),
        order(3, "10", "100", "PENDING"),
        order(4, "10", "60", "DENIED", affiliate_id="2"),
        order(5, "10", "100", "PENDING", affiliate_id="2"),
        order(6, "10", "100", "PENDING", affiliate_id="3"),
        # Never pending: Refersion sets it on arrival.
        order(11, "10", "500", "UNQUALIFIED", affiliate_id="2"),
        # EUR: nothing was decided, whatever was in USD.
        order(7, "10", "100", "PENDING", currency="EUR"),
        # Neither a cancellation nor a credit, nor an order without commission, decides anything.
        cancellation(8, 9, "-10", "-5", affiliate_id="3"),
        credit(9, "5", affiliate_id="3"),
        order(10, "10", "0", "DENIED", affiliate_id="3"),
    ).rows(
        NAME, "currency", "affiliate_id", "approval_rate", "decided_orders", "approval_rate_of", "accrued", order="1, 2"
    )
    both = "affiliate and programme"
    assert [tuple(row.values()) for row in rows] == [
        ("EUR", "1", None, 0, "nobody", D("100")),  # no rate: all of it
        ("USD", "1", D("0.525"), 2, both, D("52.5")),  # 2 decided, as many as the programme: (0.75 + 0.3) / 2
        ("USD", "2", D("0.2"), 1, both, D("20")),  # 1 of 3 parts its own: (1 x 0 + 2 x 0.3) / 3
        ("USD", "3", D("0.3"), 0, "programme", D("30")),  # 0 due + 100 x 0.3
    ]


def test_only_who_has_something_due_or_pending_has_a_row(books: WarehouseBuilder) -> None:
    rows = books.conversions(
        paid(1, "10", "1"),
        order(2, "10", "1", "DENIED", affiliate_id="2"),
        order(3, "10", "1", "PENDING", affiliate_id="3"),
        # Due, even if it comes to nothing.
        order(4, "10", "5", affiliate_id="4"),
        cancellation(5, 4, "-10", "-5", affiliate_id="4"),
        order(6, "10", "1", affiliate_id="5", is_test_conversion=True),
        order(7, "10", "1", affiliate_id="6", vanished_at=day(30)),
    ).rows(NAME, "affiliate_id", "due")
    assert [tuple(row.values()) for row in rows] == [("3", D("0")), ("4", D("0"))]


def test_who_cannot_be_paid_and_why(database: Path) -> None:
    books = WarehouseBuilder(database, minimum_payout="USD=50,EUR=0.0001")
    books.add("affiliates", affiliate(1), affiliate(2, paypal_email=" "), affiliate(3))
    books.conversions(
        order(1, "10", "50"),
        order(2, "10", "0.0001", currency="EUR"),
        order(3, "10", "49.9999", affiliate_id="2"),
        order(4, "10", "1000", affiliate_id="2", currency="JPY"),
        order(5, "10", "1", "PENDING", affiliate_id="2", currency="EUR"),
        cancellation(6, 9, "-10", "-60", affiliate_id="3"),
        order(7, "10", "4", affiliate_id="3", currency="EUR"),
        credit(8, "-4", affiliate_id="3", currency="EUR"),
        order(9, "10", "70", affiliate_id="4"),
        order(10, "10", "1", "PENDING", affiliate_id="1", currency="JPY"),
        order(11, "10", "70", affiliate_id=None),
    )
    assert blocked(books) == {
        ("1", "USD"): None,  # the minimum is reached
        ("1", "EUR"): None,
        ("1", "JPY"): None,
        ("2", "USD"): f"below the minimum payout; {NO_WAY}",
        ("2", "JPY"): NO_WAY,  # no minimum in this currency
        ("2", "EUR"): NO_WAY,
        ("3", "USD"): "negative balance",  # no lack of 110 to the minimum
        ("3", "EUR"): "balance of zero",
        ("4", "USD"): "affiliate not listed by Refersion",
        ("(unknown)", "USD"): "affiliate not listed by Refersion",
    }


def test_a_paypal_email_that_the_account_shows_of_nobody_is_not_said_to_be_missing(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1, paypal_email=None))
    row = books.conversions(order(1, "10", "1")).row(NAME)
    assert (row["block_reason"], row["not_known"]) == (None, "PayPal e-mail not shown by Refersion")


def test_a_paypal_email_matters_where_paypal_is_how_they_are_paid(books: WarehouseBuilder) -> None:
    books.add("affiliates", *(affiliate(number, paypal_email=None) for number in (1, 2, 3)), affiliate(4))
    methods = [(900, 1, "PAYPAL", 1), (901, 1, "TROLLEY", 2), (902, 2, "PAYPAL", 1), (903, 4, " ", 1)]
    books.add(
        "payments",
        *(
            payment(id_, "1", 1, affiliate__id=f"{whose}", payment_method=method, created=day(at))
            for id_, whose, method, at in methods
        ),
    )
    books.conversions(*(order(number, "10", "1", affiliate_id=f"{number}") for number in (1, 2, 3, 4)))
    found = books.rows(NAME, "affiliate_id", "payment_method", "block_reason")
    assert [tuple(row.values()) for row in found] == [
        ("1", "TROLLEY", None),  # the last time
        ("2", "PAYPAL", "no PayPal e-mail"),
        ("3", None, NO_WAY),  # never paid, and others are paid in two ways
        ("4", None, None),  # there is a PayPal e-mail
    ]


@pytest.mark.parametrize(("method", "block_reason"), [("PAYPAL", "no PayPal e-mail"), ("GIFT_CARD", None)])
def test_who_was_never_paid_is_paid_as_all_others_are(
    books: WarehouseBuilder, method: str, block_reason: str | None
) -> None:
    books.add("affiliates", affiliate(1, paypal_email=None), affiliate(2))
    books.add("payments", payment(900, "1", 1, affiliate__id="2", payment_method=method))
    row = books.conversions(order(1, "10", "1")).row(NAME, "payment_method", "block_reason", "not_known")
    assert tuple(row.values()) == (method, block_reason, None)


def test_an_affiliate_that_is_gone_is_not_payable_as_if_listed(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1, vanished_at=day(31)), affiliate(2, vanished_at=day(31)), affiliate(3))
    books.add("affiliate_list", {"id": "code2", "status": "ACTIVE"})
    rows = books.conversions(*(order(number, "10", "1", affiliate_id=f"{number}") for number in (1, 2, 3))).rows(NAME)
    assert [(row["affiliate_status"], row["block_reason"]) for row in rows] == [
        (None, "affiliate no longer in Refersion"),
        ("ACTIVE", None),  # the list still shows it
        ("ACTIVE", None),
    ]


def test_the_most_is_owed_first(books: WarehouseBuilder) -> None:
    books.conversions(
        order(1, "10", "5"),
        order(2, "10", "7", affiliate_id="2"),
        order(3, "10", "9", "PENDING", affiliate_id="3"),
        order(4, "10", "5", affiliate_id="0"),
    ).build(NAME)
    assert [row["affiliate_id"] for row in books.built(NAME, order="rowid")] == ["2", "0", "1", "3"]


def test_an_empty_account_owes_nothing(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []


def test_amounts_of_four_decimals_and_many_digits_stay_exact(books: WarehouseBuilder) -> None:
    row = books.conversions(
        order(1, "10", "99999999999999.9999"),
        order(2, "10", "99999999999999.9999"),
        order(3, "10", "99999999999999.9999", "PENDING"),
        order(4, "10", "0.0001", "PENDING"),
    ).row(NAME)
    assert (row["due"], row["pending"]) == (D("199999999999999.9998"), D("100000000000000"))
    # All that was decided was approved.
    assert (row["approval_rate"], row["accrued"]) == (D("1"), D("299999999999999.9998"))


@pytest.fixture(scope="module")
def any_books(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseBuilder]:
    """Two affiliates are listed, by the e-mails of LISTED."""
    database = Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("any")))
    books = WarehouseBuilder(database, minimum_payout="50")
    books.add("affiliates", *(affiliate(int(number), email=email) for email, number in LISTED.items()))
    with books.warehouse.write_lock(print):
        yield books


@pytest.mark.exhaustive
@given(conversions=CONVERSIONS)
@settings(max_examples=15, phases=FOUND_AS_IT_IS, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_rows(any_books: WarehouseBuilder, conversions: list[dict[str, Any]]) -> None:
    start_again(any_books, conversions)
    any_books.build(NAME, "payout_preview")
    assert_sums_are_preserved(any_books, [NAME, "payout_preview"], conversions)
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in filter(counts, conversions):
        groups[affiliate_of(row, LISTED), row["currency"]].append(row)
    built = {(row["affiliate_id"], row["currency"]): row for row in any_books.built(NAME)}
    assert built.keys() == {key for key, rows in groups.items() if {"due", "pending"} & set(map(state, rows))}
    for key, found in built.items():
        # No reading shows when they were changed, so that they are as old as the order.
        ages = dict.fromkeys((*BUCKETS, "credits"), D("0"))
        for row in groups[key]:
            if state(row) == "due":
                days = (READ_AT.date() - row["created"].date()).days
                age = BUCKETS[min(max(days - 1, 0) // 30, 3)] if row["commission_total"] > 0 else "credits"
                ages[age] += row["commission_total"]
        assert dict(zip(BUCKETS, buckets(found), strict=True)) == {name: ages[name] for name in BUCKETS}
        assert found["credits_not_set_off"] == ages["credits"]
        assert found["due"] == sum(ages.values())
        own, orders = share_approved(groups[key])
        of_all, _ = share_approved(
            [row for (_, currency), rows in groups.items() if currency == key[1] for row in rows]
        )
        assert found["decided_orders"] == orders
        rate = None if of_all is None else ((own or 0) * orders + of_all * 20) / (orders + 20)
        if rate is None:
            assert found["approval_rate"] is None
            assert found["accrued"] == found["due"] + found["pending"]
        else:
            assert abs(found["approval_rate"] - rate) <= D("0.000001")
            expected = found["due"] + found["pending"] * found["approval_rate"]
            assert found["accrued"] == expected.quantize(D("0.0001"), ROUND_HALF_UP)


def share_approved(rows: list[Row]) -> tuple[Decimal | None, int]:
    """Of orders with commission that were decided after they had been pending: by commission, and their number."""
    decided = [
        row
        for row in rows
        if kind(row) == "order" and row["commission_total"] > 0 and state(row) in ("due", "paid", "denied")
    ]
    value: dict[str, Decimal] = defaultdict(Decimal)
    for row in decided:
        value[state(row)] += row["commission_total"]
    approved = value["due"] + value["paid"]
    return (approved / (approved + value["denied"]) if decided else None), len(decided)
