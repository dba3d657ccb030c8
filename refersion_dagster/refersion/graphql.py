"""Refersion's GraphQL API: what this account's schema offers, and queries for it.

The API is "beta, subject to change" (documented) and one unknown field fails a whole query, so the schema is asked
first (introspection is open to a valid token, documented). Where it is refused, fields that are documented or were
seen in working clients are tried, and those that the server names as unknown are dropped.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from refersion_dagster.refersion.entities import Column, Entity, Evidence
from refersion_dagster.refersion.errors import (
    FieldNotOffered,
    InvalidCredentials,
    NotInPlan,
    RequestRefused,
    UnexpectedAnswer,
    UnreadableValue,
)
from refersion_dagster.refersion.http import (
    PLAN_GATE,
    Answer,
    Transient,
    Transport,
    asked_pause,
    read_json,
    server_words,
)
from refersion_dagster.refersion.paging import Page, Slice
from refersion_dagster.refersion.windows import Window

logger = logging.getLogger(__name__)

URL = "https://graphql.refersion.com"
# The most rows that one answer holds (documented for conversions).
PAGE_SIZE = 200
# For lists that cannot be paged: more than any account has.
EVERYTHING = 100_000

INTROSPECTION = """{ __schema { queryType { name } types { name kind
  fields(includeDeprecated: true) { name args { name type { kind } } type { ...T } } } } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }"""

UNKNOWN_FIELD = re.compile(r"""Cannot query field ["'“]?(\w+)["'”]? on type ["'“]?(\w+)""")
UNKNOWN_ARGUMENT = re.compile(r"""Unknown argument ["'“]?(\w+)""")
# Errors in the query itself: sending it again cannot help. Everything else that comes as a GraphQL error may pass.
QUERY_ERROR = re.compile(
    r"cannot query|unknown argument|unknown type|syntax error|must have a (sub)?selection|introspection|expected type|"
    r"argument|validation|not allowed|forbidden",
    re.IGNORECASE,
)
AUTH_ERROR = re.compile(
    r"(invalid|wrong|missing) ([\w-]+[ -])?(key|token|credential)|unauthori[sz]ed|unauthenticated|"
    r"authentication",
    re.IGNORECASE,
)
TOO_FAST = re.compile(r"too many requests|rate.?limit|throttl|quota", re.IGNORECASE)


class QueryError(RequestRefused):
    """The server found fault with the query itself. `unknown` holds (type, field) pairs, `arguments` names."""

    unknown: frozenset[tuple[str, str]] = frozenset()
    arguments: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FieldType:
    """A field of a GraphQL type: the arguments it takes, whether it needs any, and what it holds."""

    arguments: frozenset[str]
    needs_arguments: bool
    type_name: str
    is_list: bool
    is_leaf: bool


@dataclass(frozen=True)
class AccountSchema:
    """What introspection told: the fields of each type, by name."""

    query_type: str
    types: dict[str, dict[str, FieldType]]

    def root(self, name: str) -> FieldType | None:
        return self.types.get(self.query_type, {}).get(name)


@dataclass(frozen=True)
class Selection:
    """What is asked for of one entity on this account.

    Args:
        columns: catalogue columns that are selected.
        missing: catalogue columns that this account does not offer; they load as NULL.
        extras: further scalar fields, kept as text.
        arguments: arguments of the root field that may be used.
        announces: whether pageInfo tells a total.
    """

    entity: Entity
    columns: tuple[Column, ...]
    missing: tuple[Column, ...]
    extras: tuple[str, ...]
    arguments: frozenset[str]
    announces: bool

    @property
    def pages(self) -> bool:
        return {"first", "offset"} <= self.arguments

    def offers(self, name: str) -> bool:
        return any(column.name == name for column in self.columns)


