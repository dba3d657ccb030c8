"""The doctor's inputs: the settings that a process started in this folder has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from refersion_dagster.automation.channels import describe_unusable
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.environment import from_dlt
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.settings import SECRET_VARIABLES, AccountSettings, Settings, WarehouseSettings
from refersion_dagster.settings.part import PREFIX

KEYS = ("public_key", "api_key", "graphql_token")
# Long enough for a slow response, short enough for an interactive command.
ANSWER_SECONDS = 6.0
RETRY_SECONDS = 2
# A shorter secret may be an ordinary word in a message.
SHORTEST_SECRET = 6


@dataclass(frozen=True)
class DoctorInputs:
    """The settings of the account and the warehouse.

    Args:
        settings: settings from the environment and .env.
        values: arguments of the account that are set there or in dlt's configuration.
    """

    settings: Settings
    values: Mapping[str, str]

    @property
    def ours(self) -> list[str]:
        """Our variables that are set."""
        return [name for name in self.settings.sources if name.startswith(PREFIX) and name in self.settings.variables]

    @property
    def problems(self) -> list[str]:
        """Errors of settings, as a run would report them, including values from dlt's configuration."""
        variables = {AccountSettings.variable(name): value for name, value in self.values.items()}
        settings = Settings.of({**self.settings.variables, **variables})
        return [*settings.problems.values(), *describe_unusable(settings.alerts)]

    def account(self) -> RefersionClient:
        """Returns clients with short timeouts. Invalid settings have their defaults."""
        sensible: dict[str, Any] = {
            name: value for name, value in self.values.items() if name in (*KEYS, "rest_url", "graphql_url")
        }
        account = RefersionResource(**sensible).account(RETRY_SECONDS)
        return replace(account, answer_seconds=ANSWER_SECONDS)

    def warehouse(self) -> Warehouse:
        """Returns the warehouse. Invalid settings have their defaults, except the destination."""
        variable = WarehouseSettings.variable("destination")
        if variable in self.settings.problems:
            return Warehouse(destination=self.settings.variables[variable])
        return Warehouse.of(self.settings.warehouse)

    @property
    def secrets(self) -> list[str]:
        """All secrets, including the parts of pairs and lists, longest first."""
        # PostgreSQL's URL is excluded: the warehouse shows it without the password.
        ours = {name for name in SECRET_VARIABLES if name.startswith(PREFIX)}
        texts = [text for name, text in self.settings.variables.items() if name in ours]
        texts += [value for name, value in self.values.items() if name in AccountSettings.secrets()]
        parts = {part for text in texts for part in (text, *text.replace(".", " ").replace(",", " ").split())}
        return sorted((part for part in parts if len(part) >= SHORTEST_SECRET), key=len, reverse=True)


def find_inputs(settings: Settings) -> DoctorInputs:
    """Returns the values that are set in the environment or in dlt's configuration."""
    variables = AccountSettings.variables()
    values = {name: value for name, variable in variables.items() if (value := settings.variables.get(variable))}
    for name in variables.keys() - values.keys():
        if (found := from_dlt(name)) is not None:
            values[name] = found
    return DoctorInputs(settings, values)
