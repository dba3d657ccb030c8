"""Refersion's GraphQL API: its errors, its schema, and pages of its lists.

The API is "beta, subject to change" (documented), so the schema is queried first. Introspection is available with a
valid token (documented).
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from refersion_dagster.refersion.api.introspection import INTROSPECTION, AccountSchema, parse_schema
from refersion_dagster.refersion.api.query import FieldSelection, build_query, select_by_trial, select_offered
from refersion_dagster.refersion.api.responses import (
    PLAN_GATE,
    ApiResponse,
    Transient,
    read_json,
    read_pause,
    server_words,
)
from refersion_dagster.refersion.api.transport import Transport
from refersion_dagster.refersion.errors import (
    InvalidCredentials,
    NotInPlan,
    QueryError,
    RequestRefused,
    UnexpectedAnswer,
    UnreadableValue,
)
from refersion_dagster.refersion.extract.page_assembler import Page, Slice
from refersion_dagster.refersion.tables.catalog import Entity
from refersion_dagster.settings import AccountSettings

logger = logging.getLogger(__name__)

URL: str = AccountSettings.default("graphql_url")
# Maximum number of rows in one response (documented for conversions).
PAGE_SIZE = 200

UNKNOWN_FIELD = re.compile(r"""Cannot query field ["'“]?(\w+)["'”]? on type ["'“]?(\w+)""")
UNKNOWN_ARGUMENT = re.compile(r"""Unknown argument ["'“]?(\w+)""")
# Errors in the query itself: a retry cannot help. All other GraphQL errors may be temporary.
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


@dataclass
class GraphQLClient:
    """A client for one account.

    Args:
        transport: sends the requests.
        url: the endpoint.
    """

    transport: Transport
    url: str = URL
    exact: bool = False
    # Held while a page is parsed or split. Threads that compute in parallel only compete for the interpreter, which
    # takes twice as long. Waiting for the network does not need the lock.
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock, init=False)
    # What the server said when it refused introspection.
    introspection_refusal: str | None = field(default=None, init=False)
    _schema: AccountSchema | None = field(default=None, init=False)
    _asked: bool = field(default=False, init=False)

    def execute(self, query: str, operation: str) -> dict[str, Any]:
        """Returns the `data` of the response.

        Raises:
            QueryError: the query is invalid, for example because this account lacks a field.
            InvalidCredentials, NotInPlan, RequestRefused, ServerUnavailable, UnexpectedAnswer.
        """
        return self.transport.post(
            self.url, orjson.dumps({"query": query}), operation=f"graphql {operation}", interpret=self._interpret
        )

    def _interpret(self, answer: ApiResponse) -> dict[str, Any]:
        if answer.status == 403 and AUTH_ERROR.search(server_words(answer.content)):
            self._refuse(answer, [server_words(answer.content)])
        if answer.status not in (200, 400):
            self.transport.check(answer)
        with self.one_at_a_time:
            exactly = self._check_exact(answer)
            body = json.loads(answer.content, parse_float=Decimal) if exactly else read_json(answer.content)
        errors = body.get("errors") if isinstance(body, dict) else None
        if errors:
            self._refuse(answer, errors if isinstance(errors, list) else [errors])
        self.transport.check(answer)
        if not isinstance(body, dict) or not isinstance(body.get("data"), dict):
            raise UnexpectedAnswer(
                "the response contains neither data nor errors.",
                said=server_words(answer.content) or None,
                advice="Check REFERSION_GRAPHQL_URL.",
            )
        return body["data"]

    def _check_exact(self, answer: ApiResponse) -> bool:
        if not self.exact:
            return False
        read_json(answer.content)  # a truncated response is retried
        return True

    def _refuse(self, answer: ApiResponse, errors: Sequence[Any]) -> None:
        texts = [str(error.get("message", error)) if isinstance(error, dict) else str(error) for error in errors]
        said = "; ".join(texts)[:500]
        if AUTH_ERROR.search(said):
            raise InvalidCredentials(
                "Refersion does not accept the token.",
                said=said,
                advice=self.transport.key_advice,
            )
        if PLAN_GATE.search(said):
            raise NotInPlan("the account's plan does not offer this.", said=said)
        if TOO_FAST.search(said):
            raise Transient("too many requests", wait=read_pause(answer.headers), slower=True, said=said)
        if answer.status == 400 or QUERY_ERROR.search(said):
            error = QueryError("the query was refused.", said=said)
            error.unknown = frozenset((found[2], found[1]) for text in texts for found in UNKNOWN_FIELD.finditer(text))
            error.arguments = frozenset(found[1] for text in texts for found in UNKNOWN_ARGUMENT.finditer(text))
            raise error
        raise Transient("a GraphQL error", said=said)

    def schema(self) -> AccountSchema | None:
        """The account's schema, queried once. None if introspection is refused."""
        if not self._asked:
            try:
                self._schema = parse_schema(self.execute(INTROSPECTION, "introspection"))
            except RequestRefused as refusal:
                logger.info("introspection is refused (%s); using the documented fields", refusal.said)
                self.introspection_refusal = refusal.said or refusal.what
            self._asked = True
        return self._schema

    def select(self, entity: Entity) -> FieldSelection:
        """The fields to query for an entity. Raises FieldNotOffered if it, its key or a required field is missing."""
        schema = self.schema()
        return select_offered(schema, entity) if schema else select_by_trial(entity, self.execute)

    def fetch(
        self,
        selection: FieldSelection,
        one: Slice,
        offset: int,
        first: int,
        read: Callable[[bytes], Page | None] = lambda content: None,
    ) -> Page:
        """One page of a slice. Raises as `execute` does, and UnreadableValue for a row without an id.

        `read` may build the page from the response body. If it returns None, the body is parsed here.
        """
        name = selection.entity.name

        def interpret(answer: ApiResponse) -> Page | dict[str, Any]:
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
            raise UnexpectedAnswer(f"{name} in the response is not a list of objects.", operation=f"graphql {name}")
        if not selection.offers("id"):
            return Page(rows, list(map(fingerprint, rows)), get_announced_count(data, name), unique=False)
        ids = [row.get("id") for row in rows]
        kinds = set(map(type, ids))
        if float in kinds and not self.exact:
            # Distinct ids of more than 64 bits may have become the same number.
            self.exact = True
            return self.fetch(selection, one, offset, first)
        if strange := kinds - {int, str, Decimal}:
            at = next(at for at, found in enumerate(ids) if type(found) in strange)
            raise UnreadableValue(
                table=name,
                field="id",
                row=f"number {offset + at + 1} of {one}",
                value=ids[at],
                wanted="an id, which every row needs",
            )
        return Page(rows, ids, get_announced_count(data, name))


def fingerprint(row: dict[str, Any]) -> str:
    """Identifies a row that has no id: all of its content."""
    return json.dumps(row, sort_keys=True, default=str)


def get_announced_count(data: dict[str, Any], name: str) -> int | None:
    """The number of rows that pageInfo reports for a list. None if it reports none."""
    found: Any = data
    for key in ("pageInfo", "total_results", name):
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, str) and found.isdigit():
        return int(found)
    return found if isinstance(found, int) and found >= 0 else None
