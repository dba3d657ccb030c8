"""A lake: the locations of its catalogue and files, from dlt's own configuration, and DuckDB's access to them."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from dlt.common.configuration.exceptions import ConfigurationException

from refersion_dagster.installation import install_command, is_installed
from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.warehouse.ducklake.errors import convert_lake_error
from refersion_dagster.warehouse.errors import WarehouseNotSet
from refersion_dagster.warehouse.postgres.credentials import complete
from refersion_dagster.warehouse.postgres.database import PostgresDatabase

if TYPE_CHECKING:
    from refersion_dagster.warehouse.dlt_internals.ducklake import LakeCredentials
    from refersion_dagster.warehouse.dlt_internals.postgres_settings import EncodedCredentials

HOW_TO_SET = (
    "Set DESTINATION__DUCKLAKE__CREDENTIALS__CATALOG=postgresql://user:password@host:5432/database and "
    "DESTINATION__DUCKLAKE__CREDENTIALS__STORAGE__BUCKET_URL=s3://bucket/folder (or a folder of this machine) in .env, "
    "or [destination.ducklake.credentials] in .dlt/secrets.toml."
)
# The DuckDB extensions that a catalogue and files need, by the prefix of their addresses.
CATALOGUES = {
    "postgres": "postgres_scanner",
    "postgresql": "postgres_scanner",
    "sqlite": "sqlite_scanner",
    "duckdb": None,
}
STORAGES = {"file": None, "s3": "httpfs", "az": "azure", "abfss": "azure", "gs": "httpfs", "gcs": "httpfs"}
SERVERS = ("postgres", "postgresql")


# Number of users of each DuckDB that has a lake attached. Opening one loads extensions, which takes a second.
_USERS: Counter[str] = Counter()
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Lake:
    """A lake with a complete dlt configuration."""

    credentials: LakeCredentials

    @classmethod
    def configured(cls) -> Lake:
        """The configured lake. Raises WarehouseNotSet, with a message that reveals no credentials."""
        from refersion_dagster.warehouse.dlt_internals.ducklake import find_lake

        try:
            found = find_lake(PIPELINE, DATASET)
        except ConfigurationException:
            raise WarehouseNotSet(f"DuckLake's configuration cannot be read. {HOW_TO_SET}") from None
        catalogue, storage = getattr(found, "catalog", None), getattr(found, "storage", None)
        given = {"catalog": getattr(catalogue, "drivername", None), "storage": getattr(storage, "bucket_url", None)}
        absent = [name for name, value in given.items() if not value]
        if found is None or absent:
            raise WarehouseNotSet(
                f"REFERSION_DESTINATION is ducklake, and its configuration lacks {' and '.join(absent)}. {HOW_TO_SET}"
            )
        for what, given, known in (
            ("catalogue", found.catalog.drivername, CATALOGUES),
            ("storage", found.storage.protocol, STORAGES),
        ):
            if given not in known:
                raise WarehouseNotSet(f"DuckLake's {what} cannot be {given}; it can be {', '.join(known)}.")
        if not found.catalog.database:
            raise WarehouseNotSet(f"DuckLake's catalogue names no database. {HOW_TO_SET}")
        if found.catalog.drivername not in SERVERS:
            found.catalog.database = str(Path(found.catalog.database).expanduser().resolve())
        found.resolve()
        return cls(found)

    @property
    def schema(self) -> str:
        """The server's schema that holds the catalogue's tables."""
        return self.credentials.metadata_schema or self.credentials.ducklake_name

    @property
    def server(self) -> PostgresDatabase | None:
        """The PostgreSQL database that holds the catalogue; None if a file does."""
        if self.credentials.catalog.drivername not in SERVERS:
            return None
        return PostgresDatabase(self._server_credentials)

    @property
    def file(self) -> Path | None:
        """The file that holds the catalogue; None if a server does."""
        return None if self.server else Path(str(self.credentials.catalog.database))

    @property
    def location(self) -> str:
        """The location, without credentials."""
        catalogue = f"{self._server_credentials().location}#{self.schema}" if self.server else str(self.file)
        return f"ducklake:{catalogue} with files in {self.credentials.storage_url}"

    @property
    def exists(self) -> bool:
        """Whether the lake has been created. Raises WarehouseUnreachable and WarehouseForbidden."""
        if self.server is None:
            return self.file is not None and self.file.exists()
        with self.server.session(read_only=True) as session:
            made = session.query(
                "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = $schema AND tablename = $table",
                schema=self.schema,
                table="ducklake_metadata",
            )
        return made == [(1,)]

    @contextmanager
    def attach(self, read_only: bool = False) -> Iterator[LakeCredentials]:
        """Attach the lake to an in-memory DuckDB of this process. The yielded credentials open connections to it.

        Concurrent users share one attachment. Raises WarehouseError.
        """
        from refersion_dagster.warehouse.dlt_internals.ducklake import CONNECTIONS, in_memory

        name = f"{self._digest}{' read only' if read_only else ''}"
        with _LOCK:
            if name not in CONNECTIONS:
                CONNECTIONS[name] = self._open(read_only)
            _USERS[name] += 1
        try:
            yield in_memory(self.credentials, name)
        finally:
            with _LOCK:
                _USERS[name] -= 1
                if not _USERS[name]:
                    CONNECTIONS.pop(name).close()

    def _open(self, read_only: bool) -> duckdb.DuckDBPyConnection:
        from refersion_dagster.warehouse.dlt_internals.ducklake import LAKE, storage_secrets

        if self.file is not None and not read_only:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect()
        try:
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            for extension in self._extensions():
                connection.execute(f"LOAD {_literal(str(extension))}")
            for statement in (*storage_secrets(self.credentials), *self._catalogue_secret()):
                connection.execute(statement)
            connection.execute(self._attach_statement(LAKE, read_only))
        except duckdb.Error as error:
            connection.close()
            # The cause is left out, because it may quote a statement that contains a key.
            raise convert_lake_error(error, self.location) or WarehouseNotSet(
                f"{self.location} cannot be opened: {_first_line(error)}. {HOW_TO_SET}"
            ) from None
        return connection

    def _extensions(self) -> Iterator[Path]:
        """Files of the extensions that are installed as Python packages. DuckDB finds all others itself."""
        needed = (
            "ducklake",
            CATALOGUES[str(self.credentials.catalog.drivername)],
            STORAGES[self.credentials.storage.protocol],
        )
        for name in needed:
            found = find_spec(f"duckdb_extension_{name}") if name else None
            for folder in (found.submodule_search_locations or ()) if found else ():
                path = Path(folder, "extensions", f"v{duckdb.__version__}", f"{name}.duckdb_extension")
                if path.exists():
                    yield path

    def _catalogue_secret(self) -> Iterator[str]:
        """A statement that gives DuckDB access to the catalogue. Errors do not quote it, unlike an address."""
        if self.server is None:
            return
        server = self._server_credentials()
        given = {
            "HOST": server.host,
            "PORT": server.port,
            "DATABASE": server.database,
            "USER": server.username,
            "PASSWORD": server.password,
        }
        values = ", ".join(f"{name} {_literal(str(value))}" for name, value in given.items() if value is not None)
        yield f"CREATE OR REPLACE SECRET {self._secret} (TYPE postgres, {values})"

    def _attach_statement(self, name: str, read_only: bool) -> str:
        options = [f"DATA_PATH {_literal(self.credentials.storage_url.rstrip('/') + '/')}"]
        if self.server is not None:
            more = _keywords(self._server_credentials().get_query())
            path = f"ducklake:postgres:{more}"
            options += [f"METADATA_SCHEMA {_literal(self.schema)}", f"META_SECRET {self._secret}"]
        elif self.credentials.catalog.drivername == "sqlite":
            path = f"ducklake:{self.file}"
            options += ["META_TYPE 'sqlite'", "META_JOURNAL_MODE 'WAL'", "META_BUSY_TIMEOUT 1000"]
        else:
            path = f"ducklake:{self.file}"
        if read_only:
            options.append("READ_ONLY")
        return f"ATTACH IF NOT EXISTS {_literal(path)} AS {name} ({', '.join(options)})"

    def _server_credentials(self) -> EncodedCredentials:
        if not is_installed("psycopg2"):
            raise WarehouseNotSet(
                f"A catalogue in PostgreSQL needs psycopg2-binary. Install with: {install_command('ducklake')}"
            )
        return complete(self.credentials.catalog, HOW_TO_SET)

    @property
    def _secret(self) -> str:
        return f"refersion_catalogue_{self._digest}"

    @property
    def _digest(self) -> str:
        """A unique name for each lake."""
        return hashlib.sha256(self.location.encode()).hexdigest()[:16]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _keywords(query: Mapping[str, object]) -> str:
    """Settings as libpq keywords."""
    quoted = {name: str(value).replace("\\", "\\\\").replace("'", "\\'") for name, value in query.items()}
    return " ".join(f"{name}='{value}'" for name, value in quoted.items())


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
