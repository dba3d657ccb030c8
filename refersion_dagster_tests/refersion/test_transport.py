"""A single POST: headers, connections, proxies, the server's message, pauses for all workers, and the request rate."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import tenacity

from refersion_dagster.refersion.api import transport as transport_module
from refersion_dagster.refersion.api.auth import SecretHeaders
from refersion_dagster.refersion.api.responses import ApiResponse, read_pause, server_words
from refersion_dagster.refersion.api.throttle import PauseTooLong, Throttle
from refersion_dagster.refersion.api.transport import Transport
from refersion_dagster.refersion.errors import RefersionError, ServerUnavailable, UnexpectedAnswer
from refersion_dagster_tests.marks import limit_cases

Reply = tuple[int, dict[str, str], bytes]
OK: Reply = (200, {}, b"{}")


@dataclass
class Seen:
    """A request as the server received it."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes
    connection: tuple[str, int]
    together: int


@dataclass
class Clerk:
    """A server that responds as `reply` says, by the number of the request, and records what it received."""

    reply: Callable[[int], Reply] = lambda number: OK
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@pytest.fixture
def clerk() -> Iterator[Clerk]:
    clerk = Clerk()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with clerk.lock:
                clerk.under_way += 1
                number = len(clerk.seen)
                headers = {name.lower(): value for name, value in self.headers.items()}
                clerk.seen.append(
                    Seen(time.monotonic(), self.path, headers, body, self.client_address, clerk.under_way)
                )
            status, sent, content = clerk.reply(number)
            with clerk.lock:
                clerk.under_way -= 1
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(content))} | sent).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Does nothing: the standard library's server would write to stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        clerk.url = f"http://127.0.0.1:{server.server_port}/v2"
        yield clerk
        server.shutdown()
        thread.join()


@pytest.fixture
def transports() -> Iterator[Callable[..., Transport]]:
    """Creates transports, and closes them at the end."""
    made: list[Transport] = []

    def make(**options: Any) -> Transport:
        headers = SecretHeaders({"X-Key": "key-of-this-test"})
        made.append(Transport(headers, redact=bytes, key_advice="Check the key.", **options))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


def post(transport: Transport, url: str, body: bytes = b"{}") -> ApiResponse:
    def interpret(answer: ApiResponse) -> ApiResponse:
        transport.check(answer)
        return answer

    return transport.post(url, body, operation="/test", interpret=interpret)


def post_many(transport: Transport, url: str, count: int, workers: int = 8) -> None:
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(lambda _: post(transport, url), range(count)):
            pass


