"""The right to write as a row of a table, for databases whose connections hold no lock.

The row names the holder and the time until which the right is valid, by the server's clock only. The holder extends it
from a thread. If the holder dies, the next run takes over once that time has passed.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC

from dlt.destinations.exceptions import DatabaseException

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.errors import ConcurrentChange, LeaseLost, WarehouseBusy, WarehouseError
from refersion_dagster.warehouse.session import Row, Session, UndefinedTable

TABLE = "writer_lease"
# The table and its one row are created in one statement: two inserts of the row would both succeed if keys are not
# enforced.
CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} AS
SELECT CAST('' AS TEXT) AS token, CAST('' AS TEXT) AS holder, CURRENT_TIMESTAMP AS taken_at,
  CURRENT_TIMESTAMP AS valid_until
"""
LOOK = f"SELECT token, holder, taken_at, valid_until > CURRENT_TIMESTAMP FROM {DATASET}.{TABLE}"  # noqa: S608 - ours
# A conditional update: of two concurrent ones, the second finds the row changed, or fails.
TAKE = """
UPDATE {table} SET token = $token, holder = $holder, taken_at = CURRENT_TIMESTAMP,
  valid_until = CURRENT_TIMESTAMP + INTERVAL '{seconds}' SECOND
WHERE valid_until <= CURRENT_TIMESTAMP
"""
EXTEND = """
UPDATE {table} SET valid_until = CURRENT_TIMESTAMP + INTERVAL '{seconds}' SECOND WHERE token = $token
"""
GIVE_BACK = f"UPDATE {DATASET}.{TABLE} SET token = '', valid_until = CURRENT_TIMESTAMP WHERE token = $token"  # noqa: S608
# Databases that do not make the second of two updates wait report an error, which a session may have converted. The
# next try finds the row taken.
TRIES = 5
RETRIED_AFTER = 0.2

OpenSession = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True)
class LeaseTerms:
    """How long the lease is valid without an extension, how often its holder extends it, and how often others check."""

    seconds: int = 120
    extended_every: float = 30
    looked_at_every: float = 5


def _read_clock() -> float:
    """Seconds on a clock that also runs while the machine sleeps, if the system has one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """The right to write of one run.

    Args:
        open_session: opens a separate connection for each statement, so that a broken one affects no other statement.
        location: the database as text.
    """

    def __init__(self, open_session: OpenSession, location: str, terms: LeaseTerms) -> None:
        self._open = open_session
        self._location = location
        self._terms = terms
        self._token = uuid.uuid4().hex
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._lost = False
        self._confirmed_at = 0.0
        self._thread = threading.Thread(target=self._keep_extending, name="writer lease", daemon=True)

    def acquire(self, timeout: float, tell: Callable[[str], None]) -> None:
        """Wait for the right to write. Raises WarehouseBusy after `timeout` seconds."""
        deadline, told = time.monotonic() + timeout, False
        with self._open() as session:
            _create(session)
            while not self._is_taken(session):
                writer = lease_holder(session)
                if time.monotonic() >= deadline:
                    raise WarehouseBusy(
                        f"Another run ({writer}) still writes to {self._location} after {timeout} s. Wait for that "
                        f"run to finish, or stop it, then start this one again; of a run that was killed, the right to "
                        f"write ends within {self._terms.seconds} s. Nothing was written."
                    )
                if not told:
                    tell(f"Another run ({writer}) is writing to {self._location}; waiting for it, up to {timeout} s.")
                    told = True
                time.sleep(self._terms.looked_at_every)
        self._thread.start()

    def _is_taken(self, session: Session) -> bool:
        """Take the right to write if no other run has it. Returns whether this run has it now."""
        for tries_left in reversed(range(TRIES)):
            if any(is_held for *_, is_held in self._select_row(session)):
                return False
            asked_at = _read_clock()
            try:
                session.query(self._statement(TAKE), token=self._token, holder=_holder())
            except (DatabaseException, ConcurrentChange):
                if not tries_left:
                    raise
                time.sleep(RETRIED_AFTER)
                continue
            if self._is_ours(session):
                self._confirmed_at = asked_at
                return True
        return False

    def check(self) -> None:
        """Raises LeaseLost unless this run is known to still have the right."""
        if not self._lost and _read_clock() - self._confirmed_at > self._terms.extended_every * 2:
            self._extend()
        if self._lost:
            raise LeaseLost(
                f"This run lost the right to write to {self._location}, as it could not extend it for more than "
                f"{self._terms.seconds} s, and another run has taken it. Tables that are complete stay. Start this run "
                "again when the other one has ended."
            )

    def give_back(self) -> None:
        """Release the lease for the next run. Raises LeaseLost if another run could already write."""
        self._ended.set()
        self._thread.join()
        try:
            if not self._lost:
                self._extend()
            self.check()
        finally:
            if not self._lost:
                with self._open() as session:
                    session.query(GIVE_BACK, token=self._token)

    def _keep_extending(self) -> None:
        while not self._ended.wait(self._terms.extended_every) and not self._lost:
            try:
                self._extend()
            except Exception as error:  # noqa: BLE001 - any error: the next try, `check` or `give_back` decides
                logging.getLogger(__name__).warning(
                    "The right to write to %s could not be extended; trying again: %s", self._location, error
                )

    def _extend(self) -> None:
        with self._turn:
            asked_at = _read_clock()
            with self._open() as session:
                session.query(self._statement(EXTEND), token=self._token)
                if self._is_ours(session):
                    self._confirmed_at = asked_at
                else:
                    self._lost = True

    def _is_ours(self, session: Session) -> bool:
        return [token for token, *_ in self._select_row(session)] == [self._token]

    def _select_row(self, session: Session) -> list[Row]:
        found = session.query(LOOK)
        if len(found) != 1:
            raise WarehouseError(
                f"{DATASET}.{TABLE} in {self._location} has {len(found)} rows instead of one, so it cannot say who may "
                "write. Drop that table while no run is writing, and start this run again. Nothing was written."
            )
        return found

    def _statement(self, text: str) -> str:
        return text.format(table=f"{DATASET}.{TABLE}", seconds=self._terms.seconds)


@contextmanager
def hold_lease(
    open_session: OpenSession,
    location: str,
    timeout: float,
    tell: Callable[[str], None],
    terms: LeaseTerms = LeaseTerms(),
) -> Iterator[Lease]:
    """The right to write for the duration of the context; see Database.write_lock.

    Raises WarehouseBusy, and LeaseLost at the end if another run could write meanwhile. An error raised in the context
    takes precedence.
    """
    lease = Lease(open_session, location, terms)
    lease.acquire(timeout, tell)
    try:
        yield lease
    except BaseException:
        with suppress(DatabaseException, WarehouseError):  # otherwise it expires
            lease.give_back()
        raise
    lease.give_back()


def lease_holder(session: Session) -> str:
    """A description of who has the right to write; empty if nobody has."""
    try:
        found = session.query(LOOK)
    except UndefinedTable:
        return ""
    return "".join(
        f"{holder}, since {taken_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        for _, holder, taken_at, is_held in found
        if is_held
    )


def _holder() -> str:
    return f"process {os.getpid()} on {platform.node()}"


def _create(session: Session) -> None:
    """Create the table if it does not exist. Of several concurrent attempts all but one fail, and then find it."""
    for tries_left in reversed(range(TRIES)):
        if session.columns(DATASET, TABLE):
            return
        try:
            session.create_schema(DATASET)
            session.query(CREATE)
        except (DatabaseException, ConcurrentChange):
            if not tries_left:
                raise
            time.sleep(RETRIED_AFTER)
