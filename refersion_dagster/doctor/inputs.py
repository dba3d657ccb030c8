"""What the doctor is given: the settings of this folder, as every process that is started here has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from refersion_dagster.automation.channels import unusable
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.environment import from_dlt
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.settings import SECRET_VARIABLES, AccountSettings, Settings, WarehouseSettings
from refersion_dagster.settings.part import PREFIX

KEYS = ("public_key", "api_key", "graphql_token")
# Long enough for a slow answer, short enough to wait for.
ANSWER_SECONDS = 6.0
RETRY_SECONDS = 2
# A secret that is shorter is a word that messages may hold.
SHORTEST_SECRET = 6


@dataclass(frozen=True)
class DoctorInputs:
    """The account and the warehouse that the settings name.

    Args:
        settings: what is set in the environment and in .env.
        values: arguments of the account that are set, there or in dlt's configuration.
    """

    settings: Settings
    values: Mapping[str, str]

    @property
    def ours(self) -> list[str]:
        """The variables of ours that are set."""
        return [name for name in self.settings.sources if name.startswith(PREFIX) and name in self.settings.variables]

    @property
    def problems(self) -> list[str]:
        """Each setting that a run would stumble over, in the words of the run; what dlt's configuration says, too."""
        variables = {AccountSettings.variable(name): value for name, value in self.values.items()}
        settings = Settings.of({**self.settings.variables, **variables})
        return [*settings.problems.values(), *unusable(settings.alerts)]

    def account(self) -> RefersionClient:
        """Clients that wait for seconds only. Settings that make no sense are left at their default."""
        sensible: dict[str, Any] = {
            name: value for name, value in self.values.items() if name in (*KEYS, "rest_url", "graphql_url")
        }
        account = RefersionResource(**sensible).account(RETRY_SECONDS)
        return replace(account, answer_seconds=ANSWER_SECONDS)

    def warehouse(self) -> Warehouse:
        """The warehouse. Settings that make no sense are left at their default, but for the destination."""
        variable = WarehouseSettings.variable("destination")
        if variable in self.settings.problems:
            return Warehouse(destination=self.settings.variables[variable])
        return Warehouse.of(self.settings.warehouse)

    @property
    def secrets(self) -> list[str]:
        """Every secret there is, the parts of pairs and lists included, longest first."""
        # The address of PostgreSQL is none in whole: the warehouse shows it without the password.
        ours = {name for name in SECRET_VARIABLES if name.startswith(PREFIX)}
        texts = [text for name, text in self.settings.variables.items() if name in ours]
        texts += [value for name, value in self.values.items() if name in AccountSettings.secrets()]
        parts = {part for text in texts for part in (text, *text.replace(".", " ").replace(",", " ").split())}
        return sorted((part for part in parts if len(part) >= SHORTEST_SECRET), key=len, reverse=True)


def find_inputs(settings: Settings) -> DoctorInputs:
    """What is set now, in the environment or in dlt's configuration."""
    variables = AccountSettings.variables()
    values = {name: value for name, variable in variables.items() if (value := settings.variables.get(variable))}
    for name in variables.keys() - values.keys():
        if (found := from_dlt(name)) is not None:
            values[name] = found
    return DoctorInputs(settings, values)