class TestRequests:
    def test_carry_the_key_an_own_user_agent_and_json(self, clerk: Clerk, transports: Callable[..., Transport]) -> None:
        post(transports(), clerk.url, b'{"a":1}')
        (seen,) = clerk.seen
        assert seen.body == b'{"a":1}'
        assert seen.headers["x-key"] == "key-of-this-test"
        assert seen.headers["content-type"] == "application/json"
        assert seen.headers["user-agent"].startswith("refersion-dagster")

    def test_share_connections(self, clerk: Clerk, transports: Callable[..., Transport]) -> None:
        post_many(transports(concurrency=4), clerk.url, 60, workers=4)
        assert len({seen.connection for seen in clerk.seen}) <= 4

    def test_that_change_something_have_a_connection_of_their_own(
        self, clerk: Clerk, transports: Callable[..., Transport]
    ) -> None:
        """The server may close an idle connection just as the request is sent."""
        transport = transports()
        for _ in range(3):
            transport.post(clerk.url, b"{}", operation="/test", interpret=transport.check, repeatable=False)
        assert len({seen.connection for seen in clerk.seen}) == 3

    def test_go_on_after_a_close(self, clerk: Clerk, transports: Callable[..., Transport]) -> None:
        transport = transports()
        for _ in range(2):
            post(transport, clerk.url)
            transport.close()
        assert len({seen.connection for seen in clerk.seen}) == 2

    def test_send_no_cookie_back(self, clerk: Clerk, transports: Callable[..., Transport]) -> None:
        clerk.reply = lambda number: (200, {"Set-Cookie": "session=1; Path=/"}, b"{}")
        transport = transports()
        post(transport, clerk.url)
        post(transport, clerk.url)
        assert all("cookie" not in seen.headers for seen in clerk.seen)

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_take_the_key_nowhere_else(self, clerk: Clerk, transports: Callable[..., Transport], status: int) -> None:
        clerk.reply = lambda number: (status, {"Location": f"{clerk.url}/elsewhere"}, b"")
        with pytest.raises(UnexpectedAnswer, match=f"HTTP {status}"):
            post(transports(), clerk.url)
        assert [seen.path for seen in clerk.seen] == ["/v2"]

    def test_go_through_the_proxy_of_the_environment(
        self, clerk: Clerk, transports: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", clerk.url.removesuffix("/v2"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        post(transports(), "http://api.refersion.invalid/v2/affiliate/list")
        post(transports(), clerk.url)
        assert [seen.path for seen in clerk.seen] == ["http://api.refersion.invalid/v2/affiliate/list", "/v2"]

    def test_wait_for_an_answer_only_so_long(self, clerk: Clerk, transports: Callable[..., Transport]) -> None:
        late = threading.Event()

        def reply(number: int) -> Reply:
            assert late.wait(10)
            return OK

        clerk.reply = reply
        with pytest.raises(ServerUnavailable, match=r"no response from 127\.0\.0\.1"):
            post(transports(retry_seconds=0, answer_seconds=0.1), clerk.url)
        late.set()

    def test_are_counted_by_operation_retries_included(
        self, clerk: Clerk, transports: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport_module, "BACK_OFF", tenacity.wait_none())
        clerk.reply = lambda number: OK if number > 2 else (503, {}, b"")
        transport = transports()
        post(transport, clerk.url)
        assert (transport.requests_sent, transport.requests_for("/test"), transport.requests_for("/other")) == (4, 4, 0)

    def test_tell_the_servers_time(self, clerk: Clerk, transports: Callable[..., Transport]) -> None:
        transport = transports()
        assert transport.server_time is None
        post(transport, clerk.url)
        assert transport.server_time is not None
        assert abs(transport.server_time - datetime.now(UTC)) < timedelta(minutes=1)


class TestPauses:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "7"}, 7),
            ({"Retry-After": "0.5"}, 0.5),
            ({"Retry-After": " 7 "}, 7),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": "-3"}, None),
            ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
            ({"X-Quota-Reset": "1445412480"}, 0),
            ({"X-Quota-Reset": "never"}, None),
            ({}, None),
        ],
        ids=str,
    )
    def test_the_headers_that_ask_for_one(self, headers: dict[str, str], seconds: float | None) -> None:
        assert read_pause(headers) == seconds

    def test_a_date_or_a_reset_ahead_is_that_far(self) -> None:
        ahead = datetime.now(UTC) + timedelta(seconds=60)
        for headers in (
            {"Retry-After": format_datetime(ahead, usegmt=True)},
            {"X-Quota-Reset": str(int(ahead.timestamp()))},
        ):
            assert read_pause(headers) == pytest.approx(60, abs=3)

    @pytest.mark.parametrize("header", limit_cases(["Retry-After", "X-Quota-Reset"]))
    def test_nobody_sends_until_it_is_over(
        self, clerk: Clerk, transports: Callable[..., Transport], header: str
    ) -> None:
        told: list[float] = []
        ends: list[float] = []

        def reply(number: int) -> Reply:
            if number != 12:
                return OK
            now = time.time()
            reset = int(now) + 2
            told.append(time.monotonic())
            ends.append(told[0] + (0.5 if header == "Retry-After" else reset - now))
            return 429, {header: "0.5" if header == "Retry-After" else str(reset)}, b""

        clerk.reply = reply
        post_many(transports(concurrency=8), clerk.url, 60)
        assert len(clerk.seen) == 61
        # Requests in flight when the response came, at most seven, may still arrive.
        assert sum(told[0] < seen.at < ends[0] - 0.05 for seen in clerk.seen) < 8
        assert any(seen.at > ends[0] - 0.05 for seen in clerk.seen)

    def test_one_longer_than_the_budget_is_not_waited_for_by_anybody(
        self, clerk: Clerk, transports: Callable[..., Transport]
    ) -> None:
        clerk.reply = lambda number: (429, {"Retry-After": "3600"}, b'{"message":"Too Many Requests"}')
        transport = transports(concurrency=2, retry_seconds=5)
        failures: list[RefersionError] = []
        with ThreadPoolExecutor(6) as pool:
            for future in [pool.submit(post, transport, clerk.url) for _ in range(6)]:
                with pytest.raises(ServerUnavailable, match="requested a pause of 3600 s") as caught:
                    future.result()
                failures.append(caught.value)
        assert len(failures) == 6
        assert len(clerk.seen) <= 2

    @pytest.mark.parametrize("headers", [{"Retry-After": "0"}, {"X-Quota-Reset": "1445412480"}], ids=str)
    def test_one_of_no_length_does_not_make_us_hammer(
        self, clerk: Clerk, transports: Callable[..., Transport], headers: dict[str, str]
    ) -> None:
        clerk.reply = lambda number: (429, headers, b"")
        with pytest.raises(ServerUnavailable):
            post(transports(retry_seconds=1), clerk.url)
        assert len(clerk.seen) <= 3

    def test_back_off_doubles_up_to_half_a_minute_with_jitter(self) -> None:
        def waits(attempt: int) -> list[float]:
            state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
            state.attempt_number = attempt
            return [transport_module.BACK_OFF(state) for _ in range(50)]

        for attempt, least in ((1, 0.5), (2, 1), (3, 2), (4, 4), (9, 30), (50, 30)):
            found = waits(attempt)
            assert least <= min(found) <= max(found) <= least + 1
            assert len(set(found)) > 1


