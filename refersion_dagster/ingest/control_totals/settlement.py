"""Reads differing control totals again before they count as a difference, because the shop changes during a load.

Approvals, orders and payments arrive between the reads of payments, conversions and totals. If a cell of the control
totals differs, its rows are read again and its totals right after them. If two consecutive reads give the same result
on both sides, nothing changed in between, and the difference is real. A cell that still changes after MOST_READINGS is
not settled. That is not a failure: the next refresh compares it again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime

from sqlglot import exp

from refersion_dagster.ingest.control_totals.unsettled import CellFigures, TotalsCell, keep, read_lasting
from refersion_dagster.ingest.late_arrivals.months import UNACCOUNTED_PAYMENTS
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import Warehouse
from refersion_dagster.summaries.build import KEPT_INTERPRETATION, NOT_SETTLED, read_interpretation
from refersion_dagster.summaries.knowledge import find_unknown_columns, load_gaps
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster.warehouse.session import Session, UndefinedTable
from refersion_dagster.warehouse.sql import bind

MOST_READINGS = 3
# If more months differ, the shop's changes are not the cause. The latest are read again, the others by later runs.
MOST_MONTHS = 12

# Payments made after payments were read, and named by rows that were read later.
NAMED_ALONE = f"""
SELECT count(*)
FROM {DATASET}.conversions AS c
LEFT JOIN {DATASET}.payments AS p ON p.id = coalesce(c.payment_id, c.payment__id)
WHERE coalesce(c.payment_id, c.payment__id) IS NOT NULL AND p.id IS NULL AND c.vanished_at IS NULL
  AND c.read_at >= $read_at AND coalesce(c.payment__created, c.read_at) >= $read_at
"""  # noqa: S608 - names of ours
FIGURES = (
    *("month", "status", "payment_status", "totals_currency", "refersion_count", "refersion_commission"),
    *("refersion_order_total", "loaded_count", "loaded_commission", "loaded_order_total", "totals_read_at"),
)


def find_differences(session: Session) -> dict[TotalsCell, CellFigures]:
    """The differing cells of the control totals, from the current raw tables. Empty if they cannot be compared."""
    (summary,) = load_summaries("control_totals")
    if "verdict" in find_unknown_columns(summary, load_gaps(session)):
        return {}
    kept = read_interpretation(session)
    tree = bind(
        summary.file.tree,
        {"control_tolerance": 0, "accepted_differences": ";", KEPT_INTERPRETATION: kept, NOT_SETTLED: ""},
    )
    found = exp.Subquery(this=tree, alias=exp.TableAlias(this=exp.to_identifier("found")))
    try:
        rows = session.query(exp.select(*FIGURES).from_(found).where("verdict = 'differs'"))
    except UndefinedTable:
        return {}
    return {TotalsCell(*row[:4]): CellFigures(tuple(row[4:7]), tuple(row[7:10]), row[10]) for row in rows}


def settle_totals(
    warehouse: Warehouse,
    say: Callable[[str], object],
    read_again: Callable[[Sequence[datetime]], None] | None = None,
    months: Collection[date] | None = None,
) -> None:
    """Reads differing cells again. Stores which differences lasted and which cells kept changing.

    Args:
        read_again: reads the rows of these months, then their totals. None if a run reads no rows; new differences are
        then left to the next refresh.
        months: the months that the run may read again; None for all.
    """
    with warehouse.session() as session:
        known, found = read_lasting(session), find_differences(session)
    lasts = {cell: sides for cell, sides in found.items() if known.get(cell) == str(sides)}
    moving = {cell: sides for cell, sides in found.items() if cell not in lasts}
    not_read: dict[TotalsCell, CellFigures] = {}
    for _ in range(MOST_READINGS if read_again else 0):
        readable = sorted({cell.month for cell in moving if months is None or cell.month in months})
        if not readable or read_again is None:
            break
        chosen = set(readable[-MOST_MONTHS:])
        not_read |= {cell: sides for cell, sides in moving.items() if cell.month in set(readable) - chosen}
        say(f"Control totals disagree; reading again: {', '.join(f'{month:%Y-%m}' for month in sorted(chosen))}")
        read_again([datetime(month.year, month.month, 1, tzinfo=UTC) for month in sorted(chosen)])
        with warehouse.session() as session:
            found = find_differences(session)
        before, moving = moving, {}
        for cell, sides in found.items():
            if cell in not_read or known.get(cell) == str(sides):
                continue
            if cell in before and before[cell].figures == sides.figures:
                lasts[cell] = sides
            elif cell not in lasts or lasts[cell].figures != sides.figures:
                lasts.pop(cell, None)
                moving[cell] = sides
        lasts = {cell: sides for cell, sides in lasts.items() if cell in found}
    for cell in moving:
        say(f"Control totals are not settled; the next refresh compares them again: {cell}")
    with warehouse.session() as session:
        keep(session, lasts, moving)


def has_new_payments(warehouse: Warehouse, read_at: datetime) -> bool:
    """Whether rows name payments that were made after payments were read, at `read_at`."""
    with warehouse.session() as session:
        try:
            ((count,),) = session.query(NAMED_ALONE, read_at=read_at)
        except UndefinedTable:
            return False
    return bool(count)


def find_paid_months(warehouse: Warehouse, upto: datetime) -> list[datetime]:
    """Months of unpaid rows that were last read before a payment that may include them."""
    with warehouse.session() as session:
        try:
            found = session.query(UNACCOUNTED_PAYMENTS, before=upto)
        except UndefinedTable:
            return []
    return sorted(month.astimezone(UTC) for month, _ in found)
