"""Dagster's web page, queried as its own JavaScript does."""

from __future__ import annotations

import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port: int, query: str, **variables: Any) -> dict[str, Any]:
    """The response of Dagster's GraphQL, as soon as it is available."""
    session = requests.Session()
    patience = Retry(total=300, backoff_factor=0.1, backoff_max=0.5, allowed_methods=None, status_forcelist=[502, 503])
    session.mount("http://", HTTPAdapter(max_retries=patience))
    with session:
        body = {"query": query, "variables": variables}
        return session.post(f"http://127.0.0.1:{port}/graphql", json=body, timeout=30).json()["data"]
