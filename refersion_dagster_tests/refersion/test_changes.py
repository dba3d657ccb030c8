"""Requests that change data: sent once, unless they cannot have been executed."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
import tenacity

from refersion_dagster.refersion.api import transport
from refersion_dagster.refersion.api.auth import Credentials
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.api.rest import RestClient
from refersion_dagster.refersion.errors import (
    AnswerLost,
    InvalidCredentials,
    RequestRefused,
    ServerUnavailable,
    UnexpectedAnswer,
)
from refersion_dagster.sandbox import SandboxServer

CREDIT = "/conversion/manual_credit"
ROUTE = f"rest:{CREDIT}"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BACK_OFF", tenacity.wait_none())


def rest_of(sandbox: SandboxServer, url: str | None = None, **patience: float) -> RestClient:
    credentials = Credentials(sandbox.public_key, sandbox.secret_key)
    return RefersionClient(credentials, url or sandbox.rest_url, **{"retry_seconds": 20, **patience}).rest


def credit(sandbox: SandboxServer) -> dict[str, Any]:
    return {"id": min(sandbox.account.affiliates), "commission": Decimal("0.10"), "status": "PENDING"}


def credits_of(sandbox: SandboxServer) -> int:
    return sandbox.sums()["number_of_conversions"]


def test_amounts_are_sent_exactly(sandbox: SandboxServer) -> None:
    made = rest_of(sandbox).change(CREDIT, credit(sandbox) | {"commission": Decimal("1E+2")})
    assert sandbox.account.conversions[made["conversion_id"]].commission_total == Decimal("100.00")


@pytest.mark.parametrize("applied", [True, False], ids=["carried out", "not carried out"])
@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("reset", {}),
        ("500", {}),
        ("503-html", {}),
        ("status", {"status": 502}),
        ("status", {"status": 504}),
        ("status", {"status": 408}),
        ("status", {"status": 521}),
    ],
    ids=["reset", "500", "503", "502", "504", "408", "521"],
)
def test_one_that_may_have_been_carried_out_is_not_repeated(
    sandbox: SandboxServer, kind: str, details: dict[str, Any], applied: bool
) -> None:
    before = credits_of(sandbox)
    sandbox.fault(ROUTE, kind, applied=applied, **details)
    with pytest.raises(AnswerLost, match="It is not known whether the request was carried out"):
        rest_of(sandbox).change(CREDIT, credit(sandbox))
    assert sandbox.requests() == {ROUTE: 1}
    assert credits_of(sandbox) == before + applied


@pytest.mark.parametrize("kind", ["truncated", "truncated-json"])
def test_one_whose_answer_is_cut_is_not_repeated(sandbox: SandboxServer, kind: str) -> None:
    before = credits_of(sandbox)
    sandbox.fault(ROUTE, kind)
    with pytest.raises(AnswerLost):
        rest_of(sandbox).change(CREDIT, credit(sandbox))
    assert credits_of(sandbox) == before + 1


def test_one_that_is_not_answered_in_time_is_not_repeated(sandbox: SandboxServer) -> None:
    sandbox.fault(ROUTE, "latency", seconds=5)
    with pytest.raises(AnswerLost, match="no response from"):
        rest_of(sandbox, answer_seconds=0.1).change(CREDIT, credit(sandbox))
    assert sandbox.requests() == {ROUTE: 1}


@pytest.mark.parametrize("kind", ["429", "429-retry-after", "429-quota-reset"])
def test_one_that_came_too_early_is_sent_again(sandbox: SandboxServer, kind: str) -> None:
    before = credits_of(sandbox)
    sandbox.fault(ROUTE, kind, times=2, seconds=0.01)
    rest_of(sandbox).change(CREDIT, credit(sandbox))
    assert sandbox.requests() == {ROUTE: 3}
    assert credits_of(sandbox) == before + 1


def test_trouble_after_a_pause_is_still_not_repeated(sandbox: SandboxServer) -> None:
    sandbox.fault(ROUTE, "429")
    sandbox.fault(ROUTE, "500", applied=True)
    with pytest.raises(AnswerLost):
        rest_of(sandbox).change(CREDIT, credit(sandbox))
    assert sandbox.requests() == {ROUTE: 2}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (204, {"error": "Invalid field notes"}, RequestRefused),
        (400, {"error": "Missing required field id"}, RequestRefused),
        (401, {"error": "Invalid API credentials (error 2)."}, InvalidCredentials),
        (403, {"message": "Forbidden"}, RequestRefused),
        (404, {"error": "Bad request, no body"}, RequestRefused),
        (422, {"errors": ["Invalid affiliate ID (error 2)."]}, RequestRefused),
        (429, {"error": "Max number of elements on attribute (50) reached."}, RequestRefused),
        (302, {}, UnexpectedAnswer),
    ],
)
def test_a_refusal_is_told_with_its_status(
    sandbox: SandboxServer, status: int, body: dict[str, Any], error: type[Exception]
) -> None:
    sandbox.fault(ROUTE, "status", status=status, body=body)
    with pytest.raises(error) as refused:
        rest_of(sandbox).change(CREDIT, credit(sandbox))
    assert getattr(refused.value, "status") == status  # noqa: B009 - the types are not one
    assert sandbox.requests() == {ROUTE: 1}


def test_without_a_connection_it_is_tried_again_and_nothing_is_lost(sandbox: SandboxServer) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v2"
        with pytest.raises(ServerUnavailable, match="cannot connect to"):
            rest_of(sandbox, url, retry_seconds=0).change(CREDIT, credit(sandbox))


def test_a_proxy_that_is_down_lost_nothing(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(ServerUnavailable, match="through the proxy failed"):
            rest_of(sandbox, "http://api.refersion.invalid/v2", retry_seconds=0).change(CREDIT, credit(sandbox))


def test_a_proxy_that_hangs_up_after_the_request_may_have_passed_it_on(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """urllib3 reports this like a proxy that cannot be reached."""
    with listening(lambda connection: connection.recv(65_536)) as (port, connections):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(AnswerLost):
            rest_of(sandbox, "http://api.refersion.invalid/v2").change(CREDIT, credit(sandbox))
    assert len(connections) == 1


def test_secrets_of_the_body_are_taken_out_of_what_the_server_says(sandbox: SandboxServer) -> None:
    sandbox.fault(ROUTE, "status", status=422, body={"errors": ["The password Hush!Hush1 is known"]})
    with pytest.raises(RequestRefused) as refused:
        rest_of(sandbox).change(CREDIT, {}, redact=lambda content: content.replace(b"Hush!Hush1", b"[password]"))
    assert refused.value.said == "The password [password] is known"


@contextmanager
def listening(serve: Callable[[socket.socket], object]) -> Iterator[tuple[int, list[tuple[str, int]]]]:
    """A listener that passes each connection to `serve` and then resets it. Yields its port and the callers."""
    callers: list[tuple[str, int]] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            while True:
                try:
                    connection, caller = listener.accept()
                except OSError:
                    return
                callers.append(caller)
                with connection:
                    serve(connection)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1], callers
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
