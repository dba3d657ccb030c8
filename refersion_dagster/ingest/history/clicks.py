"""Clicks that a complete read of their window no longer returned."""

from __future__ import annotations

from collections.abc import Sequence

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.extract.stats import ReadSpan
from refersion_dagster.resources import Warehouse

# These include clicks keyed by a hash, once the account offers an id or another of the hashed fields.
MARK_VANISHED = f"""
UPDATE {DATASET}.clicks SET vanished_at = $read_at
WHERE created >= $start AND created < $end AND read_at < $read_at AND vanished_at IS NULL
"""  # noqa: S608 - names of ours


def mark_vanished(warehouse: Warehouse, spans: Sequence[ReadSpan]) -> None:
    """Marks the clicks of these completely read spans that were not returned."""
    with warehouse.session() as session, session.transaction():
        for span in spans:
            session.query(MARK_VANISHED, read_at=span.read_at, start=span.start, end=span.end)