@dataclass
class GraphQL:
    """A client for one account.

    Args:
        transport: sends the requests.
        url: the endpoint.
    """

    transport: Transport
    url: str = URL
    exact: bool = False
    # Held while a page is parsed or taken apart: threads that compute at once only fight for the interpreter, which
    # takes twice as long. Waiting for the network they need not.
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock, init=False)
    _schema: AccountSchema | None = field(default=None, init=False)
    _asked: bool = field(default=False, init=False)

    def execute(self, query: str, operation: str) -> dict[str, Any]:
        """The `data` of the answer.

        Raises:
            QueryError: a fault in the query, such as a field that this account lacks.
            InvalidCredentials, NotInPlan, RequestRefused, ServerUnavailable, UnexpectedAnswer.
        """
        return self.transport.post(
            self.url, orjson.dumps({"query": query}), operation=f"graphql {operation}", interpret=self._interpret
        )

    def _interpret(self, answer: Answer) -> dict[str, Any]:
        if answer.status == 403 and AUTH_ERROR.search(server_words(answer.content)):
            self._refuse(answer, [server_words(answer.content)])
        if answer.status not in (200, 400):
            self.transport.check(answer)
        with self.one_at_a_time:
            exactly = self._exactly(answer)
            body = json.loads(answer.content, parse_float=Decimal) if exactly else read_json(answer.content)
        errors = body.get("errors") if isinstance(body, dict) else None
        if errors:
            self._refuse(answer, errors if isinstance(errors, list) else [errors])
        self.transport.check(answer)
        if not isinstance(body, dict) or not isinstance(body.get("data"), dict):
            raise UnexpectedAnswer(
                "the answer holds neither data nor errors.",
                said=server_words(answer.content) or None,
                advice="Check REFERSION_GRAPHQL_URL.",
            )
        return body["data"]

    def _exactly(self, answer: Answer) -> bool:
        if not self.exact:
            return False
        read_json(answer.content)  # a truncated answer may pass when asked for again
        return True

    def _refuse(self, answer: Answer, errors: Sequence[Any]) -> None:
        texts = [str(error.get("message", error)) if isinstance(error, dict) else str(error) for error in errors]
        said = self.transport.redact("; ".join(texts))[:500]
        if AUTH_ERROR.search(said):
            raise InvalidCredentials(
                "Refersion does not accept the token.",
                said=said,
                advice=self.transport.key_advice,
            )
        if PLAN_GATE.search(said):
            raise NotInPlan("the account's plan does not offer this.", said=said)
        if TOO_FAST.search(said):
            raise Transient("too many requests", wait=asked_pause(answer.headers), slower=True, said=said)
        if answer.status == 400 or QUERY_ERROR.search(said):
            error = QueryError("the query was refused.", said=said)
            error.unknown = frozenset((found[2], found[1]) for text in texts for found in UNKNOWN_FIELD.finditer(text))
            error.arguments = frozenset(found[1] for text in texts for found in UNKNOWN_ARGUMENT.finditer(text))
            raise error
        raise Transient("a GraphQL error", said=said)

    def schema(self) -> AccountSchema | None:
        """What the account offers, asked once; None where introspection is refused."""
        if not self._asked:
            try:
                self._schema = _parse_schema(self.execute(INTROSPECTION, "introspection"))
            except RequestRefused as refusal:
                logger.info("introspection is refused (%s); asking for the documented fields", refusal.said)
            self._asked = True
        return self._schema

    def select(self, entity: Entity) -> Selection:
        """What to ask for of an entity. Raises FieldNotOffered where it, its key or a needed field is not offered."""
        schema = self.schema()
        return self._select_known(schema, entity) if schema else self._select_by_trial(entity)

    def _select_known(self, schema: AccountSchema, entity: Entity) -> Selection:
        root = schema.root(entity.name)
        if root is None:
            raise _not_offered(entity)
        fields = schema.types.get(root.type_name, {})

        def offered(column: Column) -> bool:
            first, *rest = column.path
            at = fields.get(first)
            if at is None or at.needs_arguments:
                return False
            if not rest:
                return at.is_leaf or at.is_list
            leaf = schema.types.get(at.type_name, {}).get(rest[0])
            return leaf is not None and leaf.is_leaf and not leaf.needs_arguments

        theirs = [column for column in entity.columns if column.evidence is not Evidence.OURS]
        known = {column.path[0] for column in theirs}
        extras = tuple(
            sorted(
                name
                for name, at in fields.items()
                if name not in known and at.is_leaf and not at.is_list and not at.needs_arguments
            )
        )
        page_info = schema.root("pageInfo")
        total_results = page_info and schema.types.get(page_info.type_name, {}).get("total_results")
        announces = bool(total_results and entity.name in schema.types.get(total_results.type_name, {}))
        columns = tuple(column for column in theirs if offered(column))
        return self._checked(
            Selection(
                entity,
                columns,
                tuple(column for column in theirs if column not in columns),
                extras,
                root.arguments,
                announces,
            )
        )

    def _select_by_trial(self, entity: Entity) -> Selection:
        """Without introspection: documented and seen fields and those that summaries need, less what is refused."""
        needed = {name for name, _ in entity.filled_by_filter}
        theirs = [column for column in entity.columns if column.evidence is not Evidence.OURS]
        tried = [
            column
            for column in theirs
            if column.evidence in (Evidence.DOCUMENTED, Evidence.SEEN) or column.name in needed
        ]
        arguments = {"first", "offset", "limit"} - ({"limit"} if entity.windowed else set())
        arguments |= {"created_from", "created_to", "status", "payment_status"} if entity.windowed else set()
        announces = entity.windowed
        for _ in range(len(tried) + len(arguments) + 2):
            selection = Selection(entity, tuple(tried), (), (), frozenset(arguments), announces)
            filters = tuple((name, values[0]) for name, values in entity.filled_by_filter if name in arguments)
            window = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC))
            probe = Slice(window if entity.windowed else None, None, filters)
            try:
                self.execute(build_query(selection, probe, 0, 1), entity.name)
            except QueryError as error:
                if any(name == entity.name and "query" in owner.lower() for owner, name in error.unknown):
                    raise _not_offered(entity) from None
                left = [column for column in tried if not _is_unknown(column, entity, tried, error.unknown)]
                left_arguments = arguments - error.arguments
                totals = {"pageInfo", "total_results", entity.name}
                still_announces = announces and totals.isdisjoint(name for _, name in error.unknown)
                if len(left) == len(tried) and left_arguments == arguments and still_announces == announces:
                    raise
                tried, arguments, announces = left, left_arguments, still_announces
                continue
            missing = tuple(column for column in theirs if column not in tried)
            return self._checked(Selection(entity, tuple(tried), missing, (), frozenset(arguments), announces))
        raise UnexpectedAnswer("the server keeps refusing the query.", operation=f"graphql {entity.name}")

    def _checked(self, selection: Selection) -> Selection:
        fillable = {name for name, _ in selection.entity.filled_by_filter if name in selection.arguments}
        lacking = [
            column.name
            for column in selection.missing
            if column.required
            or (column.name in dict(selection.entity.filled_by_filter) and column.name not in fillable)
        ]
        if lacking:
            name = selection.entity.name
            raise FieldNotOffered(
                f"this account's GraphQL API offers {name} without {', '.join(lacking)}; the table cannot be loaded "
                "correctly without.",
                operation=f"graphql {name}",
                advice="Please report this account's schema as an issue; Refersion's support may be able to open it.",
            )
        if selection.entity.windowed and not {"created_from", "created_to"} <= selection.arguments:
            raise FieldNotOffered(
                f"this account's GraphQL API offers {selection.entity.name} without created_from and created_to.",
                operation=f"graphql {selection.entity.name}",
            )
        return selection

    def fetch(
        self,
        selection: Selection,
        one: Slice,
        offset: int,
        first: int,
        read: Callable[[bytes], Page | None] = lambda content: None,
    ) -> Page:
        """One page of a slice. Raises as `execute`, and UnreadableValue for a row without an id.

        `read` may make the page of an answer's body by itself; where it gives None the body is parsed here.
        """
        name = selection.entity.name

        def interpret(answer: Answer) -> Page | dict[str, Any]:
            page = read(answer.content) if answer.status == 200 else None
            return self._interpret(answer) if page is None else page

        query = orjson.dumps({"query": build_query(selection, one, offset, first)})
        data = self.transport.post(self.url, query, operation=f"graphql {name}", interpret=interpret)
        if isinstance(data, Page):
            return data
        rows = data.get(name)
        if rows is None:
            rows = []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UnexpectedAnswer(f"the answer's {name} are no list of objects.", operation=f"graphql {name}")
        ids = [row.get("id") for row in rows]
        kinds = set(map(type, ids))
        if float in kinds and not self.exact:
            # Different ids of more than 64 bits may have become the same number.
            self.exact = True
            return self.fetch(selection, one, offset, first)
        if strange := kinds - {int, str, Decimal}:
            at = next(at for at, found in enumerate(ids) if type(found) in strange)
            raise UnreadableValue(
                table=name,
                field="id",
                row=f"number {offset + at + 1} of {one}",
                value=ids[at],
                wanted="an id, which a row must have",
            )
        return Page(rows, ids, _announced(data, name))


