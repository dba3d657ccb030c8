"""Compares the journal with the result tables in the warehouse, which are copies of it.

Nothing is planned from a copy, which may be old. But what it has and the journal does not have was sent by a run that
wrote another journal: then nothing more is sent.
"""

from __future__ import annotations

from collections.abc import Mapping

from refersion_dagster.actions.journal.journal import Entry
from refersion_dagster.actions.operations.catalog import Endpoint
from refersion_dagster.errors import ReportedError
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.session import Session, UndefinedTable


class JournalIncomplete(ReportedError):
    """The warehouse has results of items that the journal does not have. Nothing was sent."""


def read_copy(session: Session, endpoint: Endpoint) -> dict[str, tuple[int, str]]:
    """Returns the attempt and the outcome of each item of a result table, by key. Empty if there is no table."""
    try:
        rows = session.query(f"SELECT key, attempt, outcome FROM {DATASET}.{endpoint.name}")  # noqa: S608 - our name
    except UndefinedTable:
        return {}
    return {key: (int(attempt), outcome) for key, attempt, outcome in rows}


def check_complete(session: Session, endpoint: Endpoint, entries: Mapping[str, Entry]) -> None:
    """Raises JournalIncomplete if the result table has an attempt at an item that the journal does not have.

    Args:
        entries: the latest entry of each item in the journal, by key.
    """
    copied = read_copy(session, endpoint)
    absent = [key for key, (attempt, _) in copied.items() if key not in entries or entries[key].attempt < attempt]
    if absent:
        table = f"{DATASET}.{endpoint.name}"
        raise JournalIncomplete(
            f"Nothing was sent: {len(absent)} of {len(copied)} items in {table} are not in the journal, such as the "
            f"item with the key {min(absent)}, so they could be sent twice. Set REFERSION_JOURNAL to the journal that "
            "they were recorded in, or restore it from a backup. If it is lost, check in Refersion what these items "
            f"did, and rename the table {table}."
        )
