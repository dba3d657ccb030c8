"""Rows that a reading no longer showed: looked for elsewhere, or marked as gone.

Affiliates are listed whole, and payments are read whole by a refresh, so that one which is absent is gone. Conversions
are read by windows of `created`, which can be edited: a row that is absent from its window may lie in another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.extract.stats import ReadSpan
from refersion_dagster.resources import Warehouse

ABSENT = f"""
SELECT count(*) FROM {DATASET}.conversions
WHERE created >= $start AND created < $end AND read_at < $read_at AND vanished_at IS NULL
"""  # noqa: S608 - names of ours

MARK_LISTED = """
UPDATE {table} SET vanished_at = $read_at WHERE read_at < $read_at AND vanished_at IS NULL
"""
MARK_PAYMENTS = f"""
UPDATE {DATASET}.payments SET vanished_at = $read_at
WHERE created >= $start AND created < $end AND read_at < $read_at AND vanished_at IS NULL
"""  # noqa: S608


def absent_conversions(warehouse: Warehouse, read: Sequence[ReadSpan]) -> int:
    """Loaded conversions of the spans that were read which the readings did not show, neither there nor elsewhere."""
    with warehouse.session() as session:
        return sum(
            int(session.query(ABSENT, start=span.start, end=span.end, read_at=span.read_at)[0][0]) for span in read
        )


def mark_listed(warehouse: Warehouse, table: str, read_at: datetime) -> None:
    """Marks rows of a list that was read whole, which the list no longer has."""
    with warehouse.session() as session:
        session.query(MARK_LISTED.format(table=f"{DATASET}.{table}"), read_at=read_at)


def mark_payments(warehouse: Warehouse, read: Sequence[ReadSpan]) -> None:
    """Marks payments that none of the spans showed, which are all that there is to read."""
    with warehouse.session() as session:
        for span in read:
            session.query(MARK_PAYMENTS, start=span.start, end=span.end, read_at=span.read_at)
