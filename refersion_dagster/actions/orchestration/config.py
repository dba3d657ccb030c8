"""The configuration of each operation's job, which Dagster's Launchpad checks and explains field by field.

Items are defined once, in requests.py; their config classes are generated from those. Amounts are strings, because a
number in YAML or JSON would arrive as binary floating point.
"""

import functools
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import dagster as dg
from pydantic import BaseModel, Field, SecretStr, create_model

from refersion_dagster.actions.operations.catalog import MOST_IN_A_CALL, AmountAtRisk, Endpoint
from refersion_dagster.actions.operations.types import plain_type

MAX_ITEMS, MAX_COMMISSION = 100, "1000.00"


class ActionConfig(dg.Config):
    """What every operation takes."""

    requested_by: str = Field(description="The person who requests this; recorded with each item.")
    launched_on: str = Field(
        description="Today's date, such as 2026-07-01: shows that a person launches this run now. A run with another "
        "date is refused, so a configuration that is stored in a schedule does not send anything."
    )
    dry_run: bool = Field(
        default=True, description="Show exactly what would be sent without sending it. Set to false to send."
    )
    file: str | None = Field(
        default=None,
        description="A .csv or .parquet file with one row for each item, instead of `items`. Columns have the "
        "names of the item's fields, plus `key`. An empty cell means that the field is not set.",
    )
    purpose: str = Field(
        default="",
        description="The purpose of the run, such as bonus-2025-07. An item is sent only once; the same item "
        "with another purpose is a different item.",
    )
    max_items: int = Field(
        default=MAX_ITEMS,
        ge=1,
        description="Maximum number of items in this run. More items are an error; raise the limit deliberately.",
    )
    check_warehouse: bool = Field(
        default=True,
        description="Check ids, statuses, e-mail addresses and currencies in the warehouse before anything is sent.",
    )
    again: bool = Field(default=False, description="Send items again that Refersion refused or left unchanged before.")

    def dump_items(self) -> list[dict[str, Any]]:
        """Returns the items as plain values, without fields that were not set."""
        return [item.model_dump(mode="json", exclude_none=True) for item in self.get_option("items", [])]

    def get_option(self, name: str, default: Any) -> Any:
        """Returns a field that only some operations have, or the default."""
        return getattr(self, name, default)


@functools.cache
def config_class(endpoint: Endpoint) -> type[ActionConfig]:
    """Returns the config class of an operation's job: the common fields, its items and its own fields."""
    item = _class_of(endpoint.item, {"key": (str | None, Field(default=None, description=KEY))})
    fields: dict[str, Any] = {
        "items": (list[item], Field(default=[], description="The items to send, instead of a file.")),
    }
    if endpoint.stake is not AmountAtRisk.NONE:
        fields["max_commission"] = (
            str,
            Field(
                default=MAX_COMMISSION,
                description="Maximum commission that this run may move in each currency, as absolute amounts. "
                "More is an error; raise the limit deliberately.",
            ),
        )
    if endpoint.subject is None:
        fields["repeats"] = (
            bool,
            Field(default=False, description="Allow duplicate items. By default, duplicates are an error."),
        )
    if endpoint.together > 1:
        fields["batch_size"] = (
            int,
            Field(default=MOST_IN_A_CALL, ge=1, le=MOST_IN_A_CALL, description="Maximum number of items in one call."),
        )
    name = "".join(part.title() for part in endpoint.name.split("_"))
    return create_model(f"{name}Config", __base__=ActionConfig, __doc__=endpoint.description, **fields)


KEY = "Permanent key of this item: nothing is sent twice with the same key. Default: derived from the content."


def _class_of(model: type[BaseModel], more: Mapping[str, Any]) -> type[dg.Config]:
    """Converts an item model to a Dagster config class."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind = plain_type(field.annotation)
        if kind is SecretStr:
            continue
        description = f"{field.description or ''}{QUOTES if kind is Decimal else ''}"
        shown = _kind(f"{model.__name__}_{name}", kind)
        if field.is_required():
            fields[name] = (shown, Field(description=description))
        else:
            fields[name] = (shown | None, Field(default=None, description=description))
    return create_model(model.__name__, __base__=dg.Config, __doc__=model.__doc__, **fields, **more)


QUOTES = " Quote it."


def _kind(name: str, kind: Any) -> Any:
    """Returns the Dagster config type for the type of an item's field."""
    if get_origin(kind) is Literal:
        return Enum(name, {word: word for word in get_args(kind)}, type=str)
    if get_origin(kind) is tuple:
        return list[_class_of(get_args(kind)[0], {})]
    return str if kind is Decimal else kind
