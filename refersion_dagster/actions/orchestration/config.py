"""The configuration of each operation's job, which Dagster's Launchpad checks and explains field by field.

Items are described once, in requests.py; their classes here are made of those. Amounts are texts: a number of YAML or
JSON would come as binary floating point.
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

    requested_by: str = Field(description="Who asks for this; kept with each item.")
    dry_run: bool = Field(
        default=True, description="Show exactly what would be sent, and send nothing. Set it to false to send."
    )
    file: str | None = Field(
        default=None,
        description="A .csv or .parquet file with a row for each item, instead of `items`. Columns are named like the "
        "fields of an item, plus `key`; an empty cell is not given.",
    )
    purpose: str = Field(
        default="",
        description="What this is for, such as bonus-2025-07. An item is sent once and never again; the same item "
        "for another purpose is another item.",
    )
    max_items: int = Field(
        default=MAX_ITEMS,
        ge=1,
        description="The most items this run may send. More is an error, so it is raised on purpose.",
    )
    check_warehouse: bool = Field(
        default=True,
        description="Hold ids, statuses, e-mails and currencies against the warehouse before anything is sent.",
    )
    again: bool = Field(
        default=False, description="Send items once more that Refersion refused or left unchanged before."
    )

    def given_items(self) -> list[dict[str, Any]]:
        """Items of the configuration as plain values; what was not given is left out."""
        return [item.model_dump(mode="json", exclude_none=True) for item in self.chosen("items", [])]

    def chosen(self, name: str, default: Any) -> Any:
        """A field that only some operations have."""
        return getattr(self, name, default)


@functools.cache
def config_class(endpoint: Endpoint) -> type[ActionConfig]:
    """The configuration of an operation's job: what all have, its items, and what makes sense for it alone."""
    item = _class_of(endpoint.item, {"key": (str | None, Field(default=None, description=KEY))})
    fields: dict[str, Any] = {
        "items": (list[item], Field(default=[], description="The items to send, instead of a file.")),
    }
    if endpoint.stake is not AmountAtRisk.NONE:
        fields["max_commission"] = (
            str,
            Field(
                default=MAX_COMMISSION,
                description="The most commission this run may move in each currency, signs left out. More is an error, "
                "so it is raised on purpose.",
            ),
        )
    if endpoint.subject is None:
        fields["repeats"] = (
            bool,
            Field(default=False, description="Equal items are each meant; without it they are taken for a mistake."),
        )
    if endpoint.together > 1:
        fields["batch_size"] = (
            int,
            Field(default=MOST_IN_A_CALL, ge=1, le=MOST_IN_A_CALL, description="Items in one call, at most."),
        )
    name = "".join(part.title() for part in endpoint.name.split("_"))
    return create_model(f"{name}Config", __base__=ActionConfig, __doc__=endpoint.description, **fields)


KEY = "Stands for this item for ever: nothing is sent twice under one key. Without it, one is made of the content."


def _class_of(model: type[BaseModel], more: Mapping[str, Any]) -> type[dg.Config]:
    """A model of items as a class of Dagster's configuration."""
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


QUOTES = " In quotes, as a text."


def _kind(name: str, kind: Any) -> Any:
    """The type that Dagster's configuration has for one of an item's."""
    if get_origin(kind) is Literal:
        return Enum(name, {word: word for word in get_args(kind)}, type=str)
    if get_origin(kind) is tuple:
        return list[_class_of(get_args(kind)[0], {})]
    return str if kind is Decimal else kind
