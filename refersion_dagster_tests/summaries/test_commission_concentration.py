"""commission_concentration: shares of the first affiliates, worked out by hand."""

from typing import Any

from refersion_dagster_tests.summaries.builders import D, WarehouseBuilder, affiliate, cancellation, credit, order, paid

NAME = "commission_concentration"


def earned(number: int, commission: str, **more: Any) -> dict[str, Any]:
    """An order of affiliate `number`."""
    return order(number, "100", commission, **{"affiliate_id": f"{number}", **more})


def test_twelve_affiliates(books: WarehouseBuilder) -> None:
    """40, 10, 10, 10, 5, 5, 5, 5, 4, 3, 2, 1: 100 in all."""
    books.add("affiliates", affiliate(1, name="Ann"))
    amounts = ("40", "10", "10", "10", "5", "5", "5", "5", "4", "3", "2", "1")
    row = books.conversions(*(earned(at, amount) for at, amount in enumerate(amounts, 1))).row(NAME)
    assert row == {
        "currency": "USD",
        "affiliates": 12,
        "commission": D("100"),
        "top_affiliate_id": "1",
        "top_affiliate_name": "Ann",
        "top_1_share": D("0.4"),
        "top_5_share": D("0.75"),  # 40 + 30 + 5
        "top_10_share": D("0.97"),  # all but 2 + 1
        "affiliates_for_80_percent": 6,  # 40 + 30 + 5 + 5 is 80 exactly
        "hhi": D("0.203"),  # 0.16 + 3 x 0.01 + 4 x 0.0025 + 0.0016 + 0.0009 + 0.0004 + 0.0001
    }


def test_currencies_stand_alone_and_one_affiliate_is_everything(books: WarehouseBuilder) -> None:
    found = books.conversions(
        earned(1, "1", currency="EUR"), earned(2, "1", currency="EUR"), earned(3, "1", currency="EUR"), earned(4, "900")
    ).rows(NAME, "currency", "affiliates", "top_1_share", "top_5_share", "affiliates_for_80_percent", "hhi")
    assert [tuple(row.values()) for row in found] == [
        ("EUR", 3, D("0.333333"), D("1"), 3, D("0.333333")),  # two make 66.7 % only
        ("USD", 1, D("1"), D("1"), 1, D("1")),
    ]


def test_commission_is_pending_due_or_paid_with_credits_and_less_cancellations(books: WarehouseBuilder) -> None:
    row = books.conversions(
        earned(1, "10", status="PENDING"),
        credit(2, "5", affiliate_id="1"),
        paid(3, "100", "20", affiliate_id="3"),
        cancellation(4, 3, "-100", "-15", affiliate_id="3"),
        earned(5, "500", status="DENIED"),
        earned(6, "500", is_test_conversion=True),
    ).row(NAME, "affiliates", "commission", "top_affiliate_id", "top_1_share", "hhi")
    # 15 and 5: 0.75 and 0.25; 0.5625 + 0.0625
    assert tuple(row.values()) == (2, D("20"), "1", D("0.75"), D("0.625"))


def test_affiliates_that_come_to_nothing_or_less_are_left_out(books: WarehouseBuilder) -> None:
    row = books.conversions(earned(1, "6"), earned(2, "4"), credit(3, "-9", affiliate_id="3"), earned(4, "0")).row(
        NAME, "affiliates", "commission", "top_1_share", "affiliates_for_80_percent", "hhi"
    )
    assert tuple(row.values()) == (2, D("10"), D("0.6"), 2, D("0.52"))


def test_the_first_of_equal_ones_is_always_the_same(books: WarehouseBuilder) -> None:
    row = books.conversions(
        earned(3, "5", affiliate__name="Cy"), earned(2, "5", affiliate__name="Bo"), earned(4, "1")
    ).row(NAME, "top_affiliate_id", "top_affiliate_name")
    assert tuple(row.values()) == ("2", "Bo")


def test_without_commission_there_is_no_row(books: WarehouseBuilder) -> None:
    assert books.conversions(credit(1, "-5"), order(2, "10", "0")).rows(NAME) == []
