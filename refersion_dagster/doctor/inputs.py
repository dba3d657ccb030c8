"""What the doctor is given: the settings of this folder, as every process that is started here has them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from refersion_dagster.automation.channels import URLS_VARIABLE
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.environment import VARIABLES, from_dlt
from refersion_dagster.resources import WAREHOUSE_VARIABLES, RefersionResource, Warehouse
from refersion_dagster.settings import Settings
from refersion_dagster.webhooks.signature import SECRET_VARIABLE

KEYS = ("public_key", "api_key", "graphql_token")
SECRET_VARIABLES = (*(VARIABLES[name] for name in (*KEYS, "pii_salt")), URLS_VARIABLE, SECRET_VARIABLE)
# Long enough for a slow answer, short enough to wait for.
ANSWER_SECONDS = 6.0
RETRY_SECONDS = 2
# A secret that is shorter is a word that messages may hold.
SHORTEST_SECRET = 6


@dataclass(frozen=True)
class DoctorInputs:
    """The account and the warehouse that the settings name.

    Args:
        environment: all variables, those of .env included.
        settings: where each variable comes from.
        values: arguments of the account that are set, in the environment or in dlt's configuration.
    """

    environment: Mapping[str, str]
    settings: Settings
    values: Mapping[str, str]

    @property
    def ours(self) -> list[str]:
        """The variables of ours that are set."""
        return [name for name in self.settings.sources if name.startswith("REFERSION_") and self.environment.get(name)]

    def account(self) -> RefersionClient:
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


def find_inputs(settings: Settings) -> DoctorInputs:
    """What is set now. The settings are those that were put into the environment, where dlt and Dagster look."""
    values = {name: value for name, variable in VARIABLES.items() if (value := os.environ.get(variable))}
    for name in VARIABLES.keys() - values.keys():
        if (found := from_dlt(name)) is not None:
            values[name] = found
    return DoctorInputs(dict(os.environ), settings, values)
