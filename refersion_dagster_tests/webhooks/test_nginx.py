"""deploy/nginx.conf in a real nginx before a real receiver: events pass unchanged over HTTPS, slow senders do not."""

from __future__ import annotations

import getpass
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import trustme

from refersion_dagster.webhooks.signature import sign
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.webhooks.receiver import SECRET, TOPIC, Receiver, receiving

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
HOST = "webhooks.example.com"
TIMEOUT_SECONDS = 1
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
HEAD = b"POST /webhooks HTTP/1.1\r\nHost: webhooks.example.com\r\n"

pytestmark = [pytest.mark.processes, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]


@dataclass
class Proxy:
    """nginx and the receiver behind it."""

    port: int
    authority: Path
    receiver: Receiver

    def post(self, body: bytes, path: str = "/webhooks", secret: str = SECRET) -> requests.Response:
        headers = {"Host": HOST, "Refersion-Topic": TOPIC, "Refersion-Signature": sign(body, secret)}
        return requests.post(self._url(path), body, headers=headers, verify=str(self.authority), timeout=20)

    def get(self, path: str) -> requests.Response:
        return requests.get(self._url(path), headers={"Host": HOST}, verify=str(self.authority), timeout=20)

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.authority))
        return context.wrap_socket(
            socket.create_connection(("127.0.0.1", self.port), timeout=10), server_hostname="localhost"
        )

    def _url(self, path: str) -> str:
        return f"https://localhost:{self.port}{path}"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate = authority.issue_cert(HOST, "localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "certificate.pem")
    with receiving(folder / "inbox.sqlite") as receiver, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        site = CONFIGURATION.read_text()
        for shipped, here in {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "listen [::]:443 ssl;": "",
            "127.0.0.1:8500": f"127.0.0.1:{receiver.port}",
            f"/etc/letsencrypt/live/{HOST}/fullchain.pem": str(folder / "certificate.pem"),
            f"/etc/letsencrypt/live/{HOST}/privkey.pem": str(folder / "certificate.pem"),
            "_timeout 10s": f"_timeout {TIMEOUT_SECONDS}s",
        }.items():
            assert shipped in site
            site = site.replace(shipped, here)
        (folder / "site.conf").write_text(site)
        (folder / "nginx.conf").write_text(
            f"user {getpass.getuser()}; daemon off; pid {folder}/nginx.pid; error_log stderr;"
            "events { worker_connections 2048; }"
            f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;"
            f" include {folder}/site.conf; }}"
        )
        assert NGINX
        nginx = subprocess.Popen([NGINX, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")])
        try:
            running = Proxy(port, folder / "authority.pem", receiver)
            assert soon(lambda: _listens(port), every=0.05)
            yield running
        finally:
            nginx.terminate()
            nginx.wait(timeout=20)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


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


def test_an_event_reaches_the_inbox_byte_for_byte(proxy: Proxy) -> None:
    body = b'{ "id":1,\r\n "name": "Chlo\xc3\xa9 \\ud83d", "total": 1.10 }\n'
    answer = proxy.post(body)
    assert (answer.status_code, answer.json()) == (200, {"status": "stored"})
    assert (proxy.receiver.waiting()[-1].topic, proxy.receiver.waiting()[-1].body) == (TOPIC, body)


def test_the_largest_event_that_the_receiver_accepts_passes_and_a_larger_one_does_not(proxy: Proxy) -> None:
    assert proxy.post(b"[%s]" % (b" " * 1_999_998)).status_code == 200
    assert proxy.post(b"[%s]" % (b" " * 1_999_999)).status_code == 413
    assert proxy.post(b"[%s]" % (b" " * 3_000_000)).status_code == 413


def test_a_forged_event_is_refused_by_the_receiver(proxy: Proxy) -> None:
    assert proxy.post(b"{}", secret="another").status_code == 401


def test_nothing_but_events_is_open_to_the_internet(proxy: Proxy) -> None:
    assert proxy.get("/healthz").status_code == 404
    assert proxy.get("/webhooks").status_code == 405
    assert proxy.post(b"{}", path="/").status_code == 404


@pytest.mark.parametrize("said", [b"", HEAD[:30], HEAD], ids=["nothing", "part of a line", "part of the head"])
def test_a_head_that_does_not_arrive_is_ended_and_does_not_reach_the_receiver(proxy: Proxy, said: bytes) -> None:
    before = proxy.receiver.refused()
    with proxy.connect() as connection:
        connection.sendall(said)
        assert ended(connection) >= TIMEOUT_SECONDS * 0.9
    assert proxy.receiver.refused() == before


def test_a_head_that_drips_is_ended(proxy: Proxy) -> None:
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


def test_a_body_that_stops_is_ended_and_does_not_reach_the_receiver(proxy: Proxy) -> None:
    before = proxy.receiver.refused()
    with proxy.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        ended(connection)
    assert proxy.receiver.refused() == before


def test_an_event_is_accepted_while_hundreds_are_slow(proxy: Proxy) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), timeout=10))
        assert proxy.post(b'{"among":"slow ones"}').status_code == 200


def test_one_address_has_a_limited_number_of_requests_at_once(proxy: Proxy) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(proxy.connect()) for _ in range(100)]
        for connection in slow:
            connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert soon(lambda: proxy.post(b"{}").status_code == 503)
    assert soon(lambda: proxy.post(b"{}").status_code == 200, every=0.1)
