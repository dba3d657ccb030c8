"""Refersion's REST API v2: the affiliate list, affiliate details and control totals."""

from __future__ import annotations

import itertools
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson

from refersion_dagster.refersion.api.responses import ApiResponse, read_json
from refersion_dagster.refersion.api.transport import Transport
from refersion_dagster.refersion.errors import (
    RefersionError,
    RequestRefused,
    UnexpectedAnswer,
    UnreadableValue,
    WindowNotSettled,
)
from refersion_dagster.refersion.tables.catalog import CONVERSION_STATUSES
from refersion_dagster.refersion.tables.coerce import read_text
from refersion_dagster.refersion.windows import Window
from refersion_dagster.settings import AccountSettings

logger = logging.getLogger(__name__)

URL: str = AccountSettings.default("rest_url")
# Documented for the affiliate list.
PAGE_SIZE = 100
ATTEMPTS = 5
NOT_FOUND = "not found"


@dataclass
class RestClient:
    """A client for one account.

    Args:
        transport: sends the requests.
        url: the base of the API, without a trailing slash.
    """

    transport: Transport
    url: str = URL

    def call(self, path: str, body: Mapping[str, Any]) -> Any:
        """POSTs to an operation and returns the parsed response, with exact numbers (int or Decimal).

        Raises InvalidCredentials, NotInPlan, RequestRefused, ServerUnavailable or UnexpectedAnswer.
        """

        def interpret(answer: ApiResponse) -> Any:
            self.transport.check(answer)
            read_json(answer.content)  # truncated responses are retried
            return json.loads(answer.content, parse_float=Decimal)

        return self.transport.post(self.url.rstrip("/") + path, orjson.dumps(body), operation=path, interpret=interpret)

    def change(self, path: str, body: Mapping[str, Any], *, redact: Callable[[bytes], bytes] = bytes) -> Any:
        """POSTs to an operation that changes data. Amounts (Decimal) are sent exactly.

        A request that may have been executed is never repeated.

        Args:
            redact: removes secrets of the body from the response before anything else sees it.

        Raises AnswerLost if it is unknown whether the request was executed, otherwise as `call`. The error's `status`
        is that of the response, if there was one.
        """
        status: int | None = None

        def interpret(answer: ApiResponse) -> Any:
            nonlocal status
            status = answer.status
            answer = replace(answer, content=redact(answer.content))
            self.transport.check(answer)
            read_json(answer.content)
            return json.loads(answer.content, parse_float=Decimal)

        try:
            return self.transport.post(
                self.url.rstrip("/") + path,
                encoded(body),
                operation=path,
                interpret=interpret,
                repeatable=False,
            )
        except RefersionError as error:
            error.status = status
            raise

    def _object(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """`call` for operations that return a JSON object. Raises UnexpectedAnswer for anything else."""
        answer = self.call(path, body)
        if not isinstance(answer, dict):
            raise self._make_unexpected("the response is not a JSON object.", path)
        return answer

    def _make_unexpected(self, what: str, path: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(
            what, operation=path, advice="Check REFERSION_REST_URL.", requests=self.transport.requests_sent
        )

    def affiliate_list(self) -> list[dict[str, Any]]:
        """Every affiliate of the account, verified to be complete.

        Pages are fetched in parallel, up to the total that the first one announces. The list is read again if
        affiliates were added or removed meanwhile, which shows as a duplicate row, a changed total or a total that
        does not match. A wrong total is accepted if two consecutive reads return the same affiliates.

        Raises WindowNotSettled if the list keeps changing, UnreadableValue for a row without an id, otherwise as
        `call`.
        """
        before: list[str] | None = None
        why = ""
        for _ in range(ATTEMPTS):
            rows, totals = self._pages()
            ids = [_id(row, place) for place, row in enumerate(rows, 1)]
            if len(set(ids)) < len(ids):
                why = "an affiliate was listed twice"
            elif len(totals) > 1:
                why = f"the announced total changed ({', '.join(map(str, sorted(totals)))})"
            elif totals and len(ids) not in totals:
                why = f"{len(ids)} affiliates were listed, but {max(totals)} announced"
            else:
                return rows
            if ids == before and len(set(ids)) == len(ids):
                logger.warning("/affiliate/list: %s, in two readings; using the list unchanged", why)
                return rows
            logger.warning("/affiliate/list: %s; reading it again", why)
            before = ids
        raise WindowNotSettled(
            f"the list kept changing in {ATTEMPTS} readings: {why}.",
            operation="/affiliate/list",
            advice="None of it was loaded. Try again when the account is less busy.",
        )

    def _pages(self) -> tuple[list[dict[str, Any]], set[int]]:
        """All rows in order, and every total that the pages announced."""
        first = self._page(1)
        ahead: list[_AffiliatePage] = []
        if first.rows and first.total and not first.is_last:
            expected = math.ceil(first.total / len(first.rows))
            with ThreadPoolExecutor(self.transport.throttle.limit, thread_name_prefix="refersion") as pool:
                ahead = list(pool.map(self._page, range(2, expected + 1)))
        fetched = iter([first, *ahead])
        rows: list[dict[str, Any]] = []
        totals: set[int] = set()
        previous: list[dict[str, Any]] = []
        for number in itertools.count(1):
            page = next(fetched, None) or self._page(number)
            if not page.rows and totals and len(rows) < max(totals):
                page = self._page(number)  # an empty page in the middle is requested again
            if not page.rows or page.rows == previous:
                break
            rows += page.rows
            previous = page.rows
            if page.total is not None:
                totals.add(page.total)
            # The total alone does not make a full page the last one: it may count only the rows of that page.
            if page.is_last or (totals and len(rows) == max(totals) and len(page.rows) < PAGE_SIZE):
                break
        return rows, totals

    def _page(self, number: int) -> _AffiliatePage:
        try:
            answer = self._object("/affiliate/list", {"limit": str(PAGE_SIZE), "page": str(number)})
        except RequestRefused as refusal:
            # Searches without a result return a 422 (documented). A page past the end may do the same.
            if number > 1 and "(HTTP 422)" in refusal.what:
                return _AffiliatePage([], None, True)
            raise
        rows = answer.get("results")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._make_unexpected("the response contains no list of affiliates.", "/affiliate/list")
        place = str(answer.get("page", "")).partition("/")
        return _AffiliatePage(
            rows,
            _count(answer.get("total")),
            bool(place[1]) and place[0].strip() == place[2].strip(),
        )

    def affiliate_get(self, listed: Mapping[str, Any], *, ids_are_numbers: bool) -> dict[str, Any] | None:
        """The details of an affiliate in the list. None if it no longer exists.

        The list's id is documented as the code, but some accounts may return the numeric id. If a lookup by one finds
        no affiliate, or one with another e-mail, the other is tried.
        """
        listed_id = read_text(listed.get("id"))
        ways: list[dict[str, Any]] = [{"affiliate_code": listed_id}]
        if listed_id.isdigit():
            ways.insert(0 if ids_are_numbers else 1, {"id": int(listed_id)})
        candidates: list[dict[str, Any]] = []
        for way in ways:
            try:
                found = self._object("/affiliate/get", way)
            except RequestRefused as refusal:
                if NOT_FOUND in (refusal.said or "").lower():
                    continue
                raise
            link = str(found.get("link") or "").rstrip("/")
            candidates.append({"affiliate_code": link.rpartition("/")[2] or None, **found})
            if found.get("email") == listed.get("email"):
                return candidates[-1]
        return candidates[0] if candidates else None

    def affiliates_get(
        self, listed: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[Mapping[str, Any], dict[str, Any] | None]]:
        """Details of many listed affiliates, fetched concurrently: (list row, details or None), in the given order."""
        numbers = bool(listed) and all(read_text(row.get("id")).isdigit() for row in listed)
        with ThreadPoolExecutor(self.transport.throttle.limit, thread_name_prefix="refersion") as pool:
            yield from zip(
                listed, pool.map(lambda row: self.affiliate_get(row, ids_are_numbers=numbers), listed), strict=True
            )

    def conversion_count(self, period: Window, currencies: Sequence[str] = ()) -> int:
        """The number of conversions of any status that Refersion counts in a period.

        Args:
            currencies: see `conversion_totals`.
        """
        asked = [{"currency": currency} for currency in currencies] or [{}]
        return sum(_count(self.conversion_sums(period, **one).get("conversions_count")) or 0 for one in asked)

    def conversion_sums(self, period: Window, **filters: Any) -> dict[str, Any]:
        """Refersion's sums over every status in a period, unparsed.

        Args:
            filters: additional fields of the request, such as is_test_conversion.
        """
        answer = self._totals(period, {"status": list(CONVERSION_STATUSES), **filters})
        return answer | {"conversions_count": _count(answer.get("conversions_count"))}

    def conversion_totals(
        self, asked: Sequence[tuple[Window, str, str]], currencies: Sequence[str] = ()
    ) -> Iterator[dict[str, Any]]:
        """Refersion's sums for each (period, status, payment status), fetched concurrently, in the given order.

        Args:
            currencies: request the sums of each of these, on accounts that accept a field `currency`. Without any, the
            sums are in the account's own currency, and `currency_asked` of the rows is false.

        Raises RequestRefused, for example for a status that the account does not know.
        """

        def one(ask: tuple[Window, str, str, str | None]) -> dict[str, Any]:
            period, status, payment_status, currency = ask
            given = {"currency": currency} if currency else {}
            answer = self._totals(period, {"status": [status], "payment_status": payment_status, **given})
            return {
                **answer,
                **given,
                "currency_asked": currency is not None,
                "conversions_count": _count(answer.get("conversions_count")),
                "period_from": period.start_seconds,
                "period_to": period.end_seconds - 1,
                "status": status,
                "payment_status": payment_status,
            }

        with ThreadPoolExecutor(self.transport.throttle.limit, thread_name_prefix="refersion") as pool:
            yield from pool.map(one, [(*ask, currency) for ask in asked for currency in currencies or (None,)])

    def _totals(self, period: Window, filters: Mapping[str, Any]) -> dict[str, Any]:
        """One response. Both bounds are inside the period, as the documented sample 23:59:59 shows."""
        last = period.end - timedelta(seconds=1)
        return self._object(
            "/conversion/totals",
            {
                "created_from": f"{period.start:%Y-%m-%d %H:%M:%S}",
                "created_to": f"{last:%Y-%m-%d %H:%M:%S}",
                **filters,
            },
        )


@dataclass(frozen=True)
class _AffiliatePage:
    rows: list[dict[str, Any]]
    total: int | None
    is_last: bool


def encoded(body: Mapping[str, Any]) -> bytes:
    """The request body as JSON. A Decimal is written as a JSON number, never through floating point."""

    def exactly(value: object) -> orjson.Fragment:
        if isinstance(value, Decimal):
            return orjson.Fragment(f"{value:f}")
        raise TypeError(f"{type(value).__name__} has no JSON form")

    return orjson.dumps(body, default=exactly)


def _id(row: Mapping[str, Any], place: int) -> str:
    if row.get("id") in (None, ""):
        raise UnreadableValue(
            table="affiliate_list",
            field="id",
            row=f"number {place} of the list",
            value=row.get("id"),
            wanted="an id, which every row needs",
        )
    return read_text(row["id"])


def _count(value: Any) -> int | None:
    """A count given as a number, a text or with thousands separators. None for anything else."""
    digits = str(value).replace(",", "").strip()
    return int(digits) if digits.isdigit() else None
