"""Rows that a read no longer returned: searched elsewhere, or marked as deleted.

A refresh reads the complete list of affiliates and all payments, so a missing one was deleted. Conversions are read by
windows of `created`, which can be edited: a row missing from its window may be in another one.
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
    """The number of loaded conversions in these spans that the reads did not return, in these spans or elsewhere."""
    with warehouse.session() as session:
        return sum(
            int(session.query(ABSENT, start=span.start, end=span.end, read_at=span.read_at)[0][0]) for span in read
        )


def mark_listed(warehouse: Warehouse, table: str, read_at: datetime) -> None:
    """Marks rows missing from a list that was read completely."""
    with warehouse.session() as session:
        session.query(MARK_LISTED.format(table=f"{DATASET}.{table}"), read_at=read_at)


def mark_payments(warehouse: Warehouse, read: Sequence[ReadSpan]) -> None:
    """Marks payments that none of these spans returned. The spans cover all payments."""
    with warehouse.session() as session:
        for span in read:
            session.query(MARK_PAYMENTS, start=span.start, end=span.end, read_at=span.read_at)
