"""The credentials of PostgreSQL, from dlt's own configuration."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote, urlencode

import dlt
from dlt.common.configuration import configspec
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.destinations.impl.postgres.configuration import PostgresCredentials

from refersion_dagster.installation import install_command
from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.warehouse.errors import WarehouseNotSet

# Packages of the extra `postgres`, by the module that tells whether they are there.
DRIVERS = {"psycopg2": "psycopg2-binary", "adbc_driver_postgresql": "adbc-driver-postgresql"}
HOW_TO_SET = (
    "Set DESTINATION__POSTGRES__CREDENTIALS=postgresql://user:password@host:5432/database in .env, or "
    "[destination.postgres.credentials] in .dlt/secrets.toml; characters such as @ / : in the password are written "
    "%40 %2F %3A."
)
NEEDED = ("host", "database", "username", "password")
# A host, several, an IPv6 address, or a folder of sockets. Whatever else is here was meant for the password.
HOST = re.compile(r"[\w.:,%-]+")


@configspec(init=False)
class EncodedCredentials(PostgresCredentials):
    """Credentials whose address every release of libpq reads.

    dlt's own leaves blanks in the password as they are, which libpq refuses from release 17 on, with a message that
    holds the password.
    """

    def to_native_representation(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user, password, database = (quote(part, safe="") for part in (self.username, self.password, self.database))
        settings = urlencode({name: str(value) for name, value in self.get_query().items()}, quote_via=quote)
        return f"postgresql://{user}:{password}@{host}:{self.port}/{database}?{settings}"


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
            configuration = destination.configuration(
                destination.spec()._bind_dataset_name(DATASET), accept_partial=True
            )
    except ConfigurationException:
        raise WarehouseNotSet(f"PostgreSQL's credentials are not in a form that can be read. {HOW_TO_SET}") from None
    found: Any = configuration.credentials  # None where there is nothing at all
    absent = [name for name in NEEDED if getattr(found, name, None) is None]
    if absent:
        raise WarehouseNotSet(
            f"REFERSION_DESTINATION is postgres, and its credentials lack {', '.join(absent)}. {HOW_TO_SET}"
        )
    # SQLAlchemy's way to name a driver, postgresql+psycopg2://, is known here; PostgreSQL's own library knows it not.
    if found.drivername.partition("+")[0] not in ("postgres", "postgresql"):
        raise WarehouseNotSet(f"PostgreSQL's credentials have to begin with postgresql://. {HOW_TO_SET}")
    if not HOST.fullmatch(found.host):
        raise WarehouseNotSet(f"The host in PostgreSQL's credentials cannot be one. {HOW_TO_SET}")
    credentials = EncodedCredentials()
    credentials.update({name: value for name, value in found.items() if name != "drivername"})
    credentials.session_timezone = "UTC"
    # Connections wait for Refersion, and what is idle for some minutes is cut by many networks.
    credentials.query = {"application_name": "refersion_dagster", "keepalives_idle": "30", **(found.query or {})}
    credentials.resolve()
    return credentials
