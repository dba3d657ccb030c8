"""dlt's configuration of PostgreSQL. Importing this module requires no driver."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote, urlencode

import dlt
from dlt.common.configuration import configspec
from dlt.common.configuration.specs import ConnectionStringCredentials
from dlt.common.typing import TSecretStrValue
from dlt.destinations.impl.postgres.configuration import PostgresClientConfiguration, PostgresCredentials

from refersion_dagster.warehouse.dlt_internals.configuration import resolve_configuration

# Settings that identify a server without a host, in the address or in the environment.
WITHOUT_HOST = {"hostaddr": "PGHOSTADDR", "service": "PGSERVICE"}


@configspec(init=False)
class EncodedCredentials(PostgresCredentials):
    """Credentials whose address every release of libpq accepts. Only the database is required.

    dlt's own class leaves spaces in the password unencoded. libpq rejects that from release 17 on, with a message that
    contains the password.
    """

    username: str | None = None  # type: ignore[assignment]
    password: TSecretStrValue | None = None  # type: ignore[assignment]
    host: str | None = None  # type: ignore[assignment]
    # None unless it is configured: a default here would override PGPORT or a service's port.
    port: int | None = None  # type: ignore[assignment]

    def to_native_representation(self) -> str:
        return encode_address(self)

    @property
    def location(self) -> str:
        """The database, without user and password."""
        host = self.host or ""
        shown = f"[{host}]" if ":" in host else quote(host, safe=",")
        if not host and any(self.get_query().get(name) or os.environ.get(WITHOUT_HOST[name]) for name in WITHOUT_HOST):
            return f"postgresql://{shown}{f':{self.port}' if self.port else ''}/{self.database}"
        return f"postgresql://{shown}:{port_of(self.port, self.get_query())}/{self.database}"


@configspec(init=False)
class ServerConfiguration(PostgresClientConfiguration):
    """dlt's configuration, for a server that need not be identified by its host."""

    credentials: EncodedCredentials = None  # type: ignore[assignment]

    def data_location(self) -> str:
        return super().data_location() if self.credentials.host else self.credentials.location


def parse_address(address: str) -> ConnectionStringCredentials:
    """The credentials in an address. Raises dlt's ConfigurationException, and ValueError."""
    found = ConnectionStringCredentials()
    found.parse_native_representation(address)
    return found


def find_credentials(pipeline: str, dataset: str) -> PostgresCredentials | None:
    """dlt's configuration for the destination `postgres` of a pipeline, complete or not; None if there is none.

    Raises ConfigurationException for invalid values.
    """
    configuration, postgres = ServerConfiguration(), dlt.destinations.postgres()
    return resolve_configuration(postgres, configuration, pipeline, dataset, accept_partial=True).credentials


def encode_address(credentials: PostgresCredentials) -> str:
    """The address of a server in the form that every release of libpq accepts."""
    server = {
        "host": credentials.host,
        "port": credentials.port,
        "user": credentials.username,
        "password": credentials.password,
    }
    given = {name: str(value) for name, value in (server | credentials.get_query()).items() if value is not None}
    return f"postgresql:///{quote(credentials.database, safe='')}?{urlencode(given, quote_via=quote)}"


def port_of(named: int | None, query: dict[str, Any]) -> str:
    """The port, resolved as libpq does for a given host."""
    return str(query.get("port") or named or os.environ.get("PGPORT") or 5432)
