"""One POST to Refersion, tried again while that can help.

Both APIs are POST with a JSON body. Transient trouble (429, 5xx, resets, timeouts, garbled answers) is retried with
exponential back-off and jitter inside a time budget; Retry-After and X-Quota-Reset are obeyed, by all workers together.
Final errors are raised at once, typed, with the server's own words.
"""

from __future__ import annotations

import email.utils
import json
import logging
import os
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import certifi
import orjson
import tenacity
import urllib3
from requests.utils import get_environ_proxies, select_proxy

from refersion_dagster.refersion.auth import SecretHeaders
from refersion_dagster.refersion.errors import (
    AnswerLost,
    InvalidCredentials,
    NotInPlan,
    RefersionError,
    RequestRefused,
    ServerUnavailable,
    UnexpectedAnswer,
)
from refersion_dagster.refersion.throttle import PauseTooLong, Throttle

logger = logging.getLogger(__name__)
T = TypeVar("T")

# An edge proxy may refuse a library's default user agent (seen).
USER_AGENT = "refersion-dagster (+https://github.com/refersion-dagster)"
CONNECT_SECONDS, READ_SECONDS = 10, 90
BACK_OFF = tenacity.wait_exponential(multiplier=0.5, max=30) + tenacity.wait_random(0, 1)
# Any of these may pass by itself; 52x are those of content delivery networks.
TRANSIENT_STATUSES = frozenset({408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524})
# A 429 that counts items of a batch, not calls: trying again cannot help (documented).
TOO_MANY_ITEMS = re.compile(r"max(imum)? number of elements", re.IGNORECASE)
# There never was a connection, so nothing was sent.
CANNOT_CONNECT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
PLAN_GATE = re.compile(r"plan does not support", re.IGNORECASE)
TAGS = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, headers and the whole body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Transient(Exception):
    """Trouble that may pass.

    Args:
        wait: what the server asked for, in seconds.
        slower: it said "too fast".
        untouched: the request cannot have been carried out.
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


class Transport:
    """POSTs to one API with one credential.

    Args:
        headers: the credential.
        redact: takes keys out of what the server sent, before anything else sees it.
        key_advice: what to do when the credential is refused.
        concurrency: the most requests at once.
        retry_seconds: how long one call may go on being retried. 0 tries once.
        answer_seconds: how long to wait for a connection, and for each part of an answer.
    """

    def __init__(
        self,
        headers: SecretHeaders,
        *,
        redact: Callable[[bytes], bytes],
        key_advice: str,
        concurrency: int = 8,
        retry_seconds: float = 300,
        answer_seconds: float = READ_SECONDS,
    ) -> None:
        self.throttle = Throttle(concurrency)
        self.retry_seconds = retry_seconds
        self._timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, answer_seconds), read=answer_seconds)
        self._headers = SecretHeaders(
            {"User-Agent": USER_AGENT, "Accept": "application/json", "Content-Type": "application/json"} | headers
        )
        self._redact = redact
        self.key_advice = key_advice
        self._sent: Counter[str] = Counter()
        self._count = threading.Lock()
        self._managers: dict[tuple[str, str], urllib3.PoolManager] = {}
        self._server_time: datetime | None = None

    @property
    def server_time(self) -> datetime | None:
        """The server's clock at its first answer (UTC, whole seconds), from the Date header; None before it."""
        return self._server_time

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, retries included."""
        return self._sent.total()

    def requests_for(self, operation: str) -> int:
        """Requests sent so far for one operation, retries included."""
        return self._sent[operation]

    def close(self) -> None:
        """Gives idle connections back; the next request opens new ones."""
        with self._count:
            managers, self._managers = self._managers, {}
        for manager in managers.values():
            manager.clear()

    def post(
        self, url: str, body: bytes, *, operation: str, interpret: Callable[[Answer], T], repeatable: bool = True
    ) -> T:
        """Sends the body and hands the answer to `interpret`, which returns what was asked for or raises.

        Args:
            repeatable: False for a request that changes something. It is tried again only where it cannot have been
                carried out (no connection, too many calls), and goes over a connection of its own, as one that idled
                may break with the request on the way.

        Raises:
            ServerUnavailable: trouble that did not pass within the retry budget.
            AnswerLost: a request that is not repeatable may have been carried out, and there is no answer to tell.
            RefersionError: whatever final error `interpret` found.
        """

        def may_pass(trouble: BaseException) -> bool:
            return isinstance(trouble, Transient) and (repeatable or trouble.untouched)

        def waits(state: tenacity.RetryCallState) -> float:
            trouble = state.outcome.exception() if state.outcome else None
            if isinstance(trouble, Transient) and trouble.wait:
                return trouble.wait
            return BACK_OFF(state)

        def gives_up(state: tenacity.RetryCallState) -> bool:
            return (state.seconds_since_start or 0) + waits(state) > self.retry_seconds

        def tells(state: tenacity.RetryCallState) -> None:
            logger.warning(
                "%s: %s; attempt %d, trying again in %.1f s",
                operation,
                state.outcome.exception() if state.outcome else "",
                state.attempt_number,
                state.upcoming_sleep,
            )

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(may_pass),
            wait=waits,
            stop=gives_up,
            before_sleep=tells,
            reraise=True,
        )
        try:
            return retrying(self._once, url, body, operation, interpret, repeatable)
        except Transient as trouble:
            if not repeatable and not trouble.untouched:
                raise AnswerLost(
                    f"{trouble.what}. Whether the request was carried out is not known, so it was not repeated.",
                    operation=operation,
                    said=trouble.said,
                    requests=self.requests_sent,
                ) from trouble
            waited = f" and asked for a pause of {trouble.wait:.0f} s" if trouble.wait else ""
            raise ServerUnavailable(
                f"{trouble.what}{waited}, and that did not pass within the retry budget of {self.retry_seconds:.0f} s.",
                operation=operation,
                said=trouble.said,
                advice="Nothing was loaded from this request, try later. The budget is the setting retry_seconds.",
                requests=self.requests_sent,
            ) from trouble
        except RefersionError as error:
            error.operation = error.operation or operation
            error.requests = self.requests_sent
            raise

    def _once(self, url: str, body: bytes, operation: str, interpret: Callable[[Answer], T], repeatable: bool) -> T:
        try:
            with self.throttle.slot(self.retry_seconds) as began:
                with self._count:
                    self._sent[operation] += 1
                if not repeatable:
                    self.close()
                try:
                    result = interpret(self._send(url, body, repeatable))
                except Transient as trouble:
                    if trouble.slower:
                        self.throttle.too_fast(began, trouble.wait or 0)
                    raise
                self.throttle.went_well()
                return result
        except PauseTooLong as pause:
            raise Transient("too many requests", wait=pause.seconds, slower=True, untouched=True) from None

    def _send(self, url: str, body: bytes, repeatable: bool) -> Answer:
        host = _host(url)
        try:
            response = self._manager(url).request(
                "POST", url, body=body, headers=self._headers, redirect=False, retries=False, preload_content=False
            )
            try:
                # What follows a 204 is never read by HTTP clients; its connection cannot be used again.
                content = b"" if response.status == 204 else response.read()
            except BaseException:
                response.close()
                raise
            if response.status == 204:
                response.close()
            response.release_conn()
        except urllib3.exceptions.SSLError as error:
            if not repeatable and not isinstance(error.args[0], ssl.SSLCertVerificationError):
                raise Transient(f"the secure connection to {host} broke ({error})") from None
            raise ServerUnavailable(
                f"no secure connection to {host}: {error}",
                advice="Check the URL, a proxy in between, or the certificate bundle (REQUESTS_CA_BUNDLE).",
            ) from None
        except ValueError as error:  # urllib3's LocationValueError is one, too
            raise UnexpectedAnswer(
                f"{host} is not a usable address: {error}",
                advice="Check REFERSION_REST_URL and REFERSION_GRAPHQL_URL.",
            ) from None
        except urllib3.exceptions.NewConnectionError:
            raise Transient(f"there is no connection to {host}", untouched=True) from None
        except urllib3.exceptions.ConnectTimeoutError:
            raise Transient(
                f"no connection to {host} within {self._timeout.connect_timeout:g} s", untouched=True
            ) from None
        except urllib3.exceptions.ProxyError as error:
            # The original error has to be looked at: urllib3 makes a ProxyError of a reset after the request, too.
            untouched = isinstance(error.original_error, CANNOT_CONNECT)
            raise Transient(f"the way to {host} through the proxy broke", untouched=untouched) from None
        except urllib3.exceptions.TimeoutError:
            raise Transient(f"no answer from {host} within {self._timeout.read_timeout:g} s") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Transient(f"the connection to {host} broke ({type(error).__name__})") from None
        if self._server_time is None:
            self._server_time = http_date(response.headers.get("Date", ""))
        return Answer(response.status, response.headers, self._redact(content))

    def _manager(self, url: str) -> urllib3.PoolManager:
        """The connections to a host, through the environment's proxy and with its certificate bundle, if any."""
        address = urlsplit(url)
        with self._count:
            if address[:2] not in self._managers:
                options: dict[str, Any] = {
                    "maxsize": self.throttle.limit,
                    "timeout": self._timeout,
                }
                if address.scheme == "https":
                    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
                    options |= {"cert_reqs": "CERT_REQUIRED", "ca_certs": bundle or certifi.where()}
                proxy = select_proxy(url, get_environ_proxies(url))
                manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
                self._managers[address[:2]] = manager
            return self._managers[address[:2]]

    def check(self, answer: Answer) -> None:
        """Raises what the status and the server's words of an answer that is no 200 mean; returns on a 200."""
        status = answer.status
        if status == 200:
            return
        said = server_words(answer.content) or None
        if said and PLAN_GATE.search(said):
            raise NotInPlan(
                "the account's plan does not offer this.",
                said=said,
                advice="REST and GraphQL come with Refersion's Growth plan and above; ask Refersion's support.",
            )
        if status == 429 and not (said and TOO_MANY_ITEMS.search(said)):
            raise Transient(
                "too many requests (HTTP 429)",
                wait=asked_pause(answer.headers),
                slower=True,
                said=said,
                untouched=True,
            )
        if status in TRANSIENT_STATUSES:
            raise Transient(f"HTTP {status}", wait=asked_pause(answer.headers), said=said)
        if status == 401:
            raise InvalidCredentials(
                "Refersion does not accept the credentials (HTTP 401).",
                said=said,
                advice=self.key_advice,
            )
        if status == 403:
            raise RequestRefused(
                "access was refused (HTTP 403).",
                said=said,
                advice="A proxy or firewall may stand in between, or the plan may not include API access.",
            )
        if status in (204, 400, 404, 422, 429):
            raise RequestRefused(
                "an invalid field was sent (HTTP 204)."
                if status == 204
                else f"the request was refused (HTTP {status}).",
                said=said,
                advice="Check REFERSION_REST_URL and REFERSION_GRAPHQL_URL." if status == 404 else None,
            )
        raise UnexpectedAnswer(
            f"HTTP {status}, which Refersion does not document.",
            said=said,
            advice="Check REFERSION_REST_URL and REFERSION_GRAPHQL_URL.",
        )


def read_json(content: bytes) -> Any:
    """The parsed body. Raises Transient when it is not whole JSON: a truncated answer or a gateway's page may pass."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(content)  # takes lone surrogates, which a text that was cut in two may leave
    except ValueError:
        raise Transient(
            f"the answer of {len(content)} bytes is not whole JSON", said=server_words(content) or None
        ) from None


def server_words(content: bytes) -> str:
    """What the server says in an error, whichever shape it uses: `error`, `errors`, `message`, a list, or a page."""
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
    """A moment in UTC from an HTTP header, None where there is none that can be read."""
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait: Retry-After in seconds or as a date, or X-Quota-Reset in Unix seconds."""
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


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:
        return url
