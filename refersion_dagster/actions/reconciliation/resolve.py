"""Settles an item whose response was lost: a person decides, based on Refersion's data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from refersion_dagster.actions.journal.journal import Entry, Journal
from refersion_dagster.actions.journal.result_tables import load_results
from refersion_dagster.actions.journal.store import journal_of
from refersion_dagster.actions.operations.outcomes import OPEN, Outcome, Result
from refersion_dagster.actions.reconciliation import affiliates, conversions
from refersion_dagster.actions.reconciliation.evidence import Evidence, Inquiry, Verdict
from refersion_dagster.errors import ReportedError
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.warehouse.session import Session, UndefinedTable

# The function that searches for an item of each operation.
LOOKS: dict[str, Callable[[Inquiry], Evidence]] = {
    "affiliate_new": affiliates.new_affiliate,
    "affiliate_status_change": affiliates.affiliate_status,
    "affiliate_edit": affiliates.affiliate_details,
    "affiliate_trigger": affiliates.report_no_evidence,
    "trigger_delete": affiliates.report_no_evidence,
    "conversion_manual_credit": conversions.credit,
    "conversion_manual_credit_order_id": conversions.order_credit,
    "conversion_status_change": conversions.conversion_status,
    "conversion_cancel": conversions.cancellation,
    "new_sku_commission": affiliates.report_no_evidence,
}


class CannotSettle(ReportedError):
    """An item cannot be settled; the message says which, why and what to do."""


@contextmanager
def open_journal(warehouse: Warehouse, tell: Callable[[str], None]) -> Iterator[tuple[Journal, Session]]:
    """Opens the journal under the write lock. Pending entries of dead runs become unknown.

    Raises CannotSettle if the warehouse does not exist, instead of creating it.
    """
    if not warehouse.database.exists:
        raise CannotSettle(
            f"The warehouse {warehouse.location} does not exist. Set REFERSION_DUCKDB_PATH, or run this in the "
            "folder in which Dagster runs."
        )
    with (
        warehouse.write_lock(tell),
        warehouse.session() as session,
        journal_of(warehouse, session, tell) as journal,
    ):
        try:
            journal.give_up_pending()
        except UndefinedTable:
            tell("Nothing was sent from this warehouse yet.")
        yield journal, session


def find_entry(entries: Sequence[Entry], key: str) -> Entry:
    """Returns the entry with this key or key prefix. Raises CannotSettle if none or several match."""
    found = [entry for entry in entries if entry.key == key] or [
        entry for entry in entries if entry.key.startswith(key)
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise CannotSettle(
            f"The journal has no item with the key {key}; `refersion-dagster actions list --all` lists all items."
        )
    several = ", ".join(f"{entry.key} ({entry.endpoint})" for entry in found[:5])
    raise CannotSettle(
        f"{len(found)} items have keys that begin with {key}: {several}. Enter more characters of the key."
    )


def evidence_on(
    entry: Entry, journal: Journal, session: Session, refersion: RefersionResource, retry_seconds: int = 30
) -> Evidence:
    """Returns Refersion's current evidence about an item. Raises RefersionError if it cannot be queried."""

    def find_creation_time(conversion_id: str) -> datetime | None:
        try:
            rows = session.query(f"SELECT created FROM {DATASET}.conversions WHERE id = $id", id=conversion_id)  # noqa: S608
        except UndefinedTable:
            return None
        return rows[0][0] if rows else None

    others = tuple(other for other in journal.entries() if (other.endpoint, other.key) != (entry.endpoint, entry.key))
    account = refersion.account(retry_seconds=retry_seconds)
    try:
        return LOOKS[entry.endpoint](Inquiry(entry, account, others, find_creation_time))
    finally:
        account.close()


def check_decision(entry: Entry, done: bool, evidence: Evidence | None, despite_evidence: bool) -> None:
    """Raises CannotSettle if the item is already settled or Refersion's data contradicts the decision."""
    if entry.outcome not in OPEN:
        raise CannotSettle(f"{entry.key} does not need to be settled: it is {entry.outcome}.")
    if not done and evidence and evidence.verdict in (Verdict.DONE, Verdict.LIKELY) and not despite_evidence:
        raise CannotSettle(
            f"{evidence.words} If it is settled as not done, it will be sent a second time. If another cause "
            "explains this, add --despite-evidence."
        )


def resolve(
    entry: Entry,
    journal: Journal,
    session: Session,
    warehouse: Warehouse,
    *,
    done: bool,
    by: str,
    note: str | None,
    found: dict[str, str],
    tell: Callable[[str], None],
) -> None:
    """Records the decision in the journal and in the result table."""
    outcome = Outcome.DONE if done else Outcome.NOT_DONE
    message = f"Settled by {by}{f': {note}' if note else ''}"
    journal.settle(entry, Result(outcome, message, found if done else {}), by)
    load_results(warehouse, session, journal, tell)
