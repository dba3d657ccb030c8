"""`refersion-dagster webhooks` as a user runs it: a process, spoken to over real sockets."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from refersion_dagster.webhooks.inbox import Inbox, StoredEvent
from refersion_dagster.webhooks.signature import sign
from refersion_dagster_tests.location import COMMANDS

SECRET = "whsec_0b5f6c1d9e"
TOPIC = "APPROVED_CONVERSION"
# How long the receivers of conftest.py give a request to arrive.
SECONDS = 0.4


@dataclass
class Receiver:
    """A running receiver."""

    process: subprocess.Popen[str]
    url: str
    inbox: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def post(self, body: Any, topic: str = TOPIC, secret: str = SECRET, **headers: str | None) -> requests.Response:
        """Sends an event, signed where its body is bytes. Headers of None are left out."""
        signed = {"Refersion-Signature": sign(body, secret)} if isinstance(body, bytes) else {}
        given = {
            "Refersion-Topic": topic,
            **signed,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return requests.post(self.url, data=body, headers=given, timeout=20)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def health(self) -> dict[str, Any]:
        return requests.get(self.url.replace("/webhooks", "/healthz"), timeout=20).json()

    def refused(self) -> Counter[str]:
        """How often each kind was refused so far."""
        return Counter(self.health()["refused"])

    def waiting(self) -> list[StoredEvent]:
        with Inbox(self.inbox) as inbox:
            return inbox.read()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> str:
        """Ends it as a service manager does; all that it printed."""
        self.process.terminate()
        return self.process.communicate(timeout=20)[0]


@contextmanager
def receiving(
    inbox: Path, *options: str, secret: str = SECRET, file_bytes: int | None = None, port: int = 0
) -> Iterator[Receiver]:
    """A receiver for as long as the block lasts.

    Args:
        file_bytes: its files grow no larger, as on a disk that is full.
    """
    process = start(inbox, *options, secret=secret, file_bytes=file_bytes, port=port)
    assert process.stdout
    said = process.stdout.readline()
    try:
        assert said.startswith("Receiving webhooks at "), said
        yield Receiver(process, said.split()[3], inbox)
    finally:
        process.kill()
        process.communicate()


def start(
    inbox: Path, *options: str, secret: str | None = SECRET, file_bytes: int | None = None, port: int = 0
) -> subprocess.Popen[str]:
    def limit() -> None:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    given = {"REFERSION_WEBHOOK_SECRET": secret} if secret is not None else {}
    return subprocess.Popen(
        [str(COMMANDS / "refersion-dagster"), "webhooks", "--port", str(port), "--inbox", str(inbox), *options],
        env={"PATH": os.defpath, "PYTHONUNBUFFERED": "1", **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limit,
    )
