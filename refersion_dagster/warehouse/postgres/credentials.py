"""The credentials of PostgreSQL, from dlt's own configuration."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dlt.common.configuration.exceptions import ConfigurationException

from refersion_dagster.installation import install_command, is_installed
from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.warehouse.dlt_internals.postgres_settings import (
    WITHOUT_HOST,
    EncodedCredentials,
    find_credentials,
    parse_address,
    port_of,
)
from refersion_dagster.warehouse.errors import WarehouseNotSet

# Packages of the extra `postgres`, keyed by the module that shows whether the package is installed.
DRIVERS = {"psycopg2": "psycopg2-binary", "adbc_driver_postgresql": "adbc-driver-postgresql"}
HOW_TO_WRITE = (
    "Percent-encode special characters in the password, such as @ / : as %40 %2F %3A. The database name is required; "
    "host, user and password may come from the socket, PGHOST, PGUSER, PGPASSWORD and .pgpass, as with psql."
)
HOW_TO_SET = (
    "Set DESTINATION__POSTGRES__CREDENTIALS=postgresql://user:password@host:5432/database in .env, or "
    f"[destination.postgres.credentials] in .dlt/secrets.toml. {HOW_TO_WRITE}"
)
NEEDED = ("database",)
# One or more hosts, an IPv6 address, or a socket directory. Anything else here belongs to the password.
HOST = re.compile(r"/[\w./ -]*|[\w.:,%-]+")
# Directories of server sockets. Without a host, psycopg2 and ADBC would each look in a different place.
SOCKETS = ("/var/run/postgresql", "/tmp")  # noqa: S108 - read, not written


def postgres_credentials() -> EncodedCredentials:
    """The credentials that dlt finds, for sessions in UTC.

    Raises WarehouseNotSet, with a message that reveals no credentials.
    """
    _check_drivers("REFERSION_DESTINATION is postgres")
    try:
        found: Any = find_credentials(PIPELINE, DATASET)
    except ConfigurationException:
        raise WarehouseNotSet(f"PostgreSQL's credentials cannot be parsed. {HOW_TO_SET}") from None
    return complete(found, HOW_TO_SET)


def credentials_of_address(address: str, variable: str) -> EncodedCredentials:
    """The credentials in an address that is set on its own, for sessions in UTC.

    Raises WarehouseNotSet, with a message that reveals no credentials.

    Args:
        variable: the variable that sets it.
    """
    _check_drivers(f"{variable} is a PostgreSQL database")
    try:
        found = parse_address(address)
    except (ConfigurationException, ValueError):
        raise WarehouseNotSet(f"The address in {variable} cannot be parsed. {HOW_TO_WRITE}") from None
    return complete(found, f"Correct {variable}. {HOW_TO_WRITE}")


def _check_drivers(what: str) -> None:
    missing = [package for module, package in DRIVERS.items() if not is_installed(module)]
    if missing:
        raise WarehouseNotSet(
            f"{what}, which needs {' and '.join(missing)}. Install with: {install_command('postgres')}"
        )


def complete(found: Any, how_to_set: str) -> EncodedCredentials:
    """Credentials that dlt found, for sessions in UTC, completed with what libpq finds elsewhere.

    Raises WarehouseNotSet, with a message that reveals no credentials.

    Args:
        how_to_set: how to complete incomplete credentials.
    """
    absent = [name for name in NEEDED if getattr(found, name, None) is None]
    if absent:
        raise WarehouseNotSet(f"PostgreSQL's credentials lack {', '.join(absent)}. {how_to_set}")
    # SQLAlchemy's form that names a driver, postgresql+psycopg2://, is accepted here. PostgreSQL's own library rejects
    # it.
    if found.drivername.partition("+")[0] not in ("postgres", "postgresql"):
        raise WarehouseNotSet(f"PostgreSQL's credentials have to begin with postgresql://. {how_to_set}")
    # Connections wait for Refersion, and many networks drop connections that are idle for some minutes.
    query = {"application_name": "refersion_dagster", "keepalives_idle": "30", **(found.query or {})}
    host = _host(found.host, found.port, query)
    # In an address without a host whose password contains @, the rest of the password ends up in the database name.
    if (host and not HOST.fullmatch(host)) or (not found.host and "@" in found.database):
        raise WarehouseNotSet(f"The host in PostgreSQL's credentials is not valid. {how_to_set}")
    credentials = EncodedCredentials()
    credentials.update({name: value for name, value in found.items() if name != "drivername"})
    credentials.host = host
    credentials.session_timezone = "UTC"
    credentials.query = query
    credentials.resolve()
    return credentials


def _host(named: str | None, port: int | None, query: dict[str, Any]) -> str | None:
    """The host or socket directory: from the address, or as libpq finds one. Removes it from the query."""
    if host := query.pop("host", None) or unquote(named or "") or os.environ.get("PGHOST"):
        return str(host)
    if any(name in query or os.environ.get(variable) for name, variable in WITHOUT_HOST.items()):
        return None
    socket = f".s.PGSQL.{port_of(port, query)}"
    return next((folder for folder in SOCKETS if Path(folder, socket).exists()), SOCKETS[0])
