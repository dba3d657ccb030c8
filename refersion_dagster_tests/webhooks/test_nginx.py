"""deploy/nginx.conf in a real nginx before a real receiver: events pass unchanged over HTTPS, slow senders do not."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.webhooks.proxy import NGINX, Proxy, proxy_before
from refersion_dagster_tests.webhooks.receiver import TOPIC, Receiver, receiving

TIMEOUT_SECONDS = 1
HEAD = b"POST /webhooks HTTP/1.1\r\nHost: webhooks.example.com\r\n"

pytestmark = [pytest.mark.processes, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]


@dataclass
class ProxyAndReceiver(Proxy):
    """nginx and the receiver behind it."""

    receiver: Receiver


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyAndReceiver]:
    folder = tmp_path_factory.mktemp("nginx")
    with (
        receiving(folder / "inbox.sqlite") as receiver,
        proxy_before(receiver.port, folder, {"_timeout 10s": f"_timeout {TIMEOUT_SECONDS}s"}) as running,
    ):
        yield ProxyAndReceiver(running.port, running.authority, receiver)


def ended(connection: socket.socket) -> float:
    """Seconds until the other side hangs up."""
    began = time.monotonic()
    while True:
        try:
            if not connection.recv(10_000):
                break
        except (ConnectionResetError, ssl.SSLError):
            break
    return time.monotonic() - began


def test_an_event_reaches_the_inbox_byte_for_byte(proxy: ProxyAndReceiver) -> None:
    body = b'{ "id":1,\r\n "name": "Chlo\xc3\xa9 \\ud83d", "total": 1.10 }\n'
    answer = proxy.post(body)
    assert (answer.status_code, answer.json()) == (200, {"status": "stored"})
    assert (proxy.receiver.waiting()[-1].topic, proxy.receiver.waiting()[-1].body) == (TOPIC, body)


def test_the_largest_event_that_the_receiver_accepts_passes_and_a_larger_one_does_not(proxy: ProxyAndReceiver) -> None:
    assert proxy.post(b"[%s]" % (b" " * 1_999_998)).status_code == 200
    assert proxy.post(b"[%s]" % (b" " * 1_999_999)).status_code == 413
    assert proxy.post(b"[%s]" % (b" " * 3_000_000)).status_code == 413


def test_a_forged_event_is_refused_by_the_receiver(proxy: ProxyAndReceiver) -> None:
    assert proxy.post(b"{}", secret="another").status_code == 401


def test_nothing_but_events_is_open_to_the_internet(proxy: ProxyAndReceiver) -> None:
    assert proxy.get("/healthz").status_code == 404
    assert proxy.get("/webhooks").status_code == 405
    assert proxy.post(b"{}", path="/").status_code == 404


@pytest.mark.parametrize("said", [b"", HEAD[:30], HEAD], ids=["nothing", "part of a line", "part of the head"])
def test_a_head_that_does_not_arrive_is_ended_and_does_not_reach_the_receiver(
    proxy: ProxyAndReceiver, said: bytes
) -> None:
    before = proxy.receiver.refused()
    with proxy.connect() as connection:
        connection.sendall(said)
        assert ended(connection) >= TIMEOUT_SECONDS * 0.9
    assert proxy.receiver.refused() == before


def test_a_head_that_drips_is_ended(proxy: ProxyAndReceiver) -> None:
    with proxy.connect() as connection:
        connection.settimeout(0.2)
        for at in range(200):
            try:
                connection.sendall(HEAD[at % len(HEAD) : at % len(HEAD) + 1])
                if not connection.recv(1_000):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the connection was still open after 40 seconds")


def test_a_body_that_stops_is_ended_and_does_not_reach_the_receiver(proxy: ProxyAndReceiver) -> None:
    before = proxy.receiver.refused()
    with proxy.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        ended(connection)
    assert proxy.receiver.refused() == before


def test_an_event_is_accepted_while_hundreds_are_slow(proxy: ProxyAndReceiver) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), timeout=10))
        assert proxy.post(b'{"among":"slow ones"}').status_code == 200


def test_one_address_has_a_limited_number_of_requests_at_once(proxy: ProxyAndReceiver) -> None:
    with ExitStack() as stack:
        slow = []
        for _ in range(100):
            slow.append(stack.enter_context(proxy.connect()))
            slow[-1].sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")

        def is_refused() -> bool:
            # None of them is slow enough for nginx to end it.
            for connection in slow:
                connection.sendall(b" ")
            return proxy.post(b"{}").status_code == 503

        assert soon(is_refused, every=0.1)
    assert soon(lambda: proxy.post(b"{}").status_code == 200, every=0.1)
