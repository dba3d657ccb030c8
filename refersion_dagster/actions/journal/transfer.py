"""Moves a journal to another database. A warehouse with a journal in another place has none of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from refersion_dagster.actions.journal.journal import Journal
from refersion_dagster.actions.journal.sqlite_store import SQLiteStore
from refersion_dagster.actions.journal.store import JournalStore, find_store
from refersion_dagster.errors import ReportedError
from refersion_dagster.resources import Warehouse


class CannotMove(ReportedError):
    """The journal cannot be moved. Both journals are unchanged."""


def move_journal(warehouse: Warehouse, source: Path | None, tell: Callable[[str], None]) -> int:
    """Moves all entries to the journal that is set. Returns their number.

    If it is interrupted, the entries are in both; it can then be repeated, and nothing is sent before it was. Raises
    CannotMove if the journal that is set has other entries.

    Args:
        source: the SQLite file to move from; None for the warehouse.
    """
    store = find_store(warehouse)
    origin = SQLiteStore(source.expanduser().resolve()) if source else None
    if (store is None and origin is None) or (store and origin and store.location == origin.location):
        raise CannotMove("The journal is already there. Set REFERSION_JOURNAL to the database that it is to be in.")
    if origin and not origin.path.exists():
        raise CannotMove(f"There is no journal {origin.path}.")
    warehouse.check_keys_enforced()
    with ExitStack() as stack:
        stack.enter_context(warehouse.write_lock(tell))
        session = stack.enter_context(warehouse.session())

        def opened(place: JournalStore | None) -> Journal:
            if place is None:
                return Journal(session)
            stack.enter_context(place.write_lock(warehouse.lock_timeout_seconds, tell))
            return Journal(stack.enter_context(place.session()))

        old, new = opened(origin), opened(store)
        moved = old.attempts()
        if not moved:
            raise CannotMove("The journal to move from has no entries.")
        old.give_up_pending()
        moved = old.attempts()
        new.create()
        there = {_identity(row) for row in new.attempts()}
        left = [row for row in moved if _identity(row) not in there]
        if left and there:
            raise CannotMove(
                f"Both journals have entries: {len(moved)} in {origin.location if origin else warehouse.location}, "
                f"{len(there)} in {store.location if store else warehouse.location}. Set REFERSION_JOURNAL to a "
                "database without a journal."
            )
        new.add(left)
        old.clear()
    return len(moved)


def _identity(row: dict[str, object]) -> tuple[object, ...]:
    return row["endpoint"], row["key"], row["attempt"], row["call_id"]
