"""`POST /graphql`: the request, its execution against the schema, and the response."""

import re
from collections import OrderedDict
from dataclasses import replace
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    ExecutionContext,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    execute,
    parse,
    validate,
)
from graphql.execution.values import get_argument_values
from graphql.pyutils import Path

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.api.graphql_filters import RowFilter, RowSelection
from refersion_dagster.sandbox.api.graphql_rows import SOURCE, Row, Rows
from refersion_dagster.sandbox.api.graphql_schema import build_schema
from refersion_dagster.sandbox.lifecycle.mutations import RowChurn
from refersion_dagster.sandbox.model import Affiliate, Offer
from refersion_dagster.sandbox.response import SandboxResponse
from refersion_dagster.sandbox.settings import Switches

KEPT_DOCUMENTS = 256
# Standalone whole numbers with few enough digits to always be a valid Int.
NUMBER = re.compile(r"\b\d{1,9}\b|\b1\d{9}\b")
_FILTERS = ("created_from", "created_to", "status", "payment_status", "email", "id")
_COUNTED = ("conversions", "payments", "affiliates", "offers")


class RowExecution(ExecutionContext):
    """graphql-core's execution with a fast path for rows.

    A leaf or an object without a resolver is copied from the row unchanged. A page of 200 rows then takes milliseconds,
    and tests can send values that no scalar would accept.
    """

    def execute_fields(
        self, parent_type: GraphQLObjectType, source_value: Any, path: Path | None, fields: dict[str, list[FieldNode]]
    ) -> Any:
        if not isinstance(source_value, dict):
            return super().execute_fields(parent_type, source_value, path, fields)
        result: dict[str, Any] = {}
        known = parent_type.fields
        for response_name, nodes in fields.items():
            name = nodes[0].name.value
            field = known.get(name)
            if field is None or field.resolve is not None:
                step = Path(path, response_name, parent_type.name)
                result[response_name] = self.execute_field(parent_type, source_value, nodes, step)
                continue
            value = source_value.get(name)
            kind = field.type
            if isinstance(value, dict) and isinstance(kind, GraphQLObjectType):
                value = self.execute_fields(kind, value, path, self.collect_subfields(kind, nodes))
            result[response_name] = value
        return result


