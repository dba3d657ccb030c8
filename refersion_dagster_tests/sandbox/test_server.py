"""The server: ready when its context is entered, gone when it is left."""

import asyncio
import gc
import socket
import threading
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.sandbox.client import Client

# Maximum Python calls per field of a row, in the server's threads.
MOST_CALLS = 6
TINY = SandboxSettings(affiliates=5, orders=10, days=30)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if "refersion" in thread.name}


def test_it_is_ready_at_once_and_leaves_nothing_behind() -> None:
    before = threads()
    with SandboxServer(TINY) as sandbox:
        client = Client(sandbox)
        assert client.rest("/affiliate/list", {"limit": "1"}).status_code == 200
        port = sandbox.port
        client.close()
    assert threads() == before
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    with SandboxServer(TINY, port=port) as again:
        assert again.port == port


def test_it_stops_under_open_connections_and_running_latencies() -> None:
    with SandboxServer(TINY) as sandbox:
        idle = socket.create_connection(("127.0.0.1", sandbox.port), timeout=5)
        sandbox.fault("rest", "latency", seconds=60)
        late: list[requests.Response | requests.RequestException] = []

        def ask() -> None:
            try:
                late.append(Client(sandbox).rest("/affiliate/list", {"limit": "1"}))
            except requests.RequestException as error:
                late.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while not sandbox.requests():
            pass
    thread.join(timeout=30)
    # If the server had waited for the full minute, the client would have timed out after 20 s.
    assert [type(one) for one in late] == [requests.Response]
    idle.close()


def test_a_port_in_use_is_an_os_error_at_once() -> None:
    with SandboxServer(TINY) as sandbox, pytest.raises(OSError, match="in use"):
        SandboxServer(TINY, port=sandbox.port)


def test_a_sandbox_that_was_never_entered_can_be_left() -> None:
    server = SandboxServer(TINY)
    server.__exit__(None, None, None)
    with SandboxServer(TINY, port=server.port):
        pass


def test_several_sandboxes_live_side_by_side() -> None:
    with SandboxServer(TINY) as one, SandboxServer(TINY) as two:
        assert one.port != two.port
        two.advance(days=1)
        assert one.now < two.now


def test_environment_points_a_code_location_at_it() -> None:
    settings = SandboxSettings(
        affiliates=5,
        orders=10,
        days=30,
        now=datetime(2026, 3, 31, 12, tzinfo=UTC),
        public_key="pub_mine",
        secret_key="sec_mine",
        graphql_token="gql_mine",
    )
    with SandboxServer(settings) as sandbox:
        assert sandbox.environment() == {
            "REFERSION_PUBLIC_KEY": "pub_mine",
            "REFERSION_SECRET_KEY": "sec_mine",
            "REFERSION_GRAPHQL_TOKEN": "gql_mine",
            "REFERSION_REST_URL": f"http://127.0.0.1:{sandbox.port}/v2",
            "REFERSION_GRAPHQL_URL": f"http://127.0.0.1:{sandbox.port}/graphql",
            "REFERSION_STATUS_URL": f"http://127.0.0.1:{sandbox.port}/status",
            "REFERSION_START_DATE": "2026-03-01",
        }
        client = Client(sandbox)
        assert client.data("{offers {id}}")
        assert client.rest("/affiliate/list", {"limit": "1"}).status_code == 200
        client.close()


def test_many_clients_at_once_read_one_truth() -> None:
    with SandboxServer(SandboxSettings(affiliates=40, orders=400)) as sandbox:
        pages: dict[int, list[int]] = {}

        def read(page: int) -> None:
            client = Client(sandbox)
            data = client.data(f"{{conversions(first: 50, offset: {50 * page}) {{id}}}}")
            pages[page] = [row["id"] for row in data["conversions"]]
            client.close()

        workers = [threading.Thread(target=read, args=(page,)) for page in range(14)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seen = [number for page in sorted(pages) for number in pages[page]]
        assert len(seen) == len(set(seen))
        assert set(seen) == set(sandbox.account.conversions)


def test_small_answers_do_not_wait_for_a_delayed_ack() -> None:
    with SandboxServer(TINY) as sandbox:
        client = Client(sandbox)
        client.rest("/affiliate/list", {"limit": "1"})
        transports = [one for one in gc.get_objects() if isinstance(one, asyncio.Transport) and not one.is_closing()]
        ends = [one.get_extra_info("socket") for one in transports]
        # Head and body are two writes. Without TCP_NODELAY the second would wait for the acknowledgement of the first.
        ours = [end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for end in ends if is_of(end, sandbox.port)]
        client.close()
    assert ours
    assert all(ours)


def is_of(end: Any, port: int) -> bool:
    return end is not None and end.family == socket.AF_INET and end.getsockname()[1] == port


@pytest.mark.parametrize(
    "wrong",
    [{"orders": -1}, {"affiliates": -1}, {"days": 0}, {"currencies": ()}, {"now": datetime(2026, 1, 1)}],  # noqa: DTZ001
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="SandboxSettings"):
        SandboxSettings(**wrong)  # type: ignore[arg-type]


def test_a_page_of_two_hundred_rows_takes_few_calls_a_field() -> None:
    fields = "id created updated status payment_status type order_id total commission_total currency notes source"
    nested = "affiliate {id name email} offer {id name} customer {name email browser_ip} click {created ip} shop {name}"
    calls = Counter[str]()
    threading.setprofile(lambda _frame, event, _argument: calls.update([event]))
    try:
        with SandboxServer() as sandbox:
            client = Client(sandbox)
            query = f"{{conversions(first: 200, offset: 1000) {{{fields} {nested}}}}}"
            client.data(query)  # on a new server, which checks its schema first
            before = calls["call"]
            assert len(client.data(query)["conversions"]) == 200
            made = calls["call"] - before
            client.close()
    finally:
        threading.setprofile(None)
    assert 0 < made < 200 * len(f"{fields} {nested}".split()) * MOST_CALLS