def _not_offered(entity: Entity) -> FieldNotOffered:
    return FieldNotOffered(
        f"this account's GraphQL API offers no {entity.name}.",
        operation=f"graphql {entity.name}",
        advice="Leave this table out of the selection, or ask Refersion's support to open it.",
    )


def _is_unknown(column: Column, entity: Entity, tried: Sequence[Column], unknown: Iterable[tuple[str, str]]) -> bool:
    """Whether the server named a column's field as unknown, by (type, field).

    Of objects the type is not known here. Where one is named like the type it is meant, else all with such a field.
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


def build_query(selection: Selection, one: Slice, offset: int, first: int) -> str:
    """The query for one page, arguments inline as in Refersion's own samples.

    Both readings of the bounds are covered, as it is not documented whether they are inclusive: one second more is
    asked for at either end, and rows outside of the window are dropped after reading.
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
    if selection.announces:
        parts.append(f"pageInfo {{ total_results {{ {selection.entity.name} }} }}")
    return f"{{ {', '.join(parts)} }}"


def _fields(selection: Selection) -> str:
    plain = [column.name for column in selection.columns if len(column.path) == 1]
    objects: dict[str, list[str]] = {}
    for column in selection.columns:
        if len(column.path) == 2:
            objects.setdefault(column.path[0], []).append(column.path[1])
    return " ".join(
        [*plain, *selection.extras, *(f"{name} {{ {' '.join(fields)} }}" for name, fields in objects.items())]
    )


def _announced(data: dict[str, Any], name: str) -> int | None:
    found: Any = data
    for key in ("pageInfo", "total_results", name):
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, str) and found.isdigit():
        return int(found)
    return found if isinstance(found, int) and found >= 0 else None


def _parse_schema(data: dict[str, Any]) -> AccountSchema:
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
            f"the schema came in an unknown shape ({error!r}).", operation="graphql introspection"
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
