"""The fields to query for each table of this account, and the query for them.

One unknown field makes a whole query fail. Known fields that the account's schema lacks are therefore left out, and
additional scalar fields are queried too. Without a schema, the server's error messages show what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from refersion_dagster.refersion.api.introspection import AccountSchema, FieldType
from refersion_dagster.refersion.errors import FieldNotOffered, QueryError
from refersion_dagster.refersion.extract.page_assembler import Slice
from refersion_dagster.refersion.tables.catalog import CONVERSIONS, ENTITIES, Column, Entity, FieldSource
from refersion_dagster.refersion.windows import Window

# For lists that cannot be paged: more rows than any account has.
EVERYTHING = 100_000
# Arguments that limit the lists an entity may be nested in, if the schema is unknown: one documented, one seen.
PARENTS_ARGUMENT = {"affiliates": "limit", "offers": "first"}
# Columns of a conversion that only a payment fills.
PAYMENT_OF_A_ROW = ("payment_id", "payment__id", "payment__created")


@dataclass(frozen=True)
class Parent:
    """The list that an entity's rows are nested in, if the entity has no root field.

    Args:
        name: the list's root field.
        arguments: arguments of that field that may be used.
        key: the column to fill with the id of the list's row.
    """

    name: str
    arguments: frozenset[str]
    key: str


@dataclass(frozen=True)
class FieldSelection:
    """The fields to query for one entity of this account.

    Args:
        columns: catalogue columns that are selected.
        missing: catalogue columns that this account does not offer; they load as NULL.
        extras: additional scalar fields, stored as text.
        arguments: arguments of the entity's field that may be used.
        announces: whether pageInfo reports a total.
        scalars: GraphQL types of the selected columns and extras, if the schema is known.
        not_loaded: fields of the schema that are not loaded, each with the parts left out or the reason.
        parent: the list that the entity's field is nested in; None for a root field.
    """

    entity: Entity
    columns: tuple[Column, ...]
    missing: tuple[Column, ...]
    extras: tuple[str, ...]
    arguments: frozenset[str]
    announces: bool
    scalars: Mapping[str, str] = field(default_factory=dict)
    not_loaded: Mapping[str, str] = field(default_factory=dict)
    parent: Parent | None = None

    @property
    def by_window(self) -> bool:
        return {"created_from", "created_to"} <= self.arguments

    @property
    def pages(self) -> bool:
        return {"first", "offset"} <= self.arguments

    def offers(self, name: str) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def tells_payment(self) -> tuple[str, ...]:
        """The columns that are empty while a row is unpaid."""
        told = tuple(column.name for column in self.columns if column.name in PAYMENT_OF_A_ROW)
        return told if any(name == "payment_status" for name, _ in self.entity.filled_by_filter) else ()

    @property
    def filters(self) -> tuple[str, ...]:
        """Fields that cannot be selected and are filled by one pass per filter value."""
        return tuple(
            name for name, _ in self.entity.filled_by_filter if name in self.arguments and not self.offers(name)
        )


def select_offered(schema: AccountSchema, entity: Entity) -> FieldSelection:
    """The fields of an entity in the schema. Raises FieldNotOffered if it, its key or a required field is missing."""
    root, parent = _place(schema, entity)
    fields = schema.types.get(root.type_name, {})

    def found(column: Column) -> FieldType | None:
        """The column's field, if it can be selected."""
        first, *rest = column.path
        at = fields.get(first)
        if at is None or at.needs_arguments:
            return None
        if not rest:
            return at if at.is_leaf or at.is_list else None
        leaf = schema.types.get(at.type_name, {}).get(rest[0])
        return leaf if leaf is not None and leaf.is_leaf and not leaf.needs_arguments else None

    theirs = [column for column in entity.columns if column.evidence is not FieldSource.OURS]
    known = {column.path[0] for column in theirs}
    extras = tuple(
        sorted(name for name, at in fields.items() if name not in known and at.is_leaf and not at.needs_arguments)
    )
    page_info = schema.root("pageInfo")
    total_results = page_info and schema.types.get(page_info.type_name, {}).get("total_results")
    announces = parent is None and bool(total_results and entity.name in schema.types.get(total_results.type_name, {}))
    offered = {column: at for column in theirs if (at := found(column))}
    scalars = {column.name: at.type_name for column, at in offered.items()}
    return _validate_selection(
        FieldSelection(
            entity,
            tuple(offered),
            tuple(column for column in theirs if column not in offered and not (parent and column.name == parent.key)),
            extras,
            root.arguments,
            announces,
            scalars | {name: fields[name].type_name for name in extras},
            dict(_iterate_not_loaded(schema, fields, tuple(offered), extras)),
            parent,
        )
    )


