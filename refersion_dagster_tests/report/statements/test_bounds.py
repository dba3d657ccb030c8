"""Statements of months that are not known in full: refused, or, if allowed, with bounds and the reason."""

from pathlib import Path

import pytest

from refersion_dagster_tests.report.statements.statement_helpers import READ
from refersion_dagster_tests.report.statements.test_asset import Page, make, refused, rows
from refersion_dagster_tests.summaries.builders import READ_AT, WarehouseBuilder, affiliate, day, order, paid, reading

SAID = "before the first reading"


@pytest.fixture
def first_read_in_april(books: WarehouseBuilder) -> WarehouseBuilder:
    """One reading, in April: 1 was first read as paid, 2 as due, and when they were approved is not known."""
    books.add("affiliates", affiliate(1), affiliate(2)).add("conversion_readings", reading(READ_AT))
    books.conversions(
        paid(1, "100", "10", created=day(10, 2)), order(2, "200", "20", created=day(3, 2), affiliate_id="2")
    )
    books.build(*READ)
    return books


def test_it_is_refused_with_the_reason_and_what_to_do(first_read_in_april: WarehouseBuilder, tmp_path: Path) -> None:
    said = refused(first_read_in_april, tmp_path / "reports", month="2025-02")
    assert said.startswith(f"What was owed in 2025-02 is not known (USD: {SAID}).")
    assert "allow it (`allow_unknown`, from a shell --allow-unknown)" in said


def test_on_purpose_it_has_bounds_and_says_what_is_not_known(
    first_read_in_april: WarehouseBuilder, tmp_path: Path
) -> None:
    told = make(first_read_in_april, tmp_path / "reports", month="2025-02", allow_unknown=True)
    assert told.success, told.failure
    assert told.metadata["report/statements"]["not_known"] == f"USD: {SAID}"
    folder = Path(told.metadata["report/statements"]["index"]).parent
    totals = {row["affiliate_id"]: row for row in rows(folder / "totals.csv")}
    for whose, most in (("1", "10.00"), ("2", "20.00")):
        (own,) = [row for row in rows(folder / f"{whose}.csv") if row["record"] == "statement"]
        for row in (totals[whose], own):
            assert (row["closing_lowest"], row["closing_highest"]) == ("0.00", most)
            assert (row["closing"], row["approved"], row["adjustments"], row["reversed"]) == ("", "", "", "")
            assert (row["earned"], row["paid"], row["not_known"]) == (most, "0.00", SAID)
        page = Page(folder / f"{whose}.html")
        assert page.row("Owed at the end of February 2025") == [f"$0.00 to ${most}"]
        assert page.row("Approved, adjusted, reversed") == ["not known"]
        assert any(SAID in text for text in page.texts)
    assert any(SAID in text for text in Page(folder / "index.html").texts)


@pytest.mark.exhaustive
def test_sums_that_are_not_the_roll_forwards_bounds_are_not_published(
    first_read_in_april: WarehouseBuilder, tmp_path: Path
) -> None:
    first_read_in_april.warehouse.query("UPDATE refersion_summaries.due_bounds SET highest = highest + 1")
    said = refused(first_read_in_april, tmp_path / "reports", month="2025-02", allow_unknown=True)
    assert "all statements in USD: highest closing is 32.0000 but has to be 30.0000" in said
