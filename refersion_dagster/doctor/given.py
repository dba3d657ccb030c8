"""What the doctor is given: settings of the environment and `.env`, as a run of Dagster in this folder has them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import dlt

from refersion_dagster.automation.notify import URLS_VARIABLE
from refersion_dagster.refersion.account import Account
from refersion_dagster.refersion.environment import INTEGERS, VARIABLES
from refersion_dagster.resources import WAREHOUSE_VARIABLES, RefersionResource, Warehouse
from refersion_dagster.webhooks.signature import SECRET_VARIABLE

KEYS = ("public_key", "api_key", "graphql_token")
SECRET_VARIABLES = (*(VARIABLES[name] for name in (*KEYS, "pii_salt")), URLS_VARIABLE, SECRET_VARIABLE)
# Long enough for a slow answer, short enough to wait for.
ANSWER_SECONDS = 6.0
RETRY_SECONDS = 2
# A secret that is shorter is a word that messages may hold.
SHORTEST_SECRET = 6


@dataclass(frozen=True)
class Given:
    """The account and the warehouse that the settings name.

    Args:
        environment: all variables, those of .env included.
        sources: where each variable of ours comes from: "environment" or ".env".
        values: arguments of the account that are set, in the environment or in dlt's configuration.
    """

    environment: Mapping[str, str]
    sources: Mapping[str, str]
    values: Mapping[str, str]

    def account(self) -> Account:
        """Clients that wait for seconds only. Settings that make no sense are left at their default."""
        sensible: dict[str, Any] = {
            name: value for name, value in self.values.items() if name in (*KEYS, "rest_url", "graphql_url")
        }
        account = RefersionResource(**sensible).account(RETRY_SECONDS)
        return replace(account, answer_seconds=ANSWER_SECONDS)

    def warehouse(self) -> Warehouse:
        """The warehouse, with its lock's timeout left at the default where it makes no sense."""
        given: dict[str, Any] = {
            field: value for field, name in WAREHOUSE_VARIABLES.items() if (value := self.environment.get(name))
        }
        timeout = given.pop("lock_timeout_seconds", "").strip()
        if timeout.isdigit():
            given["lock_timeout_seconds"] = int(timeout)
        return Warehouse(**given)

    @property
    def secrets(self) -> list[str]:
        """Every secret there is, the parts of pairs and lists included, longest first."""
        texts = [self.environment.get(name, "") for name in SECRET_VARIABLES]
        texts += [value for name, value in self.values.items() if name in (*KEYS, "pii_salt")]
        parts = {part for text in texts for part in (text, *text.replace(".", " ").replace(",", " ").split())}
        return sorted((part for part in parts if len(part) >= SHORTEST_SECRET), key=len, reverse=True)


def find_given(dotenv: Mapping[str, str | None]) -> Given:
    """What is set now.

    Args:
        dotenv: what .env says. It counts where the environment says nothing, and is put into the environment, where
            dlt and Dagster look.
    """
    from_file = {name: value for name, value in dotenv.items() if value is not None and name not in os.environ}
    os.environ.update(from_file)
    ours = [name for name in os.environ if name.startswith("REFERSION_") and os.environ[name]]
    sources = {name: ".env" if name in from_file else "environment" for name in sorted(ours)}
    values = {name: value for name, variable in VARIABLES.items() if (value := os.environ.get(variable))}
    for name in VARIABLES.keys() - values.keys():
        if (found := _in_dlts_configuration(name)) is not None:
            values[name] = found
    return Given(dict(os.environ), sources, values)


def _in_dlts_configuration(name: str) -> str | None:
    """A setting of [sources.refersion_source] in .dlt/secrets.toml or .dlt/config.toml, as a run would find it."""
    place = f"sources.refersion_source.{name}"
    kind = int if name in INTEGERS else str
    found = dlt.secrets.get(place, kind)
    if found is None:
        found = dlt.config.get(place, kind)
    return None if found is None else str(found)
