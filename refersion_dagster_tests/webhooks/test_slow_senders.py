"""Senders whose body is slow or never ends, and senders of something else: refused in time, and in nobody's way.

A head that never ends is for the proxy, see test_nginx.py.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from refersion_dagster.webhooks.cli import MAX_CONNECTIONS
from refersion_dagster.webhooks.signature import sign
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.webhooks.receiver import SECONDS, SECRET, Receiver, receiving

BODY = b'{"id":1,"pad":"%s"}' % (b"x" * 1_000)
HEAD = b"POST /webhooks HTTP/1.1\r\nHost: x\r\nRefersion-Signature: %s\r\nContent-Length: %d\r\n\r\n" % (
    sign(BODY, SECRET).encode(),
    len(BODY),
)
ELSEWHERE = HEAD.replace(b"/webhooks", b"/elsewhere")
CHUNKED = HEAD.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")


def until_closed(connection: socket.socket) -> bytes:
    """What the other side says until it hangs up."""
    said = b""
    try:
        while part := connection.recv(10_000):
            said += part
    except ConnectionResetError:
        pass
    return said


def drip(connection: socket.socket, data: bytes) -> None:
    """Sends a byte now and then, for as long as the other side listens."""
    for at in range(len(data)):
        try:
            connection.sendall(data[at : at + 1])
        except OSError:
            return
        connection.settimeout(0.05)
        try:
            if connection.recv(1, socket.MSG_PEEK):
                break
        except TimeoutError:
            continue
    connection.settimeout(10)


SLOW: dict[str, Callable[[socket.socket], None]] = {
    "stops before the body": lambda connection: connection.sendall(HEAD),
    "stops in the body": lambda connection: connection.sendall(HEAD + BODY[:500]),
    "drips the body": lambda connection: (connection.sendall(HEAD), drip(connection, BODY))[0],
    "stops in a chunk": lambda connection: connection.sendall(CHUNKED + b"40\r\nx"),
    "stops before the last chunk": lambda connection: connection.sendall(CHUNKED + b"5\r\nabcde\r\n"),
}


def test_slow_senders_are_broken_off_and_counted(receiver: Receiver) -> None:
    before, stored = receiver.refused(), receiver.health()["stored"]

    def send(case: str) -> tuple[bytes, float]:
        began = time.monotonic()
        with receiver.connect() as connection:
            SLOW[case](connection)
            return until_closed(connection), time.monotonic() - began

    with ThreadPoolExecutor(len(SLOW)) as pool:
        ends = dict(zip(SLOW, pool.map(send, SLOW), strict=True))
    assert {case: said[:12] for case, (said, _) in ends.items()} == dict.fromkeys(SLOW, b"HTTP/1.1 408")
    # Not before they had their time.
    assert [case for case, (_, seconds) in ends.items() if seconds < SECONDS * 0.9] == []
    assert receiver.refused() - before == {"too_slow": len(SLOW)}
    assert receiver.health()["stored"] == stored


def test_a_second_event_that_is_slow_is_refused_after_the_first_was_answered(receiver: Receiver) -> None:
    before = receiver.refused()
    with receiver.connect() as connection:
        connection.sendall(HEAD + BODY + HEAD + BODY[:50])
        said = until_closed(connection)
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in said
    assert receiver.refused() - before == {"too_slow": 1}


def test_a_connection_that_is_kept_may_rest_between_events(receiver: Receiver) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    for number in range(2):
        body = b'{"after a rest":%d}' % number
        connection.request("POST", "/webhooks", body, {"Refersion-Signature": sign(body, SECRET)})
        assert connection.getresponse().read() == b'{"status":"stored"}'
        assert connection.sock
        if not number:
            connection.sock.settimeout(SECONDS * 1.5)
            with pytest.raises(TimeoutError):  # nothing comes, above all no end of the connection
                connection.sock.recv(1)
            connection.sock.settimeout(10)
    connection.close()


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A receiver that gives requests more time than these tests take."""
    with receiving(tmp_path_factory.mktemp("patient") / "inbox.sqlite", "--receive-seconds", "60") as running:
        yield running


def test_an_honest_event_is_taken_while_hundreds_are_slow(patient: Receiver) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(patient.connect()) for _ in range(300)]
        for connection in slow:
            connection.sendall(HEAD + BODY[:10])
        assert patient.post(b'{"among":"slow ones"}').status_code == 200
    assert soon(lambda: patient.refused()["cut_off"] == 300)


def test_bodies_that_arrive_together_are_bounded_and_there_is_room_again_afterwards(patient: Receiver) -> None:
    before = patient.refused()
    head = HEAD.replace(b"Content-Length: %d" % len(BODY), b"Content-Length: 2000000")
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(patient.connect()).sendall(head + b"[" + b" " * 1_900_000)
        # 64 MB are 33 of them.
        assert soon(lambda: patient.refused() - before == {"busy": 7})
    assert soon(lambda: patient.refused() - before == {"busy": 7, "cut_off": 33})
    assert patient.post(b"[%s]" % (b" " * 1_900_000)).status_code == 200


@pytest.mark.parametrize("sent", [HEAD, HEAD + BODY[:500]], ids=["before the body", "in the body"])
def test_a_sender_that_hangs_up_too_early_is_counted(receiver: Receiver, sent: bytes) -> None:
    before, stored = receiver.refused(), receiver.health()["stored"]
    with receiver.connect() as connection:
        connection.sendall(sent)
    assert soon(lambda: receiver.refused() - before == {"cut_off": 1})
    assert receiver.health()["stored"] == stored


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"EHLO mail.example.com\r\n\r\n",
        b"GET\r\n\r\n",
        bytes(500),
    ],
    ids=["TLS", "SMTP", "half of HTTP", "zeros"],
)
def test_what_is_not_http_is_hung_up_on(receiver: Receiver, noise: bytes) -> None:
    with receiver.connect() as connection:
        connection.sendall(noise)
        assert until_closed(connection).startswith(b"HTTP/1.1 400 ")


def test_a_head_without_end_is_hung_up_on(receiver: Receiver) -> None:
    with receiver.connect() as connection:
        connection.sendall(b"POST /webhooks HTTP/1.1\r\n" + b"A: %s\r\n" % (b"x" * 1_000) * 100)
        assert until_closed(connection).startswith(b"HTTP/1.1 400 ")


def test_connections_beyond_the_limit_are_refused_until_others_end(patient: Receiver) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            stack.enter_context(patient.connect())
        assert soon(lambda: patient.post(b"{}").status_code == 503)
    assert soon(lambda: patient.post(b"{}").status_code == 200)