def _place(schema: AccountSchema, entity: Entity) -> tuple[FieldType, Parent | None]:
    """The entity's field, a root field if there is one. Raises FieldNotOffered if there is none."""
    if (root := schema.root(entity.name)) and not root.needs_arguments:
        return root, None
    for name, key in entity.under:
        above = schema.root(name)
        fields = schema.types.get(above.type_name, {}) if above and not above.needs_arguments else {}
        inner = fields.get(entity.name)
        if above and inner and inner.is_list and not inner.needs_arguments and "id" in fields:
            return inner, Parent(name, above.arguments, key)
    raise _make_not_offered(entity)


def list_not_loaded(schema: AccountSchema | None, selection: FieldSelection) -> dict[str, str]:
    """What the load leaves out: fields of a table and, for conversions, root fields without a table."""
    used = {entity.name for entity in ENTITIES.values() if entity.is_graphql} | {"pageInfo"}
    roots = schema.types.get(schema.query_type, {}).keys() - used if schema and selection.entity is CONVERSIONS else ()
    return {**selection.not_loaded, **{f"{root} (root)": "it is not a table" for root in sorted(roots)}}


def _iterate_not_loaded(
    schema: AccountSchema, fields: Mapping[str, FieldType], offered: Sequence[Column], extras: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """The fields of a type that are offered but not requested, by path, with the reason."""
    selected = {column.path for column in offered}
    for name, at in sorted(fields.items()):
        if (name,) in selected or name in extras:
            continue
        if at.needs_arguments:
            yield name, "it requires arguments"
        elif at.is_leaf:
            yield name, "its type is not the known one"
        elif at.is_list:
            yield name, f"a list of {at.type_name}"
        else:
            fields_of_it = schema.types.get(at.type_name, {})
            left = sorted(one for one in fields_of_it if (name, one) not in selected)
            if left:
                yield name, f"of the object {at.type_name}: {', '.join(left)}"
            elif not fields_of_it:
                yield name, f"of the type {at.type_name}, which has no fields"


def select_by_trial(entity: Entity, execute: Callable[[str, str], Any]) -> FieldSelection:
    """Runs _select_by_trial on the root field or, if there is none, on the lists that may contain the entity's rows."""
    parents = [Parent(name, frozenset({PARENTS_ARGUMENT[name]}), key) for name, key in entity.under]
    for parent in (None, *parents):
        try:
            return _select_by_trial(entity, execute, parent)
        except FieldNotOffered:
            if parent is (parents[-1] if parents else None):
                raise
    raise _make_not_offered(entity)


def _select_by_trial(entity: Entity, execute: Callable[[str, str], Any], parent: Parent | None) -> FieldSelection:
    """The selection without a schema: every known field except those that the server rejects by name.

    If the server rejects the query without naming a field, fewer are tried: first the documented, seen or required
    ones, then only the documented and required ones.

    Args:
        execute: called with (query, operation); raises QueryError with the names that the server does not know.

    Raises FieldNotOffered as select_offered does.
    """
    needed = {name for name, _ in entity.filled_by_filter}
    theirs = [column for column in entity.columns if column.evidence is not FieldSource.OURS]
    seen = (FieldSource.DOCUMENTED, FieldSource.SEEN)
    fewer = iter(
        [
            [column for column in theirs if column.evidence in seen or column.name in needed],
            [column for column in theirs if column.evidence is FieldSource.DOCUMENTED or column.required],
        ]
    )
    tried = theirs
    arguments = {"first", "offset"} if entity.windowed else {"first", "offset", "limit"}
    arguments |= {"created_from", "created_to", "status", "payment_status"} if entity.windowed else set()
    announces = entity.windowed and parent is None
    while True:
        selection = FieldSelection(entity, tuple(tried), (), (), frozenset(arguments), announces, parent=parent)
        filters = tuple((name, values[0]) for name, values in entity.filled_by_filter if name in arguments)
        window = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC))
        probe = Slice(window if entity.windowed else None, None, filters)
        try:
            execute(build_query(selection, probe, 0, 1), entity.name)
        except QueryError as error:
            absent = {entity.name, parent.name} if parent else {entity.name}
            if any(name in absent and (parent or "query" in owner.lower()) for owner, name in error.unknown):
                raise _make_not_offered(entity) from None
            left = [column for column in tried if not _is_unknown(column, entity, tried, error.unknown)]
            left_arguments = arguments - error.arguments
            totals = {"pageInfo", "total_results", entity.name}
            still_announces = announces and totals.isdisjoint(name for _, name in error.unknown)
            if len(left) == len(tried) and left_arguments == arguments and still_announces == announces:
                known = next(fewer, None)
                if known is None:
                    raise
                left = [column for column in known if column in tried]
            tried, arguments, announces = left, left_arguments, still_announces
            continue
        missing = tuple(
            column for column in theirs if column not in tried and not (parent and column.name == parent.key)
        )
        return _validate_selection(
            FieldSelection(entity, tuple(tried), missing, (), frozenset(arguments), announces, parent=parent)
        )


