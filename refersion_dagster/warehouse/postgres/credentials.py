"""The credentials of PostgreSQL, from dlt's own configuration."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

import dlt
from dlt.common.configuration import configspec
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.typing import TSecretStrValue
from dlt.destinations.impl.postgres.configuration import PostgresClientConfiguration, PostgresCredentials

from refersion_dagster.installation import install_command
from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.warehouse.errors import WarehouseNotSet

# Packages of the extra `postgres`, by the module that shows whether they are installed.
DRIVERS = {"psycopg2": "psycopg2-binary", "adbc_driver_postgresql": "adbc-driver-postgresql"}
HOW_TO_SET = (
    "Set DESTINATION__POSTGRES__CREDENTIALS=postgresql://user:password@host:5432/database in .env, or "
    "[destination.postgres.credentials] in .dlt/secrets.toml; percent-encode special characters in the password, "
    "such as @ / : as %40 %2F %3A. The database name is required; host, user and password may come from the "
    "socket, PGHOST, PGUSER, PGPASSWORD and .pgpass, as with psql."
)
NEEDED = ("database",)
# A host, several, an IPv6 address, or a folder of sockets. Anything else here belongs to the password.
HOST = re.compile(r"/[\w./ -]*|[\w.:,%-]+")
# Where servers have their sockets. Without a host, psycopg2 and ADBC would each look in a different place.
SOCKETS = ("/var/run/postgresql", "/tmp")  # noqa: S108 - read, not written
# What names a server without a host, in the address or in the environment.
WITHOUT_HOST = {"hostaddr": "PGHOSTADDR", "service": "PGSERVICE"}


@configspec(init=False)
class EncodedCredentials(PostgresCredentials):
    """Credentials whose address every release of libpq reads, and in which only the database has to be named.

    dlt's own leaves blanks in the password as they are, which libpq refuses from release 17 on, with a message that
    holds the password.
    """

    username: str | None = None  # type: ignore[assignment]
    password: TSecretStrValue | None = None  # type: ignore[assignment]
    host: str | None = None  # type: ignore[assignment]
    # None where none is named: a port of ours would win over that of PGPORT or of a service.
    port: int | None = None  # type: ignore[assignment]

    def to_native_representation(self) -> str:
        server = {"host": self.host, "port": self.port, "user": self.username, "password": self.password}
        given = {name: str(value) for name, value in (server | self.get_query()).items() if value is not None}
        return f"postgresql:///{quote(self.database, safe='')}?{urlencode(given, quote_via=quote)}"

    @property
    def location(self) -> str:
        """Which database, without user and password."""
        host = self.host or ""
        shown = f"[{host}]" if ":" in host else quote(host, safe=",")
        if not host and any(self.get_query().get(name) or os.environ.get(WITHOUT_HOST[name]) for name in WITHOUT_HOST):
            return f"postgresql://{shown}{f':{self.port}' if self.port else ''}/{self.database}"
        return f"postgresql://{shown}:{_port(self.port, self.get_query())}/{self.database}"


@configspec(init=False)
class Configuration(PostgresClientConfiguration):
    """dlt's own, for a server that need not be named by its host."""

    credentials: EncodedCredentials = None  # type: ignore[assignment]

    def data_location(self) -> str:
        return super().data_location() if self.credentials.host else self.credentials.location


def postgres_credentials() -> EncodedCredentials:
    """The credentials that dlt finds, for sessions in UTC.

    Raises WarehouseNotSet, in words that hold nothing of them.
    """
    missing = [package for module, package in DRIVERS.items() if find_spec(module) is None]
    if missing:
        raise WarehouseNotSet(
            f"REFERSION_DESTINATION is postgres, which needs {' and '.join(missing)}. Install with: "
            f"{install_command('postgres')}"
        )
    destination = dlt.destinations.postgres()
    try:
        with Container().injectable_context(ConfigSectionContext(pipeline_name=PIPELINE)):
            configuration = destination.configuration(Configuration()._bind_dataset_name(DATASET), accept_partial=True)
    except ConfigurationException:
        raise WarehouseNotSet(f"PostgreSQL's credentials cannot be parsed. {HOW_TO_SET}") from None
    found: Any = configuration.credentials  # None where there is nothing at all
    absent = [name for name in NEEDED if getattr(found, name, None) is None]
    if absent:
        raise WarehouseNotSet(
            f"REFERSION_DESTINATION is postgres, and its credentials lack {', '.join(absent)}. {HOW_TO_SET}"
        )
    # SQLAlchemy's way to name a driver, postgresql+psycopg2://, is known here; PostgreSQL's own library knows it not.
    if found.drivername.partition("+")[0] not in ("postgres", "postgresql"):
        raise WarehouseNotSet(f"PostgreSQL's credentials have to begin with postgresql://. {HOW_TO_SET}")
    # Connections wait for Refersion, and what is idle for some minutes is cut by many networks.
    query = {"application_name": "refersion_dagster", "keepalives_idle": "30", **(found.query or {})}
    host = _host(found.host, found.port, query)
    # An address without a host whose password holds @ has the rest of the password in its database.
    if (host and not HOST.fullmatch(host)) or (not found.host and "@" in found.database):
        raise WarehouseNotSet(f"The host in PostgreSQL's credentials is not valid. {HOW_TO_SET}")
    credentials = EncodedCredentials()
    credentials.update({name: value for name, value in found.items() if name != "drivername"})
    credentials.host = host
    credentials.session_timezone = "UTC"
    credentials.query = query
    credentials.resolve()
    return credentials


def _port(named: int | None, query: dict[str, Any]) -> str:
    """The port, as libpq finds it beside a host."""
    return str(query.get("port") or named or os.environ.get("PGPORT") or 5432)


def _host(named: str | None, port: int | None, query: dict[str, Any]) -> str | None:
    """The host or folder of sockets: of the address, else as libpq looks for one. Takes it out of the query."""
    if host := query.pop("host", None) or unquote(named or "") or os.environ.get("PGHOST"):
        return str(host)
    if any(name in query or os.environ.get(variable) for name, variable in WITHOUT_HOST.items()):
        return None
    socket = f".s.PGSQL.{_port(port, query)}"
    return next((folder for folder in SOCKETS if Path(folder, socket).exists()), SOCKETS[0])
