"""DuckDB 2.0 and joins that leave nothing: figures do not depend on its optimizer.

Where statistics say that a condition, in ON or in a subquery, leaves nothing of a LEFT JOIN's right side, DuckDB makes
comparisons of differences between sums false. So the right side is joined by its key alone.
"""

from collections.abc import Sequence

import pytest

from refersion_dagster.checks.outcome import find_offending_rows
from refersion_dagster.checks.query import load_checks
from refersion_dagster.summaries.query import list_tables
from refersion_dagster_tests.summaries.builders import (
    READ_AT,
    D,
    Row,
    WarehouseBuilder,
    affiliate,
    all_summaries,
    cancellation,
    credit,
    day,
    history,
    order,
    paid,
    payment,
    totals,
)

# Those that read all the others that join rows which may be none.
SUMMARIES = ("payout_preview", "payment_proof", "proof_coverage", "reversals", "clawbacks")
MARCH = day(1, hour=0)
UNPAID = (order(1, "100", "20"), order(2, "50", "5", "PENDING", affiliate_id="2"), credit(3, "-5", affiliate_id="3"))
HISTORY = (history(1, day(1), "new", "APPROVED", "20"), history(2, day(2), "new", "PENDING", "5"))
TAKEN_BACK = (
    history(1, day(5), "new", "APPROVED", "20", payment_status="PAID", payment_id="900"),
    history(1, day(8), "changed", "APPROVED", "20"),
)
# Rows of each table, in an account where some join finds none.
ACCOUNTS: dict[str, dict[str, Sequence[Row]]] = {
    "nothing was ever paid": {"conversions": UNPAID, "conversion_history": HISTORY, "affiliates": (affiliate(1),)},
    "no history and no affiliates": {"conversions": (*UNPAID, paid(4, "10", "1")), "payments": (payment(900, "2", 2),)},
    "what was taken back is pending": {
        "conversions": (order(1, "100", "20", "PENDING"), order(2, "30", "3")),
        "conversion_history": TAKEN_BACK,
        "payments": (payment(900, "20", 1, vanished_at=READ_AT),),
    },
    "all is taken back": {
        "conversions": (order(1, "100", "20"),),
        "conversion_history": TAKEN_BACK,
        "payments": (payment(900, "20", 1),),
    },
    "all vanished": {
        "conversions": tuple({**row, "vanished_at": READ_AT} for row in UNPAID),
        "conversion_totals": (totals(MARCH, "APPROVED", "UNPAID", 2, "15", "101"),),
    },
    "all are tests": {
        "conversions": tuple({**row, "is_test_conversion": True} for row in UNPAID),
        "conversion_totals": (totals(MARCH, "APPROVED", "UNPAID", 2, "15", "101"),),
    },
    "cancellations of nothing": {"conversions": (cancellation(1, 99, "-100", "-20"), order(2, "30", "3", "DENIED"))},
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("account", ACCOUNTS)
def test_figures_and_what_checks_find_do_not_depend_on_it(books: WarehouseBuilder, account: str) -> None:
    for table, rows in ACCOUNTS[account].items():
        books.add(table, *rows)
    books.settings = books.settings.model_copy(update={"minimum_payout": "50", "control_tolerance": "5"})
    with books.warehouse.write_lock(print):
        found = figures(books)
        with books.warehouse.session() as session:
            session.native("SET disabled_optimizers = 'statistics_propagation'")
        assert figures(books) == found


def figures(books: WarehouseBuilder) -> dict[str, object]:
    """Every summary built anew and what the checks of the raw tables and of these summaries find."""
    books.build(*SUMMARIES)
    names = [summary.name for summary in all_summaries()]
    with books.warehouse.session() as session:
        built = [name for name in names if session.columns("refersion_summaries", name)]
        checks = [
            one for one in load_checks(list_tables(names)) if one.file.name in ("history_agrees", "payments_proven")
        ]
        found: dict[str, object] = {
            one.file.name: find_offending_rows(session, one.file.tree, books.settings.parameters()).count
            for one in checks
        }
    return found | {name: books.built(name) for name in built}


def test_a_balance_is_held_against_the_minimum_where_nothing_was_taken_back(books: WarehouseBuilder) -> None:
    books.settings = books.settings.model_copy(update={"minimum_payout": "50"})
    books.add("affiliates", affiliate(1)).conversions(order(1, "100", "20"), credit(2, "-5", affiliate_id="3"))
    found = books.rows("commission_liability", "affiliate_id", "due", "block_reason")
    assert [tuple(row.values()) for row in found] == [
        ("1", D("20"), "below the minimum payout"),
        ("3", D("-5"), "negative balance; affiliate not listed by Refersion"),
    ]