class TestSpeed:
    def test_no_more_requests_at_once_than_allowed(self, clerk: Clerk, transports: Callable[..., Transport]) -> None:
        post_many(transports(concurrency=3), clerk.url, 60, workers=12)
        assert max(seen.together for seen in clerk.seen) <= 3

    def test_a_429_halves_it_and_good_answers_let_it_grow_back(
        self, clerk: Clerk, transports: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport_module, "BACK_OFF", tenacity.wait_none())
        transport = transports(concurrency=8)
        clerk.reply = lambda number: (429, {}, b"") if number in (0, 1) else OK
        post(transport, clerk.url)
        assert 2 <= transport.throttle.allowed < 3
        post_many(transport, clerk.url, 60)
        assert transport.throttle.allowed == 8

    def test_429s_of_requests_that_were_under_way_together_halve_it_once(self) -> None:
        throttle = Throttle(8)
        with throttle.wait_for_slot() as first, throttle.wait_for_slot() as second, throttle.wait_for_slot() as third:
            for began in (first, second, third):
                throttle.record_refusal(began, 0)
        assert throttle.allowed == 4
        with throttle.wait_for_slot() as later:
            throttle.record_refusal(later, 0)
        assert throttle.allowed == 2

    def test_one_request_at_a_time_is_the_least(self) -> None:
        throttle = Throttle(8)
        for _ in range(10):
            with throttle.wait_for_slot() as began:
                throttle.record_refusal(began, 0)
        assert throttle.allowed == 1

    def test_it_grows_by_about_one_a_round_and_never_above_the_setting(self) -> None:
        throttle = Throttle(8)
        throttle.allowed = 4
        for _ in range(4):
            throttle.record_success()
        assert 4.8 < throttle.allowed <= 5
        for _ in range(100):
            throttle.record_success()
        assert throttle.allowed == 8

    def test_a_5xx_does_not_slow_us_down(
        self, clerk: Clerk, transports: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport_module, "BACK_OFF", tenacity.wait_none())
        clerk.reply = lambda number: OK if number else (500, {}, b"")
        transport = transports(concurrency=8)
        post(transport, clerk.url)
        assert transport.throttle.allowed == 8

    def test_who_waits_for_a_turn_hears_of_a_pause_that_is_too_long(self) -> None:
        throttle = Throttle(1)
        with throttle.wait_for_slot() as began, ThreadPoolExecutor(1) as pool:

            def wait_for_a_turn() -> None:
                with throttle.wait_for_slot(patience=5):
                    pass

            waiting = pool.submit(wait_for_a_turn)
            throttle.record_refusal(began, 3600)
            with pytest.raises(PauseTooLong, match=r"a pause of (3600|3599) s"):
                waiting.result(timeout=5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"error":"Invalid API credentials (error 2)."}', "Invalid API credentials (error 2)."),
        (b'{"error":["Bad request","no body"]}', "Bad request; no body"),
        (b'{"errors":["Affiliate not found.","And more."]}', "Affiliate not found.; And more."),
        (b'{"errors":[{"message":"Cannot query field"},{"message":"x"}],"data":null}', "Cannot query field; x"),
        (b'{"errors":{"field":["is wrong"]}}', "is wrong"),
        (b'{"message":"Too Many Requests"}', "Too Many Requests"),
        (b'{"error":"","message":"Forbidden"}', "Forbidden"),
        (b'"just a text"', "just a text"),
        (b'["a","b"]', "a; b"),
        (b"{}", ""),
        (b"null", ""),
        (b"", ""),
        (b"<html><head><style>p{}</style></head><h1>503</h1><script>x()</script> Service</html>", "503 Service"),
        (b"<HTML><STYLE>\np{}\n</STYLE><H1>503</H1><SCRIPT>\nx()\n</SCRIPT> Service</HTML>", "503 Service"),
        (b"\xff\xfe broken", "\ufffd\ufffd broken"),
    ],
    ids=str,
)
def test_the_servers_words_are_found_in_whichever_shape_they_come(content: bytes, words: str) -> None:
    assert server_words(content) == words


def test_the_servers_words_are_kept_short() -> None:
    assert len(server_words(b'{"error":"' + b"x" * 100_000 + b'"}')) <= 300
    assert len(server_words(b"<p>" + b"x" * 100_000)) <= 300
