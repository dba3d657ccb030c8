"""dlt's configuration of PostgreSQL. Importing it needs no driver."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote, urlencode

import dlt
from dlt.common.configuration import configspec
from dlt.common.typing import TSecretStrValue
from dlt.destinations.impl.postgres.configuration import PostgresClientConfiguration, PostgresCredentials

from refersion_dagster.warehouse.dlt_internals.configuration import resolve_configuration

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
        return f"postgresql://{shown}:{port_of(self.port, self.get_query())}/{self.database}"


@configspec(init=False)
class ServerConfiguration(PostgresClientConfiguration):
    """dlt's own, for a server that need not be named by its host."""

    credentials: EncodedCredentials = None  # type: ignore[assignment]

    def data_location(self) -> str:
        return super().data_location() if self.credentials.host else self.credentials.location


def find_credentials(pipeline: str, dataset: str) -> PostgresCredentials | None:
    """What dlt's configuration says for the destination `postgres` of a pipeline, complete or not; None for nothing.

    Raises ConfigurationException for what cannot be read.
    """
    configuration, postgres = ServerConfiguration(), dlt.destinations.postgres()
    return resolve_configuration(postgres, configuration, pipeline, dataset, accept_partial=True).credentials


def port_of(named: int | None, query: dict[str, Any]) -> str:
    """The port, as libpq finds it beside a host."""
    return str(query.get("port") or named or os.environ.get("PGPORT") or 5432)
