"""Sending responses, including ones that no HTTP server would send on its own."""

import asyncio
import http
import socket
import struct

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from refersion_dagster.sandbox.response import SandboxResponse

_TRANSPORT = "sandbox.transport"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class SandboxProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with the connection exposed to the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        application = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_TRANSPORT] = transport
            await application(scope, receive, send)

        self.app: ASGIApp = with_transport


async def send_answer(answer: SandboxResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response unchanged.

    A 204 with a body is sent as raw bytes (headers, blank line, body), and the connection is closed. HTTP says that a
    204 has no body, so curl, requests and urllib3 report an empty one and drop the bytes with the connection. Only a
    client that reads the socket sees the error text.
    """
    if answer.status == http.HTTPStatus.NO_CONTENT and answer.body:
        await _send_raw(_head(answer, None) + answer.body, scope, receive)
        return
    response = Response(answer.body, answer.status, dict(answer.headers), answer.media_type)
    await response(scope, receive, send)


async def send_truncated(answer: SandboxResponse, scope: Scope, receive: Receive) -> None:
    """Send half of the body with the Content-Length of the whole, and close the connection."""
    half = answer.body[: len(answer.body) // 2]
    await _send_raw(_head(answer, len(answer.body)) + half, scope, receive)


async def reset(scope: Scope, receive: Receive) -> None:
    """Close the connection with a TCP reset."""
    transport = _transport(scope)
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
    await _closed(receive)


async def _send_raw(data: bytes, scope: Scope, receive: Receive) -> None:
    transport = _transport(scope)
    transport.write(data)
    transport.close()
    await _closed(receive)


def _head(answer: SandboxResponse, length: int | None) -> bytes:
    phrase = http.HTTPStatus(answer.status).phrase
    lines = [f"HTTP/1.1 {answer.status} {phrase}", f"content-type: {answer.media_type}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if length is not None:
        lines.append(f"content-length: {length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _transport(scope: Scope) -> asyncio.Transport:
    return scope["extensions"][_TRANSPORT]


async def _closed(receive: Receive) -> None:
    """Wait until uvicorn has seen the closed connection, so that it no longer expects a response."""
    while (await receive())["type"] != "http.disconnect":
        pass
