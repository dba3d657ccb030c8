"""Statements of hand-made books."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

from refersion_dagster.report.statements.figures import (
    Lines,
    Statement,
    StatementConversion,
    roll_forward,
    select_conversions,
    statements,
)
from refersion_dagster.report.statements.reconciliation import (
    RunningSums,
    by_currency,
    check_arithmetic,
    compare_with_roll_forward,
)
from refersion_dagster.resources import SUMMARIES
from refersion_dagster_tests.summaries.builders import D, WarehouseBuilder

READ = (
    "commission_roll_forward",
    "conversion_states",
    "due_periods",
    "due_bounds",
    "conversions",
    "affiliates",
    "currencies",
    "data_as_of",
)
JANUARY, FEBRUARY, MARCH, APRIL = (date(2025, month, 1) for month in range(1, 5))


def stated(books: WarehouseBuilder, month: date) -> dict[tuple[str, str], Lines]:
    """Builds what statements read. Returns the month's lines by affiliate and currency, all reconciled."""
    books.build(*READ)
    return {(one.affiliate_id, one.currency): one.lines for one in all_tied(books, month)[0]}


def all_tied(
    books: WarehouseBuilder, month: date, unknown: Collection[str] = ()
) -> tuple[list[Statement], list[StatementConversion]]:
    """Returns the month's statements and conversions after comparing every line with the roll-forward.

    Args:
        unknown: currencies in which the month is not known, so that there is no roll-forward to compare with.
    """
    with books.warehouse.session() as session:
        found, rows = statements(session, month), list(select_conversions(session, month))
        places = dict(session.query(f"SELECT currency, place FROM {SUMMARIES}.currencies"))
        known = by_currency(one for one in found if one.currency not in unknown)
        assert list(compare_with_roll_forward(known, roll_forward(session, month))) == []
    assert list(check_arithmetic(found)) == []
    counted = {(one.affiliate_id, one.currency): RunningSums(one) for one in found}
    keys = [(one.affiliate_id, one.currency) for one in found]
    assert keys == sorted(counted, key=lambda key: (key[0], places[key[1]]))
    for row in rows:
        counted[row.affiliate_id, row.currency].add(row)
    assert [difference for one in counted.values() for difference in one.differences()] == []
    return found, rows


def conversions(books: WarehouseBuilder, month: date, **chosen: Any) -> dict[str, StatementConversion]:
    """Returns the month's conversions by id, from books whose summaries are built."""
    with books.warehouse.session() as session:
        return {row.conversion_id: row for row in select_conversions(session, month, **chosen)}


def lines(*amounts: str) -> Lines:
    """Returns lines from opening, earned, approved, adjustments, reversed, paid and closing."""
    return Lines(*map(D, amounts))
