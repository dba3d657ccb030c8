"""The namespace of an account, so that several accounts, and a foreign project, fit in one code location."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import dagster as dg

from refersion_dagster.namespace.parameters import rename_parameters
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import POOL, SUMMARIES, RenamedWarehouse, Warehouse

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# Usual keys of resources, which are the parameters of the functions that take them.
WAREHOUSE = "warehouse"
RESOURCES = ("refersion", WAREHOUSE, "settings", "webhook_inbox", "publishing", "reports", "dlt")
# What messages name. A name with something before it has been renamed.
VARIABLE = re.compile(r"(?<![A-Z_])REFERSION_[A-Z]")
JOB = re.compile(r"(?<![a-z_])refersion_(refresh|reconcile|backfill|webhooks|statements)(?![a-z_])")


@dataclass(frozen=True)
class Namespace:
    """The names of an account. Each is the usual name after the account's, such as `shop_eu_refersion_refresh`.

    Args:
        account: the account's name; empty for the usual names.
        asset_prefix: the first parts of every asset key.
        group: the group of all assets; None for the usual groups, each after the account's name.
        pool: the pool of every step that writes to the warehouse.
        data_schema, summaries_schema: schemas of raw tables and summaries in the warehouse.
        variable_prefix: what the names of environment variables begin with.
        warehouse: the key of another project's resource that is the warehouse; empty for one of this namespace.
    """

    account: str = ""
    asset_prefix: tuple[str, ...] = ()
    group: str | None = None
    pool: str = POOL
    data_schema: str = DATASET
    summaries_schema: str = SUMMARIES
    variable_prefix: str = ""
    warehouse: str = ""

    @property
    def warehouse_type(self) -> type[Warehouse]:
        """The type of resource for the warehouse."""
        return RenamedWarehouse if self.schemas else Warehouse

    @property
    def schemas(self) -> dict[str, str]:
        """Fields of the warehouse for its schemas; empty if they have their usual names."""
        if (self.data_schema, self.summaries_schema) == (DATASET, SUMMARIES):
            return {}
        return {"data_schema": self.data_schema, "summaries_schema": self.summaries_schema}

    def name(self, usual: str) -> str:
        """Returns the name of a job, step, schedule, sensor or resource."""
        return f"{self.account}_{usual}" if self.account else usual

    def resource(self, usual: str) -> str:
        """Returns the key of a resource."""
        return self.warehouse or self.name(usual) if usual == WAREHOUSE else self.name(usual)

    def group_name(self, usual: str) -> str:
        """Returns the group of an asset."""
        return self.group or self.name(usual)

    def asset_key(self, *usual: str) -> dg.AssetKey:
        """Returns an asset key from its usual parts, such as `report`, `commissions`."""
        return dg.AssetKey([*self.asset_prefix, *usual])

    def table_key(self, schema: str, table: str) -> dg.AssetKey:
        """Returns the asset key of a raw table or of a summary, from its usual schema."""
        return self.asset_key("refersion" if schema == DATASET else "summaries", table)

    def table(self, schema: str, table: str) -> str:
        """Returns the name of a table in the warehouse, from its usual schema."""
        return f"{self.data_schema if schema == DATASET else self.summaries_schema}.{table}"

    def usual_path(self, key: dg.AssetKey) -> tuple[str, ...]:
        """Returns the usual parts of an asset key; empty if the key is not in this namespace."""
        own = len(self.asset_prefix)
        return tuple(key.path[own:]) if tuple(key.path[:own]) == self.asset_prefix else ()

    def step(self, *usual: str) -> str:
        """Returns the name of an asset's step in a job, from the usual parts of its key."""
        return self.asset_key(*usual).to_python_identifier()

    def rename_resources(self, compute: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        """Wraps the function of an asset, check, op or sensor, so that it takes the resources of this namespace."""
        if not self.account:
            return compute
        return rename_parameters(
            compute, {usual: self.resource(usual) for usual in RESOURCES}, self.rename_words, self.check_resource
        )

    def check_resource(self, usual: str, given: object) -> None:
        """Raises dg.Failure for another project's resource that cannot be the warehouse of this namespace."""
        if usual != WAREHOUSE or not self.warehouse:
            return
        if not isinstance(given, Warehouse):
            raise dg.Failure(
                f"The resource {self.warehouse} is a {type(given).__name__}, but has to be a "
                "refersion_dagster.resources.Warehouse. Nothing was read or written.",
                allow_retries=False,
            )
        theirs = given.schemas.get(DATASET, DATASET), given.schemas.get(SUMMARIES, SUMMARIES)
        if theirs != (self.data_schema, self.summaries_schema):
            raise dg.Failure(
                f"The resource {self.warehouse} has the schemas {' and '.join(theirs)}, but data_schema and "
                f"summaries_schema of {self.account} are {self.data_schema} and {self.summaries_schema}. Make them "
                "equal. Nothing was read or written.",
                allow_retries=False,
            )

    def rename_words(self, text: str) -> str:
        """Returns a message with this namespace's names of environment variables and of the main jobs."""
        text = VARIABLE.sub(lambda found: f"{self.variable_prefix}{found[0]}", text)
        return JOB.sub(lambda found: self.name(found[0]), text)


# The names of a code location with one account.
USUAL = Namespace()
