"""A web server that records the requests it receives and sends configured responses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Request:
    headers: dict[str, str]
    body: bytes

    @property
    def topic(self) -> str:
        return self.headers["refersion-topic"]


@dataclass
class Listener:
    """The requests received so far.

    The first responses are those of `answers`, later ones are 200. All of them wait for `answering`.
    """

    url: str = ""
    answers: list[int] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    answering: threading.Event = field(default_factory=threading.Event)

    def topics(self) -> list[str]:
        return [request.topic for request in self.requests]


@contextmanager
def listening(*answers: int) -> Iterator[Listener]:
    heard = Listener(answers=list(answers))
    heard.answering.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.requests.append(Request({name.lower(): value for name, value in self.headers.items()}, body))
            heard.answering.wait()
            self.send_response(heard.answers.pop(0) if heard.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        heard.url = f"http://127.0.0.1:{server.server_port}/hooks"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield heard
        finally:
            heard.answering.set()
            server.shutdown()
            thread.join()
