"""The account's GraphQL schemas by date, and what changed between them.

`refersion_data.graphql_schemas` has a row whenever a load finds another schema, or reads other fields of it, than the
load before; `refersion_data.schema_changes` has a row for every element that was added, removed, changed or deprecated.
Both are kept forever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from refersion_dagster.refersion import ReadReport
from refersion_dagster.refersion.api.introspection import DEPRECATED
from refersion_dagster.refersion.api.schema_use import find_uses
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.session import Session

TABLE, CHANGES = "graphql_schemas", "schema_changes"
DESCRIPTION = """The account's GraphQL schema, whenever it differs from the one before, kept forever.

Introspection returns it with each load. The API is in beta and may change without notice; no changelog is published."""
COLUMNS = [
    dg.TableColumn("seen_at", "timestamptz", "When the schema was first seen, by Refersion's clock."),
    dg.TableColumn("elements", "text", "Every type, field, argument and enum value, one per line, with its type."),
    dg.TableColumn("uses", "text", "The tables and columns that are read from an element, one element per line."),
]
KEY = ("seen_at",)
DESCRIPTION_OF_CHANGES = """Every change of the account's GraphQL schema, with the tables and columns that it affects.

The first schema is not a change. An account that refuses introspection has none."""
ADDED, REMOVED, CHANGED, NOW_DEPRECATED = "added", "removed", "changed", "deprecated"
COLUMNS_OF_CHANGES = [
    dg.TableColumn("seen_at", "timestamptz", "When the change was first seen, by Refersion's clock."),
    dg.TableColumn("seen_before", "timestamptz", "When the schema before was first seen."),
    dg.TableColumn("element", "text", "The type, field, argument or enum value, such as Query.conversions(first)."),
    dg.TableColumn("change", "text", "added, removed, changed or deprecated."),
    dg.TableColumn("type_before", "text", "Its kind or type before; NULL if it was added."),
    dg.TableColumn("type_after", "text", "Its kind or type now; NULL if it was removed."),
    dg.TableColumn("used_by", "text", "The tables and columns that are read from it; NULL if there are none."),
    dg.TableColumn(
        "is_breaking",
        "boolean",
        "Whether a table that reads it is affected: it was removed, has another type, or requires a further argument.",
    ),
]
KEY_OF_CHANGES = ("seen_at", "element")

CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  seen_at timestamp with time zone NOT NULL, elements text NOT NULL, uses text NOT NULL
)
"""
CREATE_CHANGES = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{CHANGES} (
  seen_at timestamp with time zone NOT NULL, seen_before timestamp with time zone NOT NULL, element text NOT NULL,
  change text NOT NULL, type_before text, type_after text, used_by text, is_breaking boolean NOT NULL
)
"""
LAST = f"SELECT seen_at, elements, uses FROM {DATASET}.{TABLE} ORDER BY seen_at DESC LIMIT 1"  # noqa: S608 - names of ours
ADD = f"INSERT INTO {DATASET}.{TABLE} VALUES ($seen_at, $elements, $uses)"  # noqa: S608
ADD_CHANGE = f"""
INSERT INTO {DATASET}.{CHANGES}
VALUES ($seen_at, $seen_before, $element, $change, $type_before, $type_after, $used_by, $is_breaking)
"""  # noqa: S608


@dataclass(frozen=True)
class SchemaChange:
    """A change of one element of the schema; see COLUMNS_OF_CHANGES."""

    element: str
    change: str
    type_before: str | None
    type_after: str | None
    used_by: str | None
    is_breaking: bool

    def __str__(self) -> str:
        what = f"{self.element} was {self.change}"
        return what + (f" (read into {self.used_by})" if self.used_by else "")


def keep_schema(session: Session, report: ReadReport) -> list[SchemaChange]:
    """Records the schema that a load read, if it differs from the last one. Returns what changed since then."""
    session.query(CREATE)
    session.query(CREATE_CHANGES)
    schema = report.schema
    if schema is None or not schema.elements:
        return []
    elements, uses = schema.elements, {name: ", ".join(found) for name, found in find_uses(schema).items()}
    texts = {"elements": write_lines(elements), "uses": write_lines(uses)}
    last = session.query(LAST)
    if last and (last[0][1], last[0][2]) == (texts["elements"], texts["uses"]):
        return []
    read_at = [one.asked_at for one in report.tables.values() if one.asked_at]
    seen_at = max(read_at, default=datetime.now(UTC).replace(microsecond=0))
    found: list[SchemaChange] = []
    with session.transaction():
        session.query(ADD, seen_at=seen_at, **texts)
        if last:
            seen_before, before, used_before = last[0]
            found = list(compare(read_lines(before), elements, read_lines(used_before), uses))
            for one in found:
                session.query(ADD_CHANGE, seen_at=seen_at, seen_before=seen_before, **vars(one))
    return found


def compare(
    before: Mapping[str, str], after: Mapping[str, str], used_before: Mapping[str, str], used: Mapping[str, str]
) -> Iterator[SchemaChange]:
    """What changed between two schemas, by element.

    Args:
        before, after: the elements of each schema with their types.
        used_before, used: what was read from the elements of each.
    """
    for element in sorted({*before, *after}):
        old, new = before.get(element), after.get(element)
        if old == new:
            continue
        uses = sorted({*_split(used_before.get(element)), *_split(used.get(element))})
        # A required argument affects everything that is read from its field.
        field = element.partition("(")[0]
        is_argument = field != element
        if is_argument and new and _is_required(new) and not (old and _is_required(old)):
            uses, is_breaking = _split(used_before.get(field)), field in used_before
        elif new is None:
            is_breaking = element in used_before
        elif old is None:
            is_breaking = False
        else:
            # A value that can no longer be empty affects nobody who reads it.
            types = old.removesuffix(DEPRECATED), new.removesuffix(DEPRECATED)
            is_breaking = element in used_before and types[0] != types[1] and types[0] != types[1].removesuffix("!")
        yield SchemaChange(element, _name_change(old, new), old, new, ", ".join(uses) or None, is_breaking)


def _name_change(old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return ADDED if old is None else REMOVED
    return NOW_DEPRECATED if new == old + DEPRECATED else CHANGED


def _is_required(argument: str) -> bool:
    """Whether an argument has to be given: its type ends with an exclamation mark, and it has no default."""
    return argument.endswith("!")


def _split(uses: str | None) -> list[str]:
    return uses.split(", ") if uses else []


def write_lines(values: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in sorted(values.items()))


def read_lines(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition(": ") for line in text.splitlines())}
