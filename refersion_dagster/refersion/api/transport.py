"""A POST to Refersion, with retries.

Both APIs use POST with a JSON body. Temporary failures (429, 5xx, resets, timeouts, garbled responses) are retried
with exponential back-off and jitter within a time budget. All workers together respect Retry-After and X-Quota-Reset.
Permanent errors are raised immediately, typed, with the server's own message.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit

import tenacity
import urllib3

from refersion_dagster.refersion.api.auth import SecretHeaders
from refersion_dagster.refersion.api.connections import USER_AGENT, connection_pool
from refersion_dagster.refersion.api.responses import ApiResponse, Transient, check_status, http_date
from refersion_dagster.refersion.api.throttle import PauseTooLong, Throttle
from refersion_dagster.refersion.errors import AnswerLost, RefersionError, ServerUnavailable, UnexpectedAnswer

logger = logging.getLogger(__name__)
T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS = 10, 90
BACK_OFF = tenacity.wait_exponential(multiplier=0.5, max=30) + tenacity.wait_random(0, 1)
# No connection was established, so nothing was sent.
CANNOT_CONNECT = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)


class Transport:
    """POSTs to one API with one credential.

    Args:
        headers: the credential.
        redact: removes keys from the server's response before anything else sees it.
        key_advice: what to do if the credential is refused.
        concurrency: maximum number of parallel requests.
        retry_seconds: maximum time for retrying one call. 0 disables retries.
        answer_seconds: timeout for connecting, and for each part of a response.
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
        """The server's clock at its first response (UTC, whole seconds), from the Date header. None before it."""
        return self._server_time

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, including retries."""
        return self._sent.total()

    def requests_for(self, operation: str) -> int:
        """Requests sent so far for one operation, including retries."""
        return self._sent[operation]

    def close(self) -> None:
        """Closes idle connections. The next request opens new ones."""
        with self._count:
            managers, self._managers = self._managers, {}
        for manager in managers.values():
            manager.clear()

    def post(
        self, url: str, body: bytes, *, operation: str, interpret: Callable[[ApiResponse], T], repeatable: bool = True
    ) -> T:
        """Sends the body and passes the response to `interpret`, which returns the result or raises.

        Args:
            repeatable: False for a request that changes data. It is retried only if it cannot have been executed (no
            connection, too many calls), and uses a new connection, because an idle one may break after the request was
            sent.

        Raises:
            ServerUnavailable: the failure outlasted the retry budget.
            AnswerLost: a request that is not repeatable may have been executed, and its response was lost.
            RefersionError: any permanent error raised by `interpret`.
        """

        def may_pass(problem: BaseException) -> bool:
            return isinstance(problem, Transient) and (repeatable or problem.untouched)

        def waits(state: tenacity.RetryCallState) -> float:
            problem = state.outcome.exception() if state.outcome else None
            if isinstance(problem, Transient) and problem.wait:
                return problem.wait
            return BACK_OFF(state)

        def gives_up(state: tenacity.RetryCallState) -> bool:
            return (state.seconds_since_start or 0) + waits(state) > self.retry_seconds

        def tells(state: tenacity.RetryCallState) -> None:
            logger.warning(
                "%s: %s; attempt %d, retrying in %.1f s",
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
            return retrying(self._send_once, url, body, operation, interpret, repeatable)
        except Transient as problem:
            if not repeatable and not problem.untouched:
                raise AnswerLost(
                    f"{problem.what}. It is not known whether the request was carried out, so it was not repeated.",
                    operation=operation,
                    said=problem.said,
                    requests=self.requests_sent,
                ) from problem
            waited = f" and requested a pause of {problem.wait:.0f} s" if problem.wait else ""
            raise ServerUnavailable(
                f"{problem.what}{waited}; this did not change within the retry budget of {self.retry_seconds:.0f} s.",
                operation=operation,
                said=problem.said,
                advice="Nothing was loaded from this request; try again later. The budget is "
                "REFERSION_RETRY_SECONDS (retry_seconds).",
                requests=self.requests_sent,
            ) from problem
        except RefersionError as error:
            error.operation = error.operation or operation
            error.requests = self.requests_sent
            raise

    def _send_once(
        self, url: str, body: bytes, operation: str, interpret: Callable[[ApiResponse], T], repeatable: bool
    ) -> T:
        try:
            with self.throttle.wait_for_slot(self.retry_seconds) as began:
                with self._count:
                    self._sent[operation] += 1
                if not repeatable:
                    self.close()
                try:
                    result = interpret(self._send(url, body, repeatable))
                except Transient as problem:
                    if problem.slower:
                        self.throttle.record_refusal(began, problem.wait or 0)
                    raise
                self.throttle.record_success()
                return result
        except PauseTooLong as pause:
            raise Transient("too many requests", wait=pause.seconds, slower=True, untouched=True) from None

    def _send(self, url: str, body: bytes, repeatable: bool) -> ApiResponse:
        host = _host(url)
        try:
            response = self._manager(url).request(
                "POST", url, body=body, headers=self._headers, redirect=False, retries=False, preload_content=False
            )
            try:
                # HTTP clients never read the body of a 204, so the connection cannot be reused.
                content = b"" if response.status == 204 else response.read()
            except BaseException:
                response.close()
                raise
            if response.status == 204:
                response.close()
            response.release_conn()
        except urllib3.exceptions.SSLError as error:
            if not repeatable and not isinstance(error.args[0], ssl.SSLCertVerificationError):
                raise Transient(f"the TLS connection to {host} broke ({error})") from None
            raise ServerUnavailable(
                f"no TLS connection to {host}: {error}",
                advice="Check the URL, a proxy in between, or the certificate bundle (REQUESTS_CA_BUNDLE).",
            ) from None
        except ValueError as error:  # includes urllib3's LocationValueError
            raise UnexpectedAnswer(
                f"{host} is not a usable address: {error}",
                advice="Check REFERSION_REST_URL and REFERSION_GRAPHQL_URL.",
            ) from None
        except urllib3.exceptions.NewConnectionError:
            raise Transient(f"cannot connect to {host}", untouched=True) from None
        except urllib3.exceptions.ConnectTimeoutError:
            raise Transient(
                f"no connection to {host} within {self._timeout.connect_timeout:g} s", untouched=True
            ) from None
        except urllib3.exceptions.ProxyError as error:
            # Check the original error: urllib3 also raises ProxyError for a reset after the request was sent.
            untouched = isinstance(error.original_error, CANNOT_CONNECT)
            raise Transient(f"the connection to {host} through the proxy failed", untouched=untouched) from None
        except urllib3.exceptions.TimeoutError:
            raise Transient(f"no response from {host} within {self._timeout.read_timeout:g} s") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Transient(f"the connection to {host} broke ({type(error).__name__})") from None
        if self._server_time is None:
            self._server_time = http_date(response.headers.get("Date", ""))
        return ApiResponse(response.status, response.headers, self._redact(content))

    def _manager(self, url: str) -> urllib3.PoolManager:
        """The connection pool for a host."""
        address = urlsplit(url)
        with self._count:
            if address[:2] not in self._managers:
                self._managers[address[:2]] = connection_pool(url, self.throttle.limit, self._timeout)
            return self._managers[address[:2]]

    def check(self, answer: ApiResponse) -> None:
        """Raises the error for a response other than 200, see check_status."""
        check_status(answer, self.key_advice)


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:
        return url
