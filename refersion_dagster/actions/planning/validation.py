"""Validates items without the warehouse: values, repetitions and keys. See preflight.py for the warehouse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from refersion_dagster.actions.operations.catalog import Endpoint
from refersion_dagster.actions.operations.item_key import PlannedItem, derive_key
from refersion_dagster.actions.operations.requests import Item
from refersion_dagster.actions.planning.input_errors import InputError
from refersion_dagster.actions.planning.input_files import Row

# Messages for pydantic's error types that our own rules do not cover.
WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of this operation",
    "string_type": "has to be text",
    "string_too_short": "must not be empty",
    "string_unicode": "contains a character that cannot be sent",
}


def read_items(
    endpoint: Endpoint, rows: Sequence[Row], *, purpose: str, repeats: bool
) -> tuple[list[PlannedItem], list[InputError]]:
    """Returns the rows as items with keys, and all errors in them.

    Args:
        purpose: part of derived keys; see item_key.derived_key.
        repeats: whether equal items without keys are allowed; each is sent.
    """
    items: list[PlannedItem] = []
    errors: list[InputError] = []
    of_content: dict[str, list[str]] = {}
    for row in rows:
        try:
            item = endpoint.item.model_validate(dict(row.values))
        except ValidationError as error:
            errors += [InputError(row.place, _words(row, one)) for one in error.errors(include_url=False)]
            continue
        plain = derive_key(endpoint.name, item, purpose, 1)
        before = of_content.setdefault(plain, [])
        before.append(row.place)
        if row.key is None and len(before) > 1 and endpoint.subject is None and not repeats:
            errors.append(
                InputError(
                    row.place,
                    f"is the same as {before[0]}. If this is intended, set a key for each, or set `repeats: true`.",
                )
            )
        key = row.key or derive_key(endpoint.name, item, purpose, len(before))
        items.append(PlannedItem(endpoint.name, item, key, row.place))
    errors += _same_subject(endpoint, items) + _same_key(rows)
    order = {row.place: at for at, row in enumerate(rows)}
    return items, sorted(errors, key=lambda one: order.get(one.place or "", -1))


def _words(row: Row, error: Any) -> str:
    """Returns our message for a pydantic error. It never shows the value of a secret."""
    field = ".".join(str(part) if isinstance(part, str) else f"number {part + 1}" for part in error["loc"])
    kind = error["type"]
    if kind == "value_error":
        said = str(error["ctx"]["error"])
    elif kind == "literal_error":
        said = f"has to be {error['ctx']['expected'].replace(chr(39), '')}"
    else:
        said = WORDS.get(kind) or error["msg"]
    if not field:
        return said
    value = row.values.get(field)
    shown = f" ({value!r})" if field in row.values and field != "password" and kind != "extra_forbidden" else ""
    return f"{field}{shown} {said}" if len(shown) < 120 else f"{field} {said}"


def subject(endpoint: Endpoint, item: Item) -> str | None:
    """Returns the subject of an item, to find two items with the same one. It is case-insensitive."""
    if endpoint.subject is None:
        return None
    content = item.content()
    named = [content.get(name) for name in endpoint.subject]
    if None in named:
        return None
    return ", ".join(f"{name} {value}" for name, value in zip(endpoint.subject, named, strict=True)).casefold()


def _same_subject(endpoint: Endpoint, items: Sequence[PlannedItem]) -> list[InputError]:
    first: dict[str, str] = {}
    errors = []
    for one in items:
        about = subject(endpoint, one.item)
        if about is None:
            continue
        if about in first:
            errors.append(
                InputError(one.place, f"{about} is in {first[about]} already; a run may contain it only once")
            )
        first.setdefault(about, one.place)
    return errors


def _same_key(rows: Sequence[Row]) -> list[InputError]:
    counts = Counter(row.key for row in rows if row.key is not None)
    seen: dict[str, str] = {}
    errors = []
    for row in rows:
        if row.key is None or counts[row.key] == 1:
            continue
        if row.key in seen:
            errors.append(InputError(row.place, f"key {row.key!r} is already used by {seen[row.key]}"))
        seen.setdefault(row.key, row.place)
    return errors