def _validate_selection(selection: FieldSelection) -> FieldSelection:
    lacking = [
        column.name
        for column in selection.missing
        if column.required or (column.name == "status" and _is_needed(selection))
    ]
    if lacking:
        name = selection.entity.name
        raise FieldNotOffered(
            f"this account's GraphQL API offers {name} without {', '.join(lacking)}; the table cannot be loaded "
            "correctly without these fields.",
            operation=f"graphql {name}",
            advice="Please open an issue with this account's schema; Refersion's support may be able to enable the "
            "fields.",
        )
    if selection.entity.windowed and not (selection.by_window or selection.entity.may_be_listed):
        raise FieldNotOffered(
            f"this account's GraphQL API offers {selection.entity.name} without created_from and created_to.",
            operation=f"graphql {selection.entity.name}",
        )
    if selection.entity.windowed and selection.by_window and not (selection.pages or selection.entity.may_be_listed):
        raise FieldNotOffered(
            f"this account's GraphQL API offers {selection.entity.name} without first and offset, so that a list "
            "longer than a page cannot be read completely.",
            operation=f"graphql {selection.entity.name}",
        )
    return selection


def _is_needed(selection: FieldSelection) -> bool:
    """Whether a row's status, on which every figure depends, cannot be determined."""
    return any(name == "status" for name, _ in selection.entity.filled_by_filter) and "status" not in selection.filters


def _make_not_offered(entity: Entity) -> FieldNotOffered:
    return FieldNotOffered(
        f"this account's GraphQL API does not offer {entity.name}.",
        operation=f"graphql {entity.name}",
        advice="Exclude this table from the selection, or ask Refersion's support to enable it.",
    )


def _is_unknown(column: Column, entity: Entity, tried: Sequence[Column], unknown: Iterable[tuple[str, str]]) -> bool:
    """Whether the server reported a column's field as unknown, by (type, field).

    The types of nested objects are not known here. The object with the same name as the type is used; if there is
    none, all objects with such a field.
    """
    for owner, name in unknown:
        if owner == entity.graphql_type:
            found = column.path[0] == name
        elif any(other.path[0] == owner.lower() for other in tried if len(other.path) == 2):
            found = column.path == (owner.lower(), name)
        else:
            found = len(column.path) == 2 and column.path[1] == name
        if found:
            return True
    return False


def build_query(selection: FieldSelection, one: Slice, offset: int, first: int, of_parent: str = "") -> str:
    """The query for one page, with inline arguments as in Refersion's own samples.

    The documentation does not say whether bounds are inclusive. The query therefore covers one more second at either
    end, and rows outside the window are dropped after reading.

    Args:
        of_parent: arguments that select rows of the parent list; without them, all of its rows.
    """
    arguments: list[str] = []
    if one.window:
        bounds = {"created_from": one.window.start_seconds - 1, "created_to": one.window.end_seconds}
        arguments += [f"{name}: {seconds}" for name, seconds in bounds.items() if name in selection.arguments]
    if selection.pages:
        arguments += [f"first: {first}", f"offset: {offset}"]
    elif "first" in selection.arguments:
        arguments.append(f"first: {EVERYTHING}")
    elif "limit" in selection.arguments:
        arguments.append(f"limit: {EVERYTHING}")
    arguments += [f"{name}: {json.dumps(value)}" for name, value in one.filters]
    bracketed = f" ({', '.join(arguments)})" if arguments else ""
    parts = [f"{selection.entity.name}{bracketed} {{ {_fields(selection)} }}"]
    if selection.parent:
        chosen = of_parent or build_list_argument(selection.parent.arguments)
        parts = [f"{selection.parent.name}{f' ({chosen})' if chosen else ''} {{ id {parts[0]} }}"]
    if selection.announces:
        parts.append(f"pageInfo {{ total_results {{ {selection.entity.name} }} }}")
    return f"{{ {', '.join(parts)} }}"


def build_list_argument(arguments: frozenset[str]) -> str:
    """The argument that requests a whole list in one response, or an empty text if there is none."""
    return next((f"{name}: {EVERYTHING}" for name in ("first", "limit") if name in arguments), "")


def _fields(selection: FieldSelection) -> str:
    plain = [column.name for column in selection.columns if len(column.path) == 1]
    objects: dict[str, list[str]] = {}
    for column in selection.columns:
        if len(column.path) == 2:
            objects.setdefault(column.path[0], []).append(column.path[1])
    return " ".join(
        [*plain, *selection.extras, *(f"{name} {{ {' '.join(fields)} }}" for name, fields in objects.items())]
    )
