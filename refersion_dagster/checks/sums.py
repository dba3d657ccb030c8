"""Compares a summary's amounts per currency with those of the raw rows."""

from __future__ import annotations

from collections.abc import Mapping

from refersion_dagster.checks.outcome import ROWS_SHOWN, OffendingRows
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.measures import raw_sums
from refersion_dagster.warehouse.session import Session

# Name of the check.
SUMS = "sums_preserved"
COLUMNS = ("column", "currency", "raw_conversions", "summary")


def build_sums_check(summary: str, sums: Mapping[str, str]) -> str:
    """Returns SQL for the currencies in which a summary differs from the raw rows, with both amounts of each column.

    It reads the raw rows and the summary once, regardless of the number of columns: warehouses may charge for reads.

    Args:
        sums: measures by column, as in the summary's header.
    """
    added = ", ".join(f"sum({column}) AS {column}" for column in sums)
    amounts = ", ".join(f"r.{column} AS raw_{column}, s.{column} AS summary_{column}" for column in sums)
    differ = " OR ".join(f"coalesce(r.{column}, 0) <> coalesce(s.{column}, 0)" for column in sums)
    return f"""
    WITH raw AS ({raw_sums(sums)}),
    summed AS (SELECT currency, {added} FROM {SUMMARIES}.{summary} GROUP BY currency)
    SELECT coalesce(r.currency, s.currency) AS currency, {amounts}
    FROM raw AS r
    FULL JOIN summed AS s ON s.currency = r.currency
    WHERE {differ}
    ORDER BY currency
    """  # noqa: S608 - names of ours


def find_drift(session: Session, summary: str, sums: Mapping[str, str]) -> OffendingRows:
    """Finds the columns and currencies in which a summary differs from the raw rows."""
    if not sums:
        return OffendingRows(0, COLUMNS, [])
    found = session.compute(build_sums_check(summary, sums))
    rows: list[tuple[object, ...]] = [
        (column, currency, raw, summed)
        for at, column in enumerate(sums)
        for currency, *amounts in found
        for raw, summed in [amounts[2 * at : 2 * at + 2]]
        if (raw or 0) != (summed or 0)
    ]
    return OffendingRows(len(rows), COLUMNS, rows[:ROWS_SHOWN])