class GraphQLApi:
    """The GraphQL side of one account: the schema for the current switches, and a cache of parsed documents."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.selection = RowSelection(account)
        self.churning = RowChurn(account, self.selection)
        self._schema: tuple[Switches, GraphQLSchema] | None = None
        self._documents: OrderedDict[str, DocumentNode | list[GraphQLError]] = OrderedDict()
        self._valid: set[str] = set()

    def read(self, content_type: str, body: bytes) -> "GraphQLRequest | SandboxResponse":
        """Parse the request. Returns a SandboxResponse if there is nothing to execute."""
        kind = content_type.partition(";")[0].strip().lower()
        variables, operation = {}, None
        if kind == "application/graphql":
            query = body.decode("utf-8", "replace")
        elif kind == "application/json":
            try:
                sent = orjson.loads(body)
            except orjson.JSONDecodeError:
                return _errors(400, "The request body is not valid JSON.")
            query = sent.get("query") if isinstance(sent, dict) else None
            if not isinstance(query, str):
                return _errors(400, "The request has no query.")
            variables, operation = sent.get("variables") or {}, sent.get("operationName")
        else:
            return _errors(415, f"Content-Type {kind or '(none)'} is not supported.")
        with self.account.lock:
            document = self._document(query)
        return GraphQLRequest(self, document, variables, operation)

    def schema(self) -> GraphQLSchema:
        switches = self.account.switches
        if self._schema is None or self._schema[0] is not switches:
            self._schema = switches, build_schema(switches, RESOLVERS)
            self._documents.clear()
            self._valid.clear()
        return self._schema[1]

    def _document(self, query: str) -> DocumentNode | list[GraphQLError]:
        schema = self.schema()
        document = self._documents.get(query)
        if document is None:
            try:
                parsed = parse(query)
                shape = _shape(query)
                document = parsed if shape in self._valid else validate(schema, parsed) or parsed
                if document is parsed and len(self._valid) < KEPT_DOCUMENTS:
                    self._valid.add(shape)
            except GraphQLError as error:
                document = [error]
            self._documents[query] = document
            if len(self._documents) > KEPT_DOCUMENTS:
                self._documents.popitem(last=False)
        else:
            self._documents.move_to_end(query)
        return document


class GraphQLRequest:
    """One request: the root fields it selects, and its execution."""

    def __init__(
        self,
        owner: GraphQLApi,
        document: DocumentNode | list[GraphQLError],
        variables: Any,
        operation: str | None,
    ) -> None:
        self.account = owner.account
        self.selection = owner.selection
        self.churning = owner.churning
        self.empty_page = False
        self.rows: Rows
        self._owner = owner
        self._document = document
        self._variables = variables if isinstance(variables, dict) else {}
        self._operation = operation

    def root_fields(self) -> list[str]:
        """Names of the selected root fields without pageInfo; `introspection` for __schema and __type."""
        if isinstance(self._document, list):
            return []
        names = []
        fragments = _fragments(self._document)
        for definition in self._document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                for node in _flat(definition.selection_set, fragments):
                    name = "introspection" if node.name.value in ("__schema", "__type") else node.name.value
                    if name != "pageInfo" and name not in names:
                        names.append(name)
        return names

    def answer(self) -> SandboxResponse:
        """Execute the query.

        Errors have status 200 unless a switch says otherwise. One unknown field fails the whole query.
        """
        switches = self.account.switches
        if isinstance(self._document, list):
            return SandboxResponse.json(
                switches.validation_error_status, {"errors": [error.formatted for error in self._document]}
            )
        if switches.introspection != "open" and "introspection" in self.root_fields():
            _, _, status = switches.introspection.partition("_")
            return _errors(int(status or 200), "GraphQL introspection is not allowed.")
        with self.account.lock:
            schema = self._owner.schema()
            self.rows = Rows(self.account)
            result = execute(
                schema,
                self._document,
                context_value=self,
                variable_values=self._variables,
                operation_name=self._operation,
                execution_context_class=RowExecution,
                is_awaitable=_never,
            )
        if not isinstance(result, ExecutionResult):
            raise TypeError("a resolver was not synchronous")
        answer: dict[str, Any] = {"errors": [error.formatted for error in result.errors]} if result.errors else {}
        return SandboxResponse.json(200, answer | {"data": result.data})

    def window(self, name: str, arguments: dict[str, Any], affiliate: Affiliate | None = None) -> RowFilter:
        """The arguments as a filter. Arguments that a switch marks as ignored have no effect."""
        ignored = self.account.switches.ignore_filters
        values = {
            key: arguments[key] for key in _FILTERS if arguments.get(key) is not None and f"{name}.{key}" not in ignored
        }
        return RowFilter(**values, affiliate_id=None if affiliate is None else affiliate.id)

    def select(self, name: str, window: RowFilter) -> list[Any]:
        if name == "offers":
            return self.selection.offers()
        return getattr(self.selection, name)(window)


def _shape(query: str) -> str:
    """The query with its numbers replaced by names, in order of appearance.

    Queries of the same shape are either all valid or all invalid. The pages of a list differ only in their numbers, and
    validating a query takes ten times as long as building a page's rows.
    """
    seen: dict[str, str] = {}
    return NUMBER.sub(lambda number: seen.setdefault(number[0], f"${len(seen)}"), query)


def _never(_value: Any) -> bool:
    return False


def _errors(status: int, *messages: str) -> SandboxResponse:
    return SandboxResponse.json(status, {"errors": [{"message": message} for message in messages]})


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {item.name.value: item for item in document.definitions if isinstance(item, FragmentDefinitionNode)}


def _flat(selections: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode]) -> list[FieldNode]:
    fields: list[FieldNode] = []
    for item in selections.selections:
        if isinstance(item, FieldNode):
            fields.append(item)
        elif isinstance(item, InlineFragmentNode):
            fields += _flat(item.selection_set, fragments)
        elif isinstance(item, FragmentSpreadNode):
            fields += _flat(fragments[item.name.value].selection_set, fragments)
    return fields


def _page(request: GraphQLRequest, found: list[Any], arguments: dict[str, Any]) -> list[Any]:
    """At most 200 rows. `limit` and `first` mean the same. Negative numbers are an error."""
    cap = request.account.switches.page_cap
    given = [value for value in (arguments.get("first"), arguments.get("limit")) if value is not None]
    first, offset = given[0] if given else cap, arguments.get("offset") or 0
    if first < 0 or offset < 0:
        raise GraphQLError("first and offset must not be negative.")
    return [] if request.empty_page else found[offset : offset + min(first, cap)]


def _listing(name: str) -> Any:
    def resolve(source: Row | None, info: GraphQLResolveInfo, **arguments: Any) -> list[Row]:
        request: GraphQLRequest = info.context
        owner = source.get(SOURCE) if source is not None else None
        affiliate = owner if isinstance(owner, Affiliate) else None
        window = request.window(name, arguments, affiliate)
        if isinstance(owner, Offer):
            window = replace(window, offer_id=owner.id)
        if name == "conversions" and affiliate is None:
            request.churning.before_request(window)
        found = request.select(name, window)
        build = getattr(request.rows, name.removesuffix("s"))
        return [build(row) for row in _page(request, found, arguments)]

    return resolve


def _creatives(_source: Any, info: GraphQLResolveInfo, **arguments: Any) -> list[Row]:
    request: GraphQLRequest = info.context
    return [request.rows.creative(row) for row in _page(request, request.account.creatives, arguments)]


def _total_results(_source: Any, info: GraphQLResolveInfo) -> dict[str, int | None] | None:
    """Total number of rows of the lists in the same query: with their filters, ignoring paging."""
    request: GraphQLRequest = info.context
    switches = request.account.switches
    if switches.total_results == "absent":
        return None
    if switches.total_results == "null":
        return dict.fromkeys(_COUNTED)
    windows = dict.fromkeys(_COUNTED, RowFilter())
    query = info.schema.query_type
    if query is not None and not switches.total_results_ignore_filters:
        for node in reversed(_flat(info.operation.selection_set, info.fragments)):
            name = node.name.value
            if name in _COUNTED and name in query.fields:
                arguments = get_argument_values(query.fields[name], node, info.variable_values)
                windows[name] = request.window(name, arguments)
    return {name: len(request.select(name, window)) + switches.total_results_offset for name, window in windows.items()}


def _page_info(_source: Any, _info: GraphQLResolveInfo) -> dict[str, Any]:
    return {}


RESOLVERS: dict[tuple[str, str], Any] = {
    **{("Query", name): _listing(name) for name in ("conversions", "payments", "affiliates", "offers", "clicks")},
    ("Affiliate", "conversions"): _listing("conversions"),
    ("Affiliate", "clicks"): _listing("clicks"),
    ("Offer", "clicks"): _listing("clicks"),
    ("Query", "creatives"): _creatives,
    ("Query", "pageInfo"): _page_info,
    ("PageInfo", "total_results"): _total_results,
}
