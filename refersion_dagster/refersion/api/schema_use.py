"""Which columns of which tables are read from each element of a GraphQL schema, from the queries that a load sends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

from refersion_dagster.refersion.api.introspection import AccountSchema
from refersion_dagster.refersion.api.query import FieldSelection, build_query, select_offered
from refersion_dagster.refersion.errors import FieldNotOffered
from refersion_dagster.refersion.extract.page_assembler import Slice
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.refersion.windows import Window

ANY_WINDOW = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC))


def find_uses(schema: AccountSchema) -> dict[str, list[str]]:
    """The tables (`conversions`) and columns (`conversions.total`) that are read from each element, by its name."""
    found: dict[str, set[str]] = defaultdict(set)
    for entity in ENTITIES.values():
        if not entity.is_graphql:
            continue
        try:
            selection = select_offered(schema, entity)
        except FieldNotOffered:
            continue
        for element, use in _uses(schema, selection):
            found[element].add(use)
    return {element: sorted(uses) for element, uses in sorted(found.items())}


def _uses(schema: AccountSchema, selection: FieldSelection) -> Iterator[tuple[str, str]]:
    """Each element that the query for a table names, with the table or column that is read from it."""
    from graphql import FieldNode, OperationDefinitionNode, SelectionSetNode, parse

    entity = selection.entity
    filters = tuple((name, values[0]) for name, values in entity.filled_by_filter if name in selection.filters)
    one = Slice(ANY_WINDOW if selection.by_window else None, None, filters)

    def walk(fields: SelectionSetNode, owner: str, path: tuple[str, ...] | None) -> Iterator[tuple[str, str]]:
        """`path` leads from the table's list to the fields; None above the list."""
        for node in fields.selections:
            if not isinstance(node, FieldNode):
                continue
            name = node.name.value
            inside = (*path, name) if path is not None else () if name == entity.name else None
            use = f"{entity.name}.{'__'.join(inside)}" if inside else entity.name
            yield owner, entity.name
            yield f"{owner}.{name}", use
            for argument in node.arguments:
                yield f"{owner}.{name}({argument.name.value})", entity.name
            of = schema.types.get(owner, {}).get(name)
            if node.selection_set and of:
                # pageInfo has a field with the name of the list too.
                yield from walk(node.selection_set, of.type_name, inside if name != "pageInfo" else None)

    (operation,) = parse(build_query(selection, one, 0, 1)).definitions
    if isinstance(operation, OperationDefinitionNode):
        yield from walk(operation.selection_set, schema.query_type, None)
