"""nginx with deploy/nginx.conf on a free port, in front of a webhook receiver."""

from __future__ import annotations

import getpass
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import requests
import trustme

from refersion_dagster.webhooks.signature import sign
from refersion_dagster_tests.location import REPOSITORY
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.web_page import free_port
from refersion_dagster_tests.webhooks.receiver import SECRET, TOPIC

CONFIGURATION = REPOSITORY / "deploy" / "nginx.conf"
HOST = "webhooks.example.com"
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


@dataclass
class Proxy:
    """A running nginx.

    Args:
        authority: file of the certificate authority.
    """

    port: int
    authority: Path

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


@contextmanager
def proxy_before(
    receiver_port: int, folder: Path, changes: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Proxy]:
    """nginx with a certificate of its own, until the block ends.

    Args:
        folder: where its configuration and certificates are put.
        changes: other texts in the configuration, and what replaces them.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate = authority.issue_cert(HOST, "localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "certificate.pem")
    port, site = free_port(), CONFIGURATION.read_text()
    for shipped, here in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "listen [::]:443 ssl;": "",
        "127.0.0.1:8500": f"127.0.0.1:{receiver_port}",
        f"/etc/letsencrypt/live/{HOST}/fullchain.pem": str(folder / "certificate.pem"),
        f"/etc/letsencrypt/live/{HOST}/privkey.pem": str(folder / "certificate.pem"),
        **changes,
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
        assert soon(lambda: _listens(port), every=0.05)
        yield Proxy(port, folder / "authority.pem")
    finally:
        nginx.terminate()
        nginx.wait(timeout=20)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
