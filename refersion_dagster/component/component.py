"""The component that other Dagster projects configure in a `defs.yaml`, once for each account."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self

import dagster as dg
from pydantic import Field, ValidationInfo, field_validator, model_validator

from refersion_dagster.code_location import build_account
from refersion_dagster.component.scaffolder import RefersionScaffolder
from refersion_dagster.namespace import Namespace
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import POOL, SUMMARIES
from refersion_dagster.settings import (
    ActionSettings,
    InvalidSetting,
    OutputSettings,
    Settings,
    WarehouseSettings,
    WebhookSettings,
    load_settings,
)
from refersion_dagster.settings.environment import PARTS
from refersion_dagster.summaries.extensions import find_extensions, join_summaries
from refersion_dagster.summaries.query import UnknownSummary, select_summaries
from refersion_dagster.warehouse.registry import WITH_OWN_SCHEMAS

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
PREFIX = re.compile(r"([A-Z][A-Z0-9]*_)+")
# Variables of settings, by the name that a defs.yaml has for them. Secrets, URLs and the permission to write belong in
# the environment.
VARIABLES = {
    field: part.variable(field)
    for part in PARTS.values()
    if part is not ActionSettings
    for field in part.model_fields
    if field not in part.private()
}
# Files and folders that two accounts must not share, with their usual names.
OWN_FILES: Mapping[str, str] = {
    **{name: OutputSettings.default(name) for name in ("publish_path", "report_path")},
    "webhook_inbox": WebhookSettings.default("webhook_inbox"),
}


def check_name(field: str, value: str, example: str) -> str:
    """Returns a valid name. Raises ValueError for others, for pydantic."""
    if not NAME.fullmatch(value):
        raise ValueError(f"{field} is {value!r}, but has to be lower-case words joined by _, such as {example}.")
    return value


@dg.scaffold_with(RefersionScaffolder)
class RefersionComponent(dg.Component, dg.Model, dg.Resolvable):
    """A Refersion account: raw tables, summaries, checks, report, jobs and schedules, under the account's own names.

    Each name is the usual one after the account's: the job `shop_eu_refersion_refresh`, the variable
    `SHOP_EU_REFERSION_PUBLIC_KEY`, the asset `shop_eu/refersion/conversions`. Keys are read from the environment or
    from `.env`, when a run begins. The definitions have no executor.
    """

    account: str = Field(
        description="Name of the account, in lower case, such as shop_eu. Jobs, schedules, sensors, resources, groups "
        "and folders have it before their usual names.",
        examples=["shop_eu"],
    )
    environment_prefix: str | None = Field(
        default=None,
        description="What the account's environment variables begin with, such as SHOP_EU_ for "
        "SHOP_EU_REFERSION_PUBLIC_KEY. Default: the account in capitals.",
        examples=["SHOP_EU_"],
    )
    asset_key_prefix: list[str] | None = Field(
        default=None, description="First parts of every asset key. Default: the account.", examples=[["shop_eu"]]
    )
    group: str | None = Field(
        default=None,
        description="Group of all assets. Default: the usual groups, such as shop_eu_sales.",
        examples=["shop_eu"],
    )
    pool: str = Field(
        default=POOL,
        description="Pool of the steps that write to the warehouse. Accounts in one warehouse share it.",
        examples=[POOL],
    )
    warehouse_resource: str | None = Field(
        default=None,
        description="Key of a resource of your own project that is the warehouse: a Warehouse or RenamedWarehouse of "
        "refersion_dagster.resources. Default: a resource made from the settings.",
        examples=["warehouse"],
    )
    data_schema: str = Field(
        default=DATASET,
        description="Schema of the raw tables in the warehouse, in lower case. Only for DuckDB and PostgreSQL.",
        examples=["shop_eu_data"],
    )
    summaries_schema: str = Field(
        default=SUMMARIES,
        description="Schema of the summaries in the warehouse, in lower case. Set both schemas or neither.",
        examples=["shop_eu_summaries"],
    )
    settings: dict[str, str | int] = Field(
        default_factory=dict,
        description="Settings other than keys, by the names of their variables without REFERSION_, in lower case. "
        "The environment comes first.",
        examples=[{"destination": "duckdb", "duckdb_path": "shop_eu.duckdb", "report_timezone": "Europe/Berlin"}],
    )
    schedules: bool = Field(
        default=True,
        description="Whether there are schedules and sensors. They start as in the shipped code location.",
    )
    summaries: list[str] | None = Field(
        default=None,
        description="Names of the summaries to build; what they read is built too. Default: all. The report and the "
        "statements exist only if all summaries that they read do.",
        examples=[["commission_liability"]],
    )

    @field_validator("account")
    @classmethod
    def check_account(cls, account: str) -> str:
        return check_name("account", account, "shop_eu")

    @field_validator("environment_prefix")
    @classmethod
    def check_prefix(cls, prefix: str | None) -> str | None:
        if prefix is not None and not PREFIX.fullmatch(prefix):
            raise ValueError(f"environment_prefix is {prefix!r}, but has to be capitals that end with _, as SHOP_EU_.")
        return prefix

    @field_validator("data_schema", "summaries_schema")
    @classmethod
    def check_schema(cls, schema: str, info: ValidationInfo) -> str:
        check_name(str(info.field_name), schema, "shop_eu_data")
        if schema.endswith("_staging"):
            raise ValueError(f"{info.field_name} is {schema!r}, but names that end with _staging are used by loads.")
        return schema

    @model_validator(mode="after")
    def check_schemas_differ(self) -> Self:
        if self.data_schema == self.summaries_schema:
            raise ValueError(f"data_schema and summaries_schema are both {self.data_schema}, but have to differ.")
        if (self.data_schema == DATASET) != (self.summaries_schema == SUMMARIES):
            # Otherwise two accounts would replace each other's summaries.
            raise ValueError("set both data_schema and summaries_schema, to names of this account only, or neither.")
        return self

    @field_validator("settings")
    @classmethod
    def check_settings(cls, settings: dict[str, str | int]) -> dict[str, str | int]:
        if unknown := sorted(settings.keys() - VARIABLES.keys()):
            raise ValueError(
                f"settings has {', '.join(unknown)}, which cannot be set here. Keys, URLs and the permission "
                f"to write belong in the environment; the others are {', '.join(VARIABLES)}."
            )
        found = Settings.of({VARIABLES[name]: str(value) for name, value in settings.items()})
        if found.problems:
            raise ValueError(f"settings: {'; '.join(found.problems.values())}")
        return settings

    @model_validator(mode="after")
    def check_warehouse(self) -> Self:
        ours = [name for name in WarehouseSettings.model_fields if name in self.settings]
        if self.warehouse_resource is not None and ours:
            raise ValueError(f"settings has {', '.join(ours)}, which warehouse_resource replaces: remove one of them.")
        return self

    @model_validator(mode="after")
    def check_summaries(self) -> Self:
        if self.summaries is not None:
            try:
                select_summaries(self.summaries, join_summaries(find_extensions(self.load_settings()).summaries))
            except UnknownSummary as error:
                raise ValueError(f"summaries: {error}") from None
        return self

    @property
    def namespace(self) -> Namespace:
        """The names of this account."""
        prefix = self.asset_key_prefix
        return Namespace(
            account=self.account,
            asset_prefix=(self.account,) if prefix is None else tuple(prefix),
            group=self.group,
            pool=self.pool,
            data_schema=self.data_schema,
            summaries_schema=self.summaries_schema,
            warehouse=self.warehouse_resource or "",
            variable_prefix=f"{self.account.upper()}_" if self.environment_prefix is None else self.environment_prefix,
        )

    def load_settings(self) -> Settings:
        """The account's settings: the environment, then `.env`, then this component's.

        Raises InvalidSetting for schemas that the warehouse cannot have.
        """
        names = self.namespace
        own = {name: names.name(default) for name, default in OWN_FILES.items()}
        defaults = {VARIABLES[name]: str(value) for name, value in (own | self.settings).items()}
        settings = load_settings(names.variable_prefix, defaults)
        destination = settings.warehouse.destination
        if names.schemas and not names.warehouse and destination not in WITH_OWN_SCHEMAS:
            raise InvalidSetting(
                f"data_schema and summaries_schema of {self.account} can be set only for DuckDB and PostgreSQL so far, "
                f"and its destination is {destination}. Leave them out, and use another database for each account."
            )
        return settings

    def build_account(self, settings: Settings) -> dg.Definitions:
        """Builds the definitions of the account with these settings."""
        summaries = None if self.summaries is None else tuple(self.summaries)
        return build_account(settings, self.namespace, summaries, self.schedules)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return self.build_account(self.load_settings())
