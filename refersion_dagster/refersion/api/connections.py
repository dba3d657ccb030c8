"""Connections to servers: user agent, proxy and certificate bundle."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import certifi
import urllib3
from requests.utils import get_environ_proxies, select_proxy

# An edge proxy may refuse a library's default user agent (seen).
USER_AGENT = "refersion-dagster (+https://github.com/refersion-dagster)"


def connection_pool(url: str, maxsize: int, timeout: urllib3.Timeout) -> urllib3.PoolManager:
    """Connections to the server of a URL, with the proxy and the certificate bundle of the environment, if any."""
    options: dict[str, Any] = {"maxsize": maxsize, "timeout": timeout}
    if urlsplit(url).scheme == "https":
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
        options |= {"cert_reqs": "CERT_REQUIRED", "ca_certs": bundle or certifi.where()}
    proxy = select_proxy(url, get_environ_proxies(url))
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
