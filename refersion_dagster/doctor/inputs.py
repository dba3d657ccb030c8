"""The doctor's inputs: the settings that a process started in this folder has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from refersion_dagster.automation.channels import describe_unusable
from refersion_dagster.code_location import build_definitions
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.api.status_page import StatusPage
from refersion_dagster.refersion.environment import from_dlt
from refersion_dagster.resources import PrefixedRefersionResource, RefersionResource, Warehouse
from refersion_dagster.settings import SECRET_VARIABLES, AccountSettings, Settings, WarehouseSettings
from refersion_dagster.settings.part import PREFIX

KEYS = ("public_key", "api_key", "graphql_token")
ADDRESSES = ("rest_url", "graphql_url", "status_url")
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
        names: names of the account.
        build: builds its definitions.
        resource: the warehouse; None for the one in the settings.
    """

    settings: Settings
    values: Mapping[str, str]
    names: Namespace
    build: Callable[[], dg.Definitions]
    resource: Warehouse | None = None

    @property
    def ours(self) -> list[str]:
        """Our variables that are set, by their usual names."""
        prefix = self.settings.prefix
        own = [name.removeprefix(prefix) for name in self.settings.sources if name.startswith(f"{prefix}{PREFIX}")]
        return [name for name in own if name in self.settings.variables]

    @property
    def problems(self) -> list[str]:
        """Errors of settings, as a run would report them, including values from dlt's configuration."""
        variables = {AccountSettings.variable(name): value for name, value in self.values.items()}
        given = {**self.settings.variables, **variables}
        prefixed = {self.settings.variable(name): value for name, value in given.items()}
        settings = Settings.of(prefixed, self.settings.prefix)
        return [*settings.problems.values(), *describe_unusable(settings.alerts)]

    def account(self) -> RefersionClient:
        """Returns clients with short timeouts. Invalid settings have their defaults."""
        return replace(self._resource().account(RETRY_SECONDS), answer_seconds=ANSWER_SECONDS)

    def status_page(self) -> StatusPage | None:
        """Returns the status page of the account's servers. None if there is none to read."""
        return self._resource().status_page()

    def _resource(self) -> RefersionResource:
        sensible: dict[str, Any] = {name: value for name, value in self.values.items() if name in (*KEYS, *ADDRESSES)}
        kind = PrefixedRefersionResource if self.settings.prefix else RefersionResource
        return kind(**sensible)

    def warehouse(self) -> Warehouse:
        """Returns the warehouse. Invalid settings have their defaults, except the destination."""
        if self.resource is not None:
            return self.resource
        variable = WarehouseSettings.variable("destination")
        if variable in self.settings.problems:
            return Warehouse(destination=self.settings.variables[variable])
        return self.names.warehouse_type.of(self.settings.warehouse, **self.names.schemas)

    @property
    def secrets(self) -> list[str]:
        """All secrets, including the parts of pairs and lists, longest first."""
        # Addresses of databases and of Spark are excluded: messages show them without the password or the token.
        journal, remote = (WarehouseSettings.variable(field) for field in ("journal", "spark_remote"))
        ours = {name for name in SECRET_VARIABLES if name.startswith(PREFIX)} - {journal, remote}
        texts = [text for name, text in self.settings.variables.items() if name in ours]
        texts += [one.partition("=")[2] for one in self.settings.variables.get(remote, "").split(";")]
        texts += [value for name, value in self.values.items() if name in AccountSettings.secrets()]
        parts = {part for text in texts for part in (text, *text.replace(".", " ").replace(",", " ").split())}
        return sorted((part for part in parts if len(part) >= SHORTEST_SECRET), key=len, reverse=True)


def find_inputs(
    settings: Settings,
    names: Namespace = USUAL,
    build: Callable[[], dg.Definitions] | None = None,
    resource: Warehouse | None = None,
) -> DoctorInputs:
    """Returns the values that are set in the environment or, for the usual account, in dlt's configuration."""
    variables = AccountSettings.variables()
    values = {name: value for name, variable in variables.items() if (value := settings.variables.get(variable))}
    for name in variables.keys() - values.keys() if not settings.prefix else ():
        if (found := from_dlt(name)) is not None:
            values[name] = found
    return DoctorInputs(settings, values, names, build or (lambda: build_definitions(settings)), resource)
