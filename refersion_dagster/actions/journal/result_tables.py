"""The result tables refersion_data.<operation>: one row per item, built from the journal and loaded by dlt.

If a run ends between a response and its load, the next run loads the row: the journal marks what is not loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import dlt
from dlt.common.pipeline import LoadInfo
from dlt.extract.source import DltSource

from refersion_dagster.actions.journal.completeness import read_copy
from refersion_dagster.actions.journal.journal import Entry, Journal
from refersion_dagster.actions.operations.catalog import ENDPOINTS, Endpoint
from refersion_dagster.actions.operations.outcomes import Outcome
from refersion_dagster.actions.operations.types import plain_type
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.load import run_load
from refersion_dagster.warehouse.session import Session

PIPELINE = "refersion_actions"

# Columns of every result table: name, dlt type, description.
COMMON = (
    ("key", "text", "The item's permanent key."),
    ("outcome", "text", "done, not_changed, refused, not_done (certainly not carried out) or unknown."),
    ("message", "text", "Message of the outcome, often from Refersion."),
    ("request", "text", "The requested item (JSON, without passwords)."),
    ("answer", "text", "Refersion's complete response to the call that contained the item (JSON)."),
    ("requested_by", "text", "Who requested it."),
    ("run_id", "text", "The Dagster run that sent it."),
    ("purpose", "text", "Purpose that was set for the run."),
    ("source", "text", "The file, or `configuration`."),
    ("place", "text", "Row of the file, or number in the configuration."),
    ("attempt", "bigint", "Number of the attempt to send the item, starting at 1."),
    ("intended_at", "timestamp", "When the intent was recorded, UTC."),
    ("answered_at", "timestamp", "When the response was recorded, UTC; NULL if it was lost."),
    ("settled_by", "text", "Who settled it, if its response was lost."),
    ("settled_at", "timestamp", "When it was settled, UTC."),
    ("copied_at", "timestamp", "When this row was copied from the journal, UTC."),
)


def columns(endpoint: Endpoint) -> list[tuple[str, str, str]]:
    """Returns the columns of an operation's result table: name, dlt type, description."""
    of_item = [
        (name, _kind(field.annotation), field.description or "")
        for name, field in endpoint.item.model_fields.items()
        if name != "password"
    ]
    answered = [(column.name, "text", column.description) for column in endpoint.answered]
    key, *rest = COMMON
    return [key, *of_item, *answered, *rest]


def _kind(annotation: Any) -> str:
    """Returns the dlt type of a field. Ids are text, as in every raw table; lists are JSON."""
    return {Decimal: "decimal", bool: "bool"}.get(plain_type(annotation), "text")


def load_results(warehouse: Warehouse, session: Session, journal: Journal, tell: Callable[[str], None]) -> None:
    """Updates the result tables from the journal. The caller must hold the write lock."""
    known = [entry for entry in journal.entries() if entry.outcome is not Outcome.PENDING]
    for name in dict.fromkeys(entry.endpoint for entry in known):
        # A journal outside of the warehouse may be older than the warehouse's copy of it.
        copied = read_copy(session, ENDPOINTS[name])
        entries = [
            entry
            for entry in known
            if entry.endpoint == name
            and (not entry.loaded or copied.get(entry.key) != (entry.attempt, entry.outcome.value))
        ]
        if entries:
            info = _load(warehouse, ENDPOINTS[name], entries)
            journal.mark_loaded(entries)
            tell(f"{name}: {len(entries)} rows updated (load {', '.join(info.loads_ids)})")


def _load(warehouse: Warehouse, endpoint: Endpoint, entries: list[Entry]) -> LoadInfo:
    kinds = {name: kind for name, kind, _ in columns(endpoint)}
    hints: Any = {
        name: {
            "name": name,
            "data_type": kind,
            "description": description,
            **({"precision": 18, "scale": 4} if kind == "decimal" else {}),
            **({"timezone": True} if kind == "timestamp" else {}),
        }
        for name, kind, description in columns(endpoint)
    }
    resource = dlt.resource(
        [_row(entry, kinds) for entry in entries],
        name=endpoint.name,
        primary_key="key",
        write_disposition="merge",
        columns=hints,
        max_table_nesting=0,
    )
    with warehouse.pipeline() as loads:
        # A separate pipeline does not share state or the default schema with the loads.
        pipeline = dlt.pipeline(
            PIPELINE, destination=loads.destination, dataset_name=DATASET, pipelines_dir=loads.pipelines_dir
        )
        source = warehouse.prepare(DltSource(dlt.Schema(PIPELINE), PIPELINE, [resource]))
        return run_load(pipeline, source, warehouse.classify_error)


def _row(entry: Entry, kinds: dict[str, str]) -> dict[str, Any]:
    given = {**vars(entry), **entry.request, **entry.found}
    given |= {
        "outcome": entry.outcome.value,
        "request": json.dumps(entry.request, ensure_ascii=False, sort_keys=True),
        "copied_at": datetime.now(UTC),
    }
    return {name: _value(given.get(name), kind) for name, kind in kinds.items()}


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "decimal":
        return Decimal(str(value))
    if kind == "text" and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
    return value
