"""The journal of actions: each item before it is sent, and its outcome.

The journal is a table with one row for each attempt at an item, in the warehouse or in a store of its own (see
`store`). The row is committed before the call and again after the response. The sender holds the write lock, so if
another run finds a row without a response, the run that wrote it has died. The primary key protects even if the lock
was lost with a connection: if two runs are about to send the same item, one fails before it sends.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from dlt.destinations.exceptions import DatabaseException

from refersion_dagster.actions.operations.item_key import PlannedItem
from refersion_dagster.actions.operations.outcomes import Outcome, Result
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.tables.coerce import read_text
from refersion_dagster.warehouse.session import Row, UndefinedTable
from refersion_dagster.warehouse.sql import Value

TABLE = "action_journal"
# Maximum number of values in one IN (…).
AT_ONCE = 500
# Maximum number of rows in one INSERT.
ROWS_AT_ONCE = 50

# Name, type, description.
COLUMNS = (
    ("endpoint", "text NOT NULL", "The operation."),
    ("key", "text NOT NULL", "The item's key: set by the user, or derived from its content."),
    ("attempt", "bigint NOT NULL", "Number of the attempt to send the item, starting at 1."),
    ("outcome", "text NOT NULL", "pending, done, not_changed, refused, not_done or unknown."),
    ("message", "text", "Message of the outcome, often from Refersion."),
    ("place", "text", "Origin of the item: row of the file or number in the configuration."),
    ("source", "text", "The file, or `configuration`."),
    ("purpose", "text", "Purpose that was set for the run."),
    ("digest", "text NOT NULL", "Hash of the item's content, to detect a key that was reused for another item."),
    ("request", "text NOT NULL", "The requested item (JSON, without passwords)."),
    ("call_id", "text NOT NULL", "Id of the call; all items of a batch share it."),
    ("answer", "text", "Refersion's complete response to the call (JSON)."),
    ("found", "text", "Values from the response for this item, by column of the result table (JSON)."),
    ("requested_by", "text", "Who requested it."),
    ("run_id", "text", "The Dagster run that sent it."),
    ("intended_at", "timestamp with time zone NOT NULL", "When the intent was recorded, by this machine's clock."),
    ("refersion_time", "timestamp with time zone", "The same time by Refersion's clock, to the second."),
    ("answered_at", "timestamp with time zone", "When the response was recorded."),
    ("settled_by", "text", "Who settled it, if its response was lost."),
    ("settled_at", "timestamp with time zone", "When it was settled."),
    ("loaded", "boolean NOT NULL", "Whether the result table contains this state."),
)
NAMES = tuple(name for name, _, _ in COLUMNS)
TIMES = tuple(name for name, kind, _ in COLUMNS if kind.startswith("timestamp"))

CREATE = (
    f"CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} ("
    + ", ".join(f"{name} {kind}" for name, kind, _ in COLUMNS)
    + ", PRIMARY KEY (endpoint, key, attempt))"
)
LATEST = f"""
SELECT {", ".join(f"j.{name}" for name in NAMES)} FROM {DATASET}.{TABLE} AS j
WHERE NOT EXISTS (
  SELECT 1 FROM {DATASET}.{TABLE} AS later
  WHERE later.endpoint = j.endpoint AND later.key = j.key AND later.attempt > j.attempt
)
"""  # noqa: S608 - names of ours


@dataclass(frozen=True)
class Entry:
    """One attempt at an item: a row of the journal. See COLUMNS."""

    endpoint: str
    key: str
    attempt: int
    outcome: Outcome
    message: str | None
    place: str | None
    source: str | None
    purpose: str | None
    digest: str
    request: dict[str, Any]
    call_id: str
    answer: str | None
    found: dict[str, str]
    requested_by: str | None
    run_id: str | None
    intended_at: datetime
    refersion_time: datetime | None
    answered_at: datetime | None
    settled_by: str | None
    settled_at: datetime | None
    loaded: bool

    @classmethod
    def of(cls, row: Sequence[Any]) -> Entry:
        values = _values_by_name(row)
        values["outcome"] = Outcome(values["outcome"])
        values["request"] = json.loads(values["request"])
        values["found"] = json.loads(values["found"] or "{}")
        return cls(**values)


@dataclass(frozen=True)
class RequestContext:
    """Requester, purpose and source of a run, shared by all its items."""

    requested_by: str
    run_id: str
    source: str
    purpose: str


class AlreadyUnderWay(Exception):
    """Another run is sending one of the same items right now. Nothing was sent."""


class JournalSession(Protocol):
    """A connection to the journal's database. A Session of a warehouse is one."""

    def query(self, sql: str, **parameters: Value) -> list[Row]:
        """Runs one statement in DuckDB's dialect, with values for its `$name`s, and returns its rows.

        Raises UndefinedTable, and DatabaseException with "duplicate key" for a second row with the same primary key.
        """
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All statements in the context, or none of them."""
        ...

    def create_schema(self, schema: str) -> None: ...


class Journal:
    """The journal in a database. Before it is created, it reads as empty."""

    def __init__(self, session: JournalSession) -> None:
        self._session = session

    def create(self) -> None:
        self._session.create_schema(DATASET)
        self._session.query(CREATE)

    def entries(self, endpoint: str | None = None) -> list[Entry]:
        """Returns the latest attempt at each item, oldest first."""
        where = "AND j.endpoint = $endpoint " if endpoint else ""
        try:
            rows = self._session.query(f"{LATEST} {where} ORDER BY j.intended_at, j.key", endpoint=endpoint)
        except UndefinedTable:
            return []
        return [Entry.of(row) for row in rows]

    def attempts(self) -> list[dict[str, Any]]:
        """Returns every row of the journal, with its values by column."""
        try:
            rows = self._session.query(f"SELECT {', '.join(NAMES)} FROM {DATASET}.{TABLE}")  # noqa: S608
        except UndefinedTable:
            return []
        return [_values_by_name(row) for row in rows]

    def add(self, attempts: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows of another journal: all of them, or none."""
        with self._session.transaction():
            for at in range(0, len(attempts), ROWS_AT_ONCE):
                self._insert(attempts[at : at + ROWS_AT_ONCE])

    def clear(self) -> None:
        """Deletes every row, after they were added to another journal."""
        self._session.query(f"DELETE FROM {DATASET}.{TABLE}")  # noqa: S608

    def give_up_pending(self) -> int:
        """Sets pending entries to unknown, because the run that sent them is gone. Returns their number.

        The caller must hold the write lock.
        """
        ((pending,),) = self._session.query(f"SELECT count(*) FROM {DATASET}.{TABLE} WHERE outcome = 'pending'")  # noqa: S608
        if pending:
            self._session.query(
                f"UPDATE {DATASET}.{TABLE} SET outcome = 'unknown', loaded = FALSE, message = $message "  # noqa: S608
                "WHERE outcome = 'pending'",
                message="The run ended immediately before the call or before its response was recorded.",
            )
        return int(pending)

    def intend(
        self,
        items: Sequence[PlannedItem],
        before: Mapping[str, Entry],
        asking: RequestContext,
        refersion_time: datetime | None,
    ) -> str:
        """Records that these items are about to be sent in one call. Returns the call's id.

        Raises AlreadyUnderWay if another run recorded one of them after `before` was read.
        """
        call_id = uuid.uuid4().hex
        now = datetime.now(UTC)
        rows = []
        for one in items:
            earlier = before.get(one.key)
            values = {
                "endpoint": one.endpoint,
                "key": one.key,
                "attempt": earlier.attempt + 1 if earlier else 1,
                "outcome": Outcome.PENDING.value,
                "place": one.place,
                "source": asking.source,
                "purpose": asking.purpose,
                "digest": one.digest,
                "request": as_json(one.item.content()),
                "call_id": call_id,
                "requested_by": asking.requested_by,
                "run_id": asking.run_id,
                "intended_at": now,
                "refersion_time": refersion_time,
                "loaded": False,
            }
            rows.append(values)
        try:
            self._insert(rows)
        except DatabaseException as error:
            if "duplicate key" not in str(error).lower():
                raise
            raise AlreadyUnderWay(
                f"another run is sending {items[0].place} or an item of the same call right now. Wait for it to "
                "end, then start this run again; nothing of that call was sent."
            ) from error
        return call_id

    def _insert(self, rows: Sequence[Mapping[str, Any]]) -> None:
        parameters = {f"{name}_{at}": row.get(name) for at, row in enumerate(rows) for name in NAMES}
        places = (f"({', '.join(f'${name}_{at}' for name in NAMES)})" for at in range(len(rows)))
        self._session.query(
            f"INSERT INTO {DATASET}.{TABLE} ({', '.join(NAMES)}) VALUES {', '.join(places)}",  # noqa: S608
            **parameters,
        )

    def record_outcomes(
        self, call_id: str, items: Sequence[PlannedItem], results: Sequence[Result], answer: Any
    ) -> None:
        """Records the outcomes of the items of a call."""
        with self._session.transaction():
            for one, result in zip(items, results, strict=True):
                self._session.query(
                    f"UPDATE {DATASET}.{TABLE} SET outcome = $outcome, message = $message, answer = $answer, "  # noqa: S608
                    "found = $found, answered_at = $now, loaded = FALSE "
                    "WHERE call_id = $call_id AND key = $key",
                    outcome=result.outcome.value,
                    message=result.message,
                    answer=None if answer is None else as_json(answer),
                    found=as_json(result.values),
                    now=datetime.now(UTC),
                    call_id=call_id,
                    key=one.key,
                )

    def settle(self, entry: Entry, result: Result, settled_by: str) -> None:
        """Records a person's decision about an item whose response was lost."""
        self._session.query(
            f"UPDATE {DATASET}.{TABLE} SET outcome = $outcome, message = $message, found = $found, "  # noqa: S608
            "settled_by = $who, settled_at = $now, loaded = FALSE "
            "WHERE endpoint = $endpoint AND key = $key AND attempt = $attempt",
            outcome=result.outcome.value,
            message=result.message,
            found=as_json(entry.found | result.values),
            who=settled_by,
            now=datetime.now(UTC),
            endpoint=entry.endpoint,
            key=entry.key,
            attempt=entry.attempt,
        )

    def mark_loaded(self, entries: Sequence[Entry]) -> None:
        """Marks these entries as loaded into the result table."""
        calls = sorted({entry.call_id for entry in entries})
        for at in range(0, len(calls), AT_ONCE):
            wanted = {f"call_{number}": call_id for number, call_id in enumerate(calls[at : at + AT_ONCE])}
            self._session.query(
                f"UPDATE {DATASET}.{TABLE} SET loaded = TRUE WHERE outcome <> 'pending' "  # noqa: S608
                f"AND call_id IN ({', '.join(f'${name}' for name in wanted)})",
                **wanted,
            )


def _values_by_name(row: Sequence[Any]) -> dict[str, Any]:
    values = dict(zip(NAMES, row, strict=True))
    # SQLite has neither times nor booleans.
    times = {name: datetime.fromisoformat(text) for name in TIMES if isinstance(text := values[name], str)}
    return values | times | {"loaded": bool(values["loaded"])}


def as_json(value: Any) -> str:
    """Returns JSON that any warehouse can store. Amounts are strings, which keeps them exact."""
    return read_text(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))
