"""proof_coverage: what is proven by totals, by payments and by nothing, worked out by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from refersion_dagster.report.commissions.proof import Coverage
from refersion_dagster_tests.summaries.builders import READ_AT, D, WarehouseBuilder, order, paid, payment, totals

MARCH = datetime(2025, 3, 1, tzinfo=UTC)
AMOUNTS = ("currency", "commission", "proven_by_totals", "proven_by_payments", "not_proven")


def test_each_row_is_proven_by_totals_else_by_its_payment_else_by_nothing(books: WarehouseBuilder) -> None:
    books.conversions(
        order(1, "100", "10", read_at=READ_AT - timedelta(days=3)),
        order(2, "-20", "-2"),
        order(3, "50", "5", "PENDING"),
        order(4, "50", "400", "DENIED"),
        order(5, "50", "7", is_test_conversion=True),
        paid(6, "80", "8", currency="EUR"),
        order(7, "30", "3", currency="EUR"),
    )
    books.add("payments", payment(900, "8", 1, currency="EUR"))
    books.add("conversion_totals", totals(MARCH, "APPROVED", "UNPAID", 2, "8", "80"))
    books.add("conversion_totals", totals(MARCH, "PENDING", "UNPAID", 1, "5", "50.01"))
    euros, dollars = books.rows("proof_coverage")
    assert [euros[name] for name in AMOUNTS] == ["EUR", D("11"), D("0"), D("8"), D("3")]
    assert [dollars[name] for name in AMOUNTS] == ["USD", D("17"), D("12"), D("0"), D("5")]
    assert (euros["share_by_payments"], dollars["share_by_totals"]) == (D("0.727273"), D("0.705882"))
    assert dollars["oldest_read_at"] == READ_AT - timedelta(days=3)

    # Broken: the payment says another amount, and one order more is loaded than Refersion has.
    with books.warehouse.session() as session:
        session.query("UPDATE refersion_data.payments SET commission_total = 9")
    books.conversions(order(8, "1", "1"))
    euros, dollars = books.rows("proof_coverage")
    assert (euros["proven_by_payments"], euros["not_proven"]) == (D("0"), D("11"))
    assert (dollars["proven_by_totals"], dollars["not_proven"]) == (D("0"), D("18"))


@pytest.mark.exhaustive
def test_what_the_account_does_not_offer_is_named(books: WarehouseBuilder) -> None:
    books.conversions(order(1, "100", "10"))
    assert books.row("proof_coverage", "not_offered") == {"not_offered": None}
    with books.warehouse.session() as session:
        for table, column in (("payments", None), ("conversions", "order_id"), ("affiliates", "country")):
            session.query(
                "INSERT INTO refersion_data._not_offered VALUES ($table, $column, 'not offered', $at)",
                table=table,
                column=column,
                at=READ_AT,
            )
    (row,) = books.rows("proof_coverage")
    assert row["not_offered"] == "affiliates.country, order_id, payments"
    assert row["oldest_read_at"] == READ_AT


def test_the_sentence_never_says_more_than_is_proven() -> None:
    nearly = Coverage("USD", D("100000"), D("99999"), D("0"), D("0"), D("1"), D("0"), None)
    assert str(nearly) == "USD: 99.9 % of commission proven by Refersion's totals, 0.1 % not proven"
    none = Coverage("EUR", D("8"), D("0"), D("0"), D("2"), D("6"), D("0"), None)
    assert str(none) == "EUR: not proven by Refersion's totals, 25 % by payments, 75 % not proven"
