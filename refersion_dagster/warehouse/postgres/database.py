"""PostgreSQL as a warehouse: the database from dlt's own configuration, and write access."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any

from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.sql_client import SqlClientBase
from dlt.extract.source import DltSource

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.database import SCHEMAS, Schemas, WriteAccess
from refersion_dagster.warehouse.dlt_internals.postgres_settings import EncodedCredentials
from refersion_dagster.warehouse.errors import WarehouseBusy, WarehouseError, WarehouseUnreachable
from refersion_dagster.warehouse.postgres.credentials import postgres_credentials
from refersion_dagster.warehouse.postgres.errors import convert_error
from refersion_dagster.warehouse.postgres.session import PostgresSession, dialect_of
from refersion_dagster.warehouse.server.database import ServerDatabase
from refersion_dagster.warehouse.session import Session

POLL_SECONDS = 0.5
# The advisory locks that mean "a run is writing to these tables", of the usual schemas. The numbers are
# arbitrary but fixed.
LOCK = 7_381_026_455
# That of a journal of actions, which a run takes while it writes to another warehouse.
JOURNAL_LOCK = LOCK + 1
LOCK_HOLDER = """
SELECT a.pid, a.usename, coalesce(host(a.client_addr), 'the server itself'), a.application_name,
  to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
FROM pg_locks AS l
JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.classid = {high} AND l.objid = {low}
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
MAY_WRITE = """
SELECT has_database_privilege(current_database(), 'CREATE')
  OR (SELECT count(*) FROM pg_namespace
      WHERE nspname IN ({schemas})
        AND has_schema_privilege(nspname, 'CREATE')) = 3
"""
HOW_TO_GRANT = "GRANT CREATE ON DATABASE … TO that user, or let it own {}, {} and {}."
# The connection that holds the lock is idle for the duration of a load and must not be closed for that. If its machine
# disappears silently, the server has to notice within a minute or two. Each setting applies only if the server has it.
KEEP_LOCK = """
SELECT set_config(s.name, w.value, FALSE)
FROM pg_settings AS s
JOIN (
  VALUES ('idle_session_timeout', '0'), ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'),
    ('tcp_keepalives_count', '3')
) AS w (name, value) ON w.name = s.name
"""


class PostgresDatabase(ServerDatabase):
    """A PostgreSQL database.

    Args:
        credentials: how to get them; defaults to dlt's configuration.
        lock: the number of the advisory lock; None for that of the schemas.
        schemas: the schemas of raw tables and of summaries. Runs with different schemas of raw tables write at the
            same time.
    """

    def __init__(
        self,
        credentials: Callable[[], EncodedCredentials] = postgres_credentials,
        lock: int | None = None,
        schemas: Schemas = SCHEMAS,
    ) -> None:
        self._credentials = credentials
        self._schemas = schemas
        self._lock = lock_of(schemas.data) if lock is None else lock

    @property
    def location(self) -> str:
        return self._credentials().location

    @contextmanager
    def open_destination(self) -> Iterator[Any]:
        credentials = self._credentials()
        from refersion_dagster.warehouse.dlt_internals.postgres import row_group_destination

        yield row_group_destination(credentials)

    def prepare(self, source: DltSource) -> DltSource:
        """dlt repeats a copy whose response was lost, so rows may exist twice before they are merged."""
        for resource in source.resources.values():
            resource.apply_hints(write_disposition={"disposition": "merge", "strategy": "delete-insert"})
        return source

    def client(self) -> SqlClientBase[Any]:
        credentials = self._credentials()
        # Imported here because it needs psycopg2, which only the extra `postgres` installs.
        from refersion_dagster.warehouse.dlt_internals.postgres import server_client

        return server_client(credentials, self._schemas.data)

    def session_of(self, client: SqlClientBase[Any], read_only: bool) -> PostgresSession:
        session = PostgresSession(client, dialect_of(client.native_connection.server_version))
        if read_only:
            session.native("SET default_transaction_read_only = on")
        return session

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return convert_error(error)

    @contextmanager
    def write_lock(self, timeout: float, tell: Callable[[str], None]) -> Iterator[None]:
        """Runs on any machine queue at an advisory lock: dlt merges through a schema that two runs cannot share.

        The lock belongs to a connection, so a run that dies releases it. Raises WarehouseUnreachable at the end if that
        connection broke meanwhile.
        """
        with self.session() as session:
            session.native(KEEP_LOCK)
            self._take_lock(session, timeout, tell)
            try:
                yield
            except BaseException:
                with suppress(DatabaseException, WarehouseError):  # closing the connection releases it too
                    self._give_lock_back(session)
                raise
            with suppress(WarehouseUnreachable):
                if self._give_lock_back(session):
                    return
            raise WarehouseUnreachable(
                f"The connection that kept other runs from writing to {self.location} broke while this run was "
                "writing. Start the run again, because another run may have written at the same time."
            )

    def _take_lock(self, session: Session, timeout: float, tell: Callable[[str], None]) -> None:
        deadline, told = time.monotonic() + timeout, False
        while session.native(f"SELECT pg_try_advisory_lock({self._lock})") != [(True,)]:
            who = writer(session, self._lock)
            if time.monotonic() >= deadline:
                raise WarehouseBusy(
                    f"Another run{who} still writes to {self.location} after {timeout} s. Wait for that "
                    "run to finish, or stop it, then start this one again. Nothing was written."
                )
            if not told:
                tell(f"Another run{who} is writing to {self.location}; waiting for it, up to {timeout} s.")
                told = True
            time.sleep(POLL_SECONDS)

    def _give_lock_back(self, session: Session) -> bool:
        return session.native(f"SELECT pg_advisory_unlock({self._lock})") == [(True,)]

    def write_access(self, session: Session) -> WriteAccess:
        schemas = (self._schemas.data, f"{self._schemas.data}_staging", self._schemas.summaries)
        is_granted = session.native(MAY_WRITE.format(schemas=str(schemas)[1:-1])) == [(True,)]
        return WriteAccess(is_granted, HOW_TO_GRANT.format(*schemas), writer(session, self._lock).strip(" ()"))


def lock_of(data_schema: str) -> int:
    """The number of the advisory lock for a schema of raw tables."""
    return LOCK if data_schema == DATASET else int.from_bytes(sha256(data_schema.encode()).digest()[:7])


def writer(session: Session, lock: int = LOCK) -> str:
    """A description of who holds the lock; empty if the holder has just left."""
    return "".join(
        f" (process {pid} of {user} from {address}, {application or 'nameless'}, connected since {since} UTC)"
        for pid, user, address, application, since in session.native(
            LOCK_HOLDER.format(high=lock >> 32, low=lock & 0xFFFFFFFF)
        )[:1]
    )
