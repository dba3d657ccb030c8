"""Interprets HTTP responses of both APIs: the status, the server's message in any shape, the requested pause."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from refersion_dagster.refersion.errors import InvalidCredentials, NotInPlan, RequestRefused, UnexpectedAnswer

# Each of these can be temporary; 52x come from content delivery networks.
TRANSIENT_STATUSES = frozenset({408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524})
# A 429 that counts items of a batch, not calls: a retry cannot help (documented).
TOO_MANY_ITEMS = re.compile(r"max(imum)? number of elements", re.IGNORECASE)
PLAN_GATE = re.compile(r"plan does not support", re.IGNORECASE)
# Refersion's own messages in a 404 (documented). They show that the URL is right.
OWN_404 = re.compile(r"bad request, no body|does not exists? on the database", re.IGNORECASE)
# The gateway sends the same response for a path that does not exist and for a call without the key headers.
WHY_FORBIDDEN = (
    "Refersion responds like this to unknown URLs and to calls without keys. Check REFERSION_REST_URL and "
    "REFERSION_GRAPHQL_URL, and whether a proxy or firewall removes the key headers. The plan may also not "
    "include API access."
)
TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class ApiResponse:
    """An HTTP response: status, headers and the whole body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Transient(Exception):
    """A failure that may be temporary.

    Args:
        wait: the pause that the server asked for, in seconds.
        slower: whether the server reported too many requests.
        untouched: whether the request cannot have been executed.
    """

    def __init__(
        self,
        what: str,
        *,
        wait: float | None = None,
        slower: bool = False,
        said: str | None = None,
        untouched: bool = False,
    ) -> None:
        super().__init__(what)
        self.what, self.wait, self.slower, self.said, self.untouched = what, wait, slower, said, untouched


def check_status(answer: ApiResponse, key_advice: str) -> None:
    """Raises the error that a response other than 200 stands for; does nothing for a 200.

    Args:
        key_advice: what to do if the credential is refused.
    """
    status = answer.status
    if status == 200:
        return
    said = server_words(answer.content) or None
    if said and PLAN_GATE.search(said):
        raise NotInPlan(
            "the account's plan does not offer this.",
            said=said,
            advice="REST and GraphQL require Refersion's Growth plan or higher; ask Refersion's support.",
        )
    if status == 429 and not (said and TOO_MANY_ITEMS.search(said)):
        raise Transient(
            "too many requests (HTTP 429)",
            wait=read_pause(answer.headers),
            slower=True,
            said=said,
            untouched=True,
        )
    if status in TRANSIENT_STATUSES:
        raise Transient(f"HTTP {status}", wait=read_pause(answer.headers), said=said)
    if status == 401:
        raise InvalidCredentials(
            "Refersion does not accept the credentials (HTTP 401).",
            said=said,
            advice=key_advice,
        )
    if status == 403:
        raise RequestRefused(
            "access was refused (HTTP 403).",
            said=said,
            advice=WHY_FORBIDDEN,
        )
    if status in (204, 400, 404, 422, 429):
        is_elsewhere = status == 404 and not (said and OWN_404.search(said))
        raise RequestRefused(
            "an invalid field was sent (HTTP 204)." if status == 204 else f"the request was refused (HTTP {status}).",
            said=said,
            advice="Check REFERSION_REST_URL and REFERSION_GRAPHQL_URL." if is_elsewhere else None,
        )
    raise UnexpectedAnswer(
        f"HTTP {status}, which Refersion does not document.",
        said=said,
        advice="Check REFERSION_REST_URL and REFERSION_GRAPHQL_URL.",
    )


def read_json(content: bytes) -> Any:
    """The parsed body. Raises Transient if it is not complete JSON: a truncated response or a gateway's page."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(content)  # accepts lone surrogates, which remain when a text was cut
    except ValueError:
        raise Transient(
            f"the response of {len(content)} bytes is not complete JSON", said=server_words(content) or None
        ) from None


def server_words(content: bytes) -> str:
    """The server's error message in any of its shapes: `error`, `errors`, `message`, a list, or an HTML page."""
    text = content.decode("utf-8", "replace")
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return " ".join(TAGS.sub(" ", text).split())[:300]
    if isinstance(body, dict):
        for key in ("error", "errors", "message"):
            if body.get(key):
                return _words(body[key])
        return ""
    return _words(body)


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value[:300]
    if isinstance(value, dict):
        return _words(value.get("message") or next(iter(value.values()), ""))
    if isinstance(value, list):
        return "; ".join(words for item in value[:10] if (words := _words(item)))
    return "" if value is None else str(value)[:300]


def http_date(text: str) -> datetime | None:
    """The time in an HTTP header, in UTC. None if it cannot be parsed."""
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None


def read_pause(headers: Mapping[str, str]) -> float | None:
    """The requested pause in seconds: Retry-After in seconds or as a date, or X-Quota-Reset in Unix seconds."""
    after = headers.get("Retry-After", "").strip()
    if after:
        if re.fullmatch(r"\d+(\.\d+)?", after):
            return float(after)
        if moment := http_date(after):
            return max(0.0, moment.timestamp() - time.time())
    reset = headers.get("X-Quota-Reset", "").strip()
    if re.fullmatch(r"\d+", reset):
        return max(0.0, int(reset) - time.time())
    return None
