"""HTTP/1.1 by uvicorn, with an end to requests that never end.

uvicorn waits for ever for the rest of a request. Here each has a few seconds from its first byte (the first one of a
connection from the connection on) to its last, and a head of bounded size.
"""

from __future__ import annotations

import asyncio
from asyncio.events import TimerHandle
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from refersion_dagster.webhooks.refusals import Refusal, Refusals

MAX_HEAD_BYTES = 32_000
MAX_CONNECTIONS = 1_000


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        refusals: where requests that were broken off are counted.
        receive_seconds: how long one request may take to arrive.
    """

    def __init__(self, *, refusals: Refusals, receive_seconds: float, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._refusals = refusals
        self._receive_seconds = receive_seconds
        self._deadline: TimerHandle | None = None
        # Bytes of the head that is arriving; None while none is.
        self._head: int | None = None
        self._arriving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()
        if len(self.connections) > MAX_CONNECTIONS:
            self._break_off(Refusal.BUSY, HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        if self._arriving and not self._answered:
            self._refusals.add(Refusal.CUT_OFF)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > MAX_HEAD_BYTES:
                self._break_off(Refusal.TOO_LARGE, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._arriving, self._head = True, 0
        self._begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._arriving = False
        self._end()

    def send_400_response(self, msg: str) -> None:
        self._break_off(Refusal.NOT_HTTP, HTTPStatus.BAD_REQUEST)

    @property
    def _answered(self) -> bool:
        """Whether the request that is arriving has its answer already."""
        return self._head is None and self.cycle is not None and self.cycle.response_started

    def _begin(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(
                self._receive_seconds, self._break_off, Refusal.TOO_SLOW, HTTPStatus.REQUEST_TIMEOUT
            )

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _break_off(self, kind: Refusal, status: HTTPStatus) -> None:
        """Answers and hangs up; only hangs up where the answer was given."""
        self._end()
        if self.transport.is_closing():
            return
        if not self._answered:
            self._refusals.add(kind)
            line = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(line.encode())
        self._arriving = False
        self.transport.close()
