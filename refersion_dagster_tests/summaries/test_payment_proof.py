"""Payments against the conversions they paid, worked out by hand."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from refersion_dagster_tests.summaries.builders import (
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
    assert_sums_are_preserved,
    start_again,
)

NAME = "payment_proof"
DIFFERENCES = ("proof", "commission_difference", "conversions_difference", "remark")


def differences(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in DIFFERENCES)


def proofs(books: WarehouseBuilder) -> dict[tuple[str, str], str]:
    return {(row["payment_id"], row["currency"]): row["proof"] for row in books.rows(NAME)}


def test_every_column_of_a_payment_that_agrees(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1))
    books.add("payments", payment(900, "12", 3))
    row = books.conversions(
        paid(1, "100", "10"),
        # A cancellation and a credit are rows of a payment as orders are.
        paid(2, "-40", "-4", type="CANCELLATION_AFFILIATE_SITE_CONVERSION"),
        paid(3, "0", "6", type="MANUAL_CREDIT_BY_CLIENT", order_id=None),
        order(4, "10", "100"),
        order(5, "10", "100", "PENDING"),
    ).row(NAME)
    assert row == {
        "payment_id": "900",
        "currency": "USD",
        "affiliate_id": "1",
        "affiliate_name": "Affiliate 1",
        "paid_at": day(30),
        "paid_month": date(2025, 3, 1),
        "proof": "agrees",
        "amount": D("12"),
        "conversions_commission": D("12"),  # 10 - 4 + 6
        "commission_difference": D("0"),
        "conversions_paid": 3,
        "conversions_named": 3,
        "conversions_difference": 0,
        "commission_paid": D("12"),
        "conversions_left": 0,
        "commission_left": D("0"),
        "conversions_vanished": 0,
        "conversions_denied": 0,
        "test_conversions": 0,
        "remark": None,
    }


@pytest.mark.parametrize(
    ("amount", "conversions", "expected"),
    [
        ("10", 1, ("agrees", D("0"), 0, None)),
        ("10", None, ("agrees", D("0"), None, None)),
        ("10.0001", 1, ("differs", D("0.0001"), 0, None)),
        ("9.99", 1, ("differs", D("-0.01"), 0, None)),
        ("10.01", None, ("differs", D("0.01"), None, None)),
        # More conversions than were paid are all loaded.
        ("10", 0, ("differs", D("0"), -1, None)),
        # Fewer are not, even where what is missing comes to nothing.
        ("10", 2, ("rows from before the first load", D("0"), 1, None)),
        ("14", 2, ("rows from before the first load", D("4"), 1, None)),
    ],
)
def test_amount_and_number_have_to_agree(
    books: WarehouseBuilder, amount: str, conversions: int | None, expected: tuple[Any, ...]
) -> None:
    books.add("payments", payment(900, amount, 1) | {"total_conversions": conversions})
    assert differences(books.conversions(paid(1, "100", "10")).row(NAME)) == expected


def test_what_vanished_or_was_denied_since_counts_as_it_was_paid_and_tests_do_not(books: WarehouseBuilder) -> None:
    books.add("payments", payment(900, "15", 4))
    row = books.conversions(
        paid(1, "10", "1"),
        paid(2, "10", "2", vanished_at=day(31)),
        paid(3, "10", "4", status="DENIED"),
        paid(4, "10", "8", status="DENIED", vanished_at=day(31)),
        paid(5, "10", "16", is_test_conversion=True),
        paid(6, "10", "32", is_test_conversion=True, status="DENIED", vanished_at=day(31)),
    ).row(NAME)
    assert differences(row) == (
        *("agrees", D("0"), 0),  # 1 + 2 + 4 + 8
        "2 vanished from Refersion since; 2 not approved any more; 2 tests name it and are left out",
    )
    assert (row["conversions_vanished"], row["conversions_denied"], row["test_conversions"]) == (2, 2, 2)
    # Of which 1 is paid today.
    assert row["commission_paid"] == D("1")


def test_a_payment_whose_rows_left_it_is_taken_back_and_one_that_is_gone_is_no_payment(books: WarehouseBuilder) -> None:
    books.add("affiliates", affiliate(1), affiliate(2))
    books.add(
        "payments",
        payment(900, "10", 1),
        payment(901, "5", 1, vanished_at=day(31), affiliate__id="2"),
        payment(902, "7", 2),
        payment(903, "3", 1),
    )
    shown = [("1", "900"), ("2", "901"), ("3", "902"), ("4", "902"), ("5", "903")]
    books.add(
        "conversion_history",
        *(
            history(int(id_), day(30, hour=13), "new", "APPROVED", payment_status="PAID", payment_id=by)
            for id_, by in shown
        ),
        *(history(number, day(31, hour=13), "changed", "APPROVED") for number in (1, 2, 4)),
    )
    books.conversions(
        order(1, "10", "10"),
        order(2, "10", "5", affiliate_id="2"),
        paid(3, "10", "4", payment_id="902"),
        order(4, "10", "3"),
        # Entered again under another id: the row is paid, once.
        paid(5, "10", "3", payment_id="904"),
    )
    books.add("payments", payment(904, "3", 1))
    left = ("proof", "amount", "conversions_left", "commission_left")
    assert {row["payment_id"]: tuple(row[name] for name in left) for row in books.rows(NAME)} == {
        "900": ("taken back", D("10"), 1, D("10")),
        "901": ("gone", D("0"), 1, D("5")),
        "902": ("taken back", D("7"), 1, D("3")),
        "903": ("taken back", D("3"), 1, D("3")),
        "904": ("agrees", D("3"), 0, D("0")),
    }
    assert [row["payment_id"] for row in books.rows("payments")] == ["900", "902", "903", "904"]
    # What is due again is named with the payment that paid it once.
    found = books.rows("payments_taken_back", "conversion_id", "payment_id", "payment_is", "seen_taken_back_at")
    assert [tuple(row.values()) for row in found] == [
        ("1", "900", "there", day(31, hour=13)),
        ("2", "901", "gone", day(31, hour=13)),
        ("4", "902", "there", day(31, hour=13)),
    ]


def test_rows_are_not_loaded_only_where_no_unpaid_one_can_be_missing_from_the_payment(books: WarehouseBuilder) -> None:
    names = ("900", "901", "902", "903", "904")
    books.add("payments", *(payment(int(name), "10", 2, affiliate__id=name) for name in names))
    before, after = day(29), day(31)
    books.conversions(
        *(paid(at, "10", "4", payment_id=name, affiliate_id=name) for at, name in enumerate(names, start=1)),
        # 900 and 903: a conversion was last read before the payment of March 30, so it may be paid meanwhile.
        order(6, "10", "6", affiliate_id="900", read_at=before),
        order(7, "10", "6", affiliate_id="900", read_at=after),
        order(8, "10", "6", affiliate_id="901", read_at=after),
        # In another currency it cannot be part of it.
        order(9, "10", "6", affiliate_id="902", currency="EUR", read_at=before),
        order(10, "10", "6", "PENDING", affiliate_id="903", read_at=before),
        order(11, "10", "6", "DENIED", affiliate_id="904", read_at=before),
    )
    old = "unpaid conversions of the affiliate were last read before the payment: read them again"
    assert [differences(row) for row in books.rows(NAME)] == [
        ("differs", D("6"), 1, old),
        ("rows from before the first load", D("6"), 1, None),
        ("rows from before the first load", D("6"), 1, None),
        ("differs", D("6"), 1, old),
        ("rows from before the first load", D("6"), 1, None),
    ]


def test_an_unpaid_row_of_anybody_may_belong_to_a_payment_of_nobody_known(books: WarehouseBuilder) -> None:
    books.add("payments", payment(900, "10", 1, affiliate__id=None), payment(901, "10", 1, affiliate__id=None))
    books.conversions(
        paid(1, "10", "4", payment_id="901"),
        order(2, "10", "6", affiliate_id="7", read_at=day(29)),
        order(3, "10", "6", affiliate_id="8"),
    )
    # 901 differs in its amount alone, and goes to affiliate 1, whose conversion it paid.
    found = {row["payment_id"]: (row["affiliate_id"], *differences(row)[:3]) for row in books.rows(NAME)}
    assert found == {"900": ("(unknown)", "differs", D("10"), 1), "901": ("1", "differs", D("6"), 0)}


def test_what_has_no_payment_of_its_own_has_a_row(books: WarehouseBuilder) -> None:
    books.add("payments", payment(900, "1", 1))
    rows = books.conversions(
        paid(1, "10", "1"),
        paid(2, "10", "2", payment_id="901"),
        paid(3, "10", "4", payment_id=None, payment__id="901"),
        paid(4, "10", "8", payment_id=None),
        order(5, "10", "16", payment__created=day(30)),
        paid(6, "10", "32", payment_id=None, currency="EUR"),
        # Not paid as things are, and no payment names them.
        paid(7, "10", "64", payment_id=None, status="DENIED"),
        paid(8, "10", "128", payment_id=None, vanished_at=day(31)),
        paid(9, "10", "256", payment_id=None, is_test_conversion=True),
    ).rows(NAME)
    names = ("payment_id", "currency", "proof", "amount", "conversions_commission", "conversions_named")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("(none)", "EUR", "no payment named", D("0"), D("32"), 1),
        ("(none)", "USD", "no payment named", D("0"), D("24"), 2),  # 8 + 16
        ("900", "USD", "agrees", D("1"), D("1"), 1),
        ("901", "USD", "payment not loaded", D("0"), D("6"), 2),  # 2 + 4
    ]
    unnamed = ("affiliate_id", "paid_at", "paid_month", "conversions_paid", "conversions_difference")
    assert [rows[3][name] for name in unnamed] == [None] * 5
    assert [row["commission_difference"] for row in rows] == [D("-32"), D("-24"), D("0"), D("-6")]
    assert sum(row["commission_paid"] for row in rows if row["currency"] == "USD") == D("31")


def test_a_payment_that_is_not_there_and_that_only_tests_name_is_none(books: WarehouseBuilder) -> None:
    assert books.conversions(paid(1, "10", "1", is_test_conversion=True)).rows(NAME) == []


def test_where_no_conversion_names_any_payment_nothing_can_be_proven(books: WarehouseBuilder) -> None:
    books.add("payments", payment(900, "10", 1), payment(901, "0", 0))
    books.conversions(
        paid(1, "100", "10", payment_id=None),
        # What a test names says nothing.
        paid(2, "100", "10", is_test_conversion=True),
    )
    assert proofs(books) == {
        ("(none)", "USD"): "no payment named",
        ("900", "USD"): "no rows named",
        ("901", "USD"): "agrees",
    }


def test_a_conversion_in_another_currency_is_not_added_up_and_not_missing(books: WarehouseBuilder) -> None:
    books.add("payments", payment(900, "30", 2), payment(901, "10", 1))
    rows = books.conversions(
        paid(1, "100", "10"),
        paid(2, "200", "20", currency="EUR"),
        paid(3, "100", "10", payment_id="901"),
    ).rows(NAME)
    assert [(row["payment_id"], row["currency"], *differences(row)) for row in rows] == [
        ("900", "EUR", "differs", D("-20"), None, "the payment is in another currency"),
        ("900", "USD", "differs", D("20"), 1, "conversions in another currency name it"),
        ("901", "USD", "agrees", D("0"), 0, None),
    ]
    # A test in another currency changes nothing.
    books.conversions(paid(4, "100", "10", payment_id="901", currency="EUR", is_test_conversion=True))
    assert proofs(books)["901", "USD"] == "agrees"
    assert ("901", "EUR") not in proofs(books)


def test_a_payment_without_conversions_of_its_own_is_told_from_one_whose_are_not_loaded(
    books: WarehouseBuilder,
) -> None:
    books.add("payments", payment(900, "1", 1), payment(901, "5", 0), payment(902, "0", 0), payment(903, "5", 1))
    books.conversions(paid(1, "10", "1"))
    assert proofs(books) == {
        ("900", "USD"): "agrees",
        ("901", "USD"): "differs",  # 5 for no conversion
        ("902", "USD"): "agrees",
        ("903", "USD"): "rows from before the first load",
    }


def test_months_are_those_of_the_reporting_time_zone(database: Path) -> None:
    books = WarehouseBuilder(database, report_timezone="America/New_York")
    # Midnight in New York is 4 o'clock in UTC, once clocks went on.
    moments = [datetime(2025, 4, 1, 3, 59, 59, tzinfo=UTC), datetime(2025, 4, 1, 4, tzinfo=UTC)]
    books.add("payments", *(payment(at, "1", 1, created=moment) for at, moment in enumerate(moments)))
    assert [row["paid_month"] for row in books.rows(NAME)] == [date(2025, 3, 1), date(2025, 4, 1)]


def test_what_does_not_agree_comes_first_and_the_latest_before_the_rest(books: WarehouseBuilder) -> None:
    books.add(
        "payments",
        *(payment(900 + at, amount, 1, created=day(at)) for at, amount in [(1, "1"), (2, "9"), (3, "1"), (4, "9")]),
    )
    books.conversions(*(paid(at, "10", "1", payment_id=f"{900 + at}") for at in (1, 2, 3, 4, 5))).build(NAME)
    assert [row["payment_id"] for row in books.built(NAME, order="rowid")] == ["904", "902", "905", "903", "901"]


def test_an_empty_account_has_nothing_to_prove(books: WarehouseBuilder) -> None:
    assert books.rows(NAME) == []


def test_amounts_of_four_decimals_and_many_digits_stay_exact(books: WarehouseBuilder) -> None:
    books.add("payments", payment(900, "99999999999999.9999", 2))
    row = books.conversions(paid(1, "10", "99999999999999.9999"), paid(2, "10", "0.0001")).row(NAME)
    assert differences(row) == ("differs", D("-0.0001"), 0, None)
    credited = books.conversions(credit(3, "-0.0001", payment_id="900")).row(NAME)
    assert differences(credited) == ("differs", D("0"), -1, None)
    # A cancellation that no payment names is due, not paid.
    unnamed = books.conversions(cancellation(4, 1, "-10", "-1")).row(NAME)
    assert unnamed["conversions_named"] == 3


@pytest.fixture(scope="module")
def any_books(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseBuilder]:
    """One payment in USD is loaded, the one that conversions of CONVERSIONS name."""
    books = WarehouseBuilder(Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("any"))))
    books.add("payments", payment(900, "100", 2))
    with books.warehouse.write_lock(print):
        yield books


@pytest.mark.exhaustive
@given(conversions=CONVERSIONS)
@settings(max_examples=15, phases=FOUND_AS_IT_IS, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_rows(any_books: WarehouseBuilder, conversions: list[dict[str, Any]]) -> None:
    start_again(any_books, conversions)
    any_books.build(NAME)
    assert_sums_are_preserved(any_books, [NAME], conversions)
    expected: dict[tuple[str, str], list[Decimal]] = defaultdict(list, {("900", "USD"): []})
    for row in conversions:
        if row["is_test_conversion"]:
            continue
        if row["payment_id"]:
            expected[row["payment_id"], row["currency"]].append(row["commission_total"])
        elif row["payment_status"] == "PAID" and row["status"] == "APPROVED" and row["vanished_at"] is None:
            expected["(none)", row["currency"]].append(row["commission_total"])
    built = {(row["payment_id"], row["currency"]): row for row in any_books.built(NAME)}
    assert built.keys() == expected.keys()
    for key, commissions in expected.items():
        found = built[key]
        assert (found["conversions_commission"], found["conversions_named"]) == (sum(commissions), len(commissions))
        assert found["commission_difference"] == found["amount"] - sum(commissions)
        agrees = key == ("900", "USD") and sum(commissions) == 100 and len(commissions) == 2
        assert (found["proof"] == "agrees") is agrees
