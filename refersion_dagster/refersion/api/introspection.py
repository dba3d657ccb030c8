"""The schema of an account's GraphQL API, from introspection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from refersion_dagster.refersion.errors import UnexpectedAnswer

INTROSPECTION = """{ __schema { queryType { name } types { name kind
  fields(includeDeprecated: true) { name args { name type { kind } } type { ...T } } } } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }"""


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
    """The result of introspection: the fields of each type, by name."""

    query_type: str
    types: dict[str, dict[str, FieldType]]

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
        )
    except (KeyError, TypeError) as error:
        raise UnexpectedAnswer(
            f"the schema has an unknown format ({error!r}).", operation="graphql introspection"
        ) from None


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
