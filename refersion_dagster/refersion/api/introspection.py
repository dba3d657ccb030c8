"""The schema of an account's GraphQL API, from introspection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from refersion_dagster.refersion.errors import UnexpectedAnswer

INTROSPECTION = """{ __schema { queryType { name } types { name kind
  fields(includeDeprecated: true) { name isDeprecated args { name defaultValue type { ...T } } type { ...T } }
  inputFields { name defaultValue type { ...T } } enumValues(includeDeprecated: true) { name isDeprecated } } } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }"""


DEPRECATED = " @deprecated"
# Types that every schema has: introspection's own begin with two underscores.
BUILT_IN = frozenset({"String", "Int", "Float", "Boolean", "ID"})


@dataclass(frozen=True)
class FieldType:
    """A field of a GraphQL type: its arguments, whether any of them is required, and its type."""

    arguments: frozenset[str]
    needs_arguments: bool
    type_name: str
    is_list: bool
    is_leaf: bool


@dataclass(frozen=True)
class AccountSchema:
    """The result of introspection.

    Args:
        types: the fields of each type, by name.
        elements: every type, field, argument, input field and enum value, by its name in the manner of GraphQL
        (`Conversion`, `Conversion.total`, `Query.conversions(first)`), with its kind or type, its default and whether
        it is deprecated (`String!`, `Int = 10`, `String @deprecated`).
    """

    query_type: str
    types: dict[str, dict[str, FieldType]]
    elements: Mapping[str, str] = field(default_factory=dict)

    def root(self, name: str) -> FieldType | None:
        return self.types.get(self.query_type, {}).get(name)


def parse_schema(data: dict[str, Any]) -> AccountSchema:
    """The schema in a response to INTROSPECTION. Raises UnexpectedAnswer if the response has another shape."""
    try:
        described = data["__schema"]
        return AccountSchema(
            described["queryType"]["name"],
            {
                kind["name"]: {one["name"]: _field_type(one) for one in kind["fields"]}
                for kind in described["types"]
                if kind.get("fields")
            },
            dict(_elements(described["types"])),
        )
    except (KeyError, TypeError) as error:
        raise UnexpectedAnswer(
            f"the schema has an unknown format ({error!r}).", operation="graphql introspection"
        ) from None


def _elements(types: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for kind in types:
        owner = kind["name"]
        if owner.startswith("__") or owner in BUILT_IN:
            continue
        yield owner, kind.get("kind") or ""
        for one in kind.get("fields") or ():
            yield f"{owner}.{one['name']}", _write_type(one["type"]) + _deprecation(one)
            for argument in one.get("args") or ():
                yield f"{owner}.{one['name']}({argument['name']})", _describe_input(argument)
        for one in kind.get("inputFields") or ():
            yield f"{owner}.{one['name']}", _describe_input(one)
        for one in kind.get("enumValues") or ():
            yield f"{owner}.{one['name']}", f"value{_deprecation(one)}"


def _describe_input(one: Mapping[str, Any]) -> str:
    default = one.get("defaultValue")
    return _write_type(one["type"]) + ("" if default is None else f" = {' '.join(str(default).split())}")


def _deprecation(one: Mapping[str, Any]) -> str:
    return DEPRECATED if one.get("isDeprecated") else ""


def _write_type(kind: Mapping[str, Any]) -> str:
    """A type as in GraphQL: `[Conversion!]!`."""
    inner = kind.get("ofType")
    if not inner:
        return kind.get("name") or kind["kind"]
    return f"[{_write_type(inner)}]" if kind["kind"] == "LIST" else f"{_write_type(inner)}!"


def _field_type(described: dict[str, Any]) -> FieldType:
    kind, is_list = described["type"], False
    while kind.get("ofType"):
        is_list = is_list or kind["kind"] == "LIST"
        kind = kind["ofType"]
    arguments: Iterable[dict[str, Any]] = described.get("args") or ()
    return FieldType(
        arguments=frozenset(argument["name"] for argument in arguments),
        needs_arguments=any(argument["type"]["kind"] == "NON_NULL" for argument in arguments),
        type_name=kind["name"],
        is_list=is_list,
        is_leaf=kind["kind"] in ("SCALAR", "ENUM"),
    )
