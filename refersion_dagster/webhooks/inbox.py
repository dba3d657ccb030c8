"""The inbox: events as received, stored on disk until a run has loaded them into the warehouse.

One SQLite file (WAL), shared by any number of processes on one machine: receivers add, runs drain. An event is
identified by its topic and body, so a repeated event is stored once. Draining deletes its body; its id is kept for
`REMEMBERED`. Numbers (`seq`) increase with each event and are never reused. Writers hold SQLite's write lock until the
commit, so that no event can appear below a number that was already read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from refersion_dagster.webhooks.inbox_file import InboxError, convert_errors, open_file, transaction

REMEMBERED = timedelta(days=180)

# Number of rows per commit when many are drained. Commits are short, because receivers wait for them.
ROWS_PER_COMMIT = 5_000
# Total size of bodies that are read together.
READ_BYTES = 16_000_000
STORED, REPEATED = "stored", "repeated"

ADD = "INSERT INTO events (event_id, topic, received_at, body) VALUES (?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING"
COUNT = "INSERT INTO counts VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET count = count + excluded.count"
READ = """
SELECT seq, event_id, topic, body, received_at FROM events
WHERE drained_at IS NULL AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?
"""
ACKNOWLEDGE = """
UPDATE events SET body = NULL, drained_at = ?
WHERE seq IN (SELECT seq FROM events WHERE drained_at IS NULL AND seq <= ? ORDER BY seq LIMIT ?)
"""
FORGET = "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE drained_at < ? LIMIT ?)"


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event as received."""

    topic: str
    body: bytes
    received_at: datetime

    @property
    def event_id(self) -> bytes:
        """Identifies the event: SHA-256 of topic, a line feed and body. (A topic contains no line feed.)"""
        return hashlib.sha256(self.topic.encode() + b"\n" + self.body).digest()


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in the inbox. `seq` is its position in the order of arrival, `event_id` is lower-case hex."""

    seq: int
    event_id: str
    topic: str
    body: bytes
    received_at: datetime


@dataclass(frozen=True)
class InboxState:
    """The state of the inbox.

    Args:
        waiting: number of events that no run has drained yet.
        newest: `seq` of the newest event ever added, 0 if there was none.
        oldest_at: when the oldest waiting event was received; None if none is waiting.
        counts: how many events were ever stored, repeated and refused, by kind.
    """

    waiting: int
    newest: int
    oldest_at: datetime | None
    counts: Mapping[str, int]


class Inbox:
    """An open inbox, for one thread at a time.

    Args:
        path: the file.
        create: create the file if it does not exist; otherwise raise NoInbox.
        max_bytes: maximum size of the file; events beyond it are not added. Runs that drain set no limit, because
        draining needs some space first.
    """

    def __init__(self, path: Path, *, create: bool = False, max_bytes: int | None = None) -> None:
        self.path = path.expanduser().resolve()
        self._create = create
        self._max_bytes = max_bytes
        self._open()

    def _open(self) -> None:
        self._connection = open_file(self.path, create=self._create, max_bytes=self._max_bytes)
        self._file = self._identity()

    def __enter__(self) -> Inbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def add(self, events: Sequence[ReceivedEvent]) -> list[bool]:
        """Adds events, all or none. They are on disk when this returns.

        Returns for each event whether it is new; known events are not added again. Raises InboxError if the disk or
        the inbox is full, or if another process holds the lock.
        """
        if self._identity() != self._file:
            # The file was replaced or deleted: SQLite would keep writing to the deleted one.
            self.close()
            self._open()
        with convert_errors(self.path, "cannot store an event"), transaction(self._connection):
            new = [
                self._connection.execute(
                    ADD, (event.event_id, event.topic, _microseconds(event.received_at), event.body)
                ).rowcount
                == 1
                for event in events
            ]
            self._connection.executemany(COUNT, [(STORED, sum(new)), (REPEATED, len(new) - sum(new))])
        return new

    def count(self, kinds: Mapping[str, int]) -> None:
        """Adds to the counts of refused events."""
        with convert_errors(self.path, "cannot store counts"), transaction(self._connection):
            self._connection.executemany(COUNT, list(kinds.items()))

    def state(self) -> InboxState:
        with convert_errors(self.path, "cannot be read"):
            waiting, oldest = self._connection.execute(
                "SELECT count(*), min(received_at) FROM events WHERE drained_at IS NULL"
            ).fetchone()
            found = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
            counts = dict(self._connection.execute("SELECT kind, count FROM counts"))
        return InboxState(waiting, found[0] if found else 0, _moment(oldest) if oldest else None, counts)

    def read(
        self, after: int = 0, *, up_to: int = 2**62, rows: int = 10_000, size: int = READ_BYTES
    ) -> list[StoredEvent]:
        """Waiting events in order: those after one `seq`, up to another, limited by number and total size.

        Returns at least one event, regardless of its size. Events stay in the inbox until they are acknowledged.
        """
        kept: list[StoredEvent] = []
        held = 0
        with (
            convert_errors(self.path, "cannot be read"),
            closing(self._connection.execute(READ, (after, up_to, rows))) as found,
        ):
            for seq, event_id, topic, body, received_at in found:
                held += len(body)
                if kept and held > size:
                    break
                kept.append(StoredEvent(seq, event_id.hex(), topic, body, _moment(received_at)))
        return kept

    def acknowledge(self, up_to: int) -> int:
        """Marks all events up to a `seq` as drained and deletes their bodies. Returns how many there were.

        If interrupted, the remaining events stay in the inbox and are drained again.
        """
        acknowledged = 0
        now = datetime.now(UTC)
        with convert_errors(self.path, "cannot be written"):
            while True:
                with transaction(self._connection):
                    changed = self._connection.execute(
                        ACKNOWLEDGE, (_microseconds(now), up_to, ROWS_PER_COMMIT)
                    ).rowcount
                    self._connection.execute(FORGET, (_microseconds(now - REMEMBERED), ROWS_PER_COMMIT))
                acknowledged += changed
                if changed < ROWS_PER_COMMIT:
                    return acknowledged

    @contextmanager
    def draining(self, seconds: float = 60) -> Iterator[None]:
        """Holds the lock for draining, for one process at a time. The system releases it if the process dies.

        Raises InboxError if another process holds it for longer than `seconds`.
        """
        lock = drain_lock(self.path)
        try:
            lock.acquire(timeout=seconds)
        except Timeout:
            raise InboxError(f"Another run is reading {self.path} and loads its events.") from None
        try:
            yield
        finally:
            lock.release()

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino


def drain_lock(path: Path) -> FileLock:
    """The lock of `Inbox.draining`."""
    return FileLock(f"{path.expanduser().resolve()}.draining")


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _moment(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
