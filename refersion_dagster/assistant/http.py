"""The server over HTTP: on this computer only, with a token."""

from __future__ import annotations

import hmac

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HOST = "127.0.0.1"
PATH = "/mcp"
MAX_BODY_BYTES = 100_000


def build_http_app(server: MCPServer, token: str, port: int) -> ASGIApp:
    """Returns the ASGI application.

    Requests need the token as `Authorization: Bearer …`. A request for another host name than this computer's, or from
    a page of another origin, is refused, so that web pages cannot reach the server through the browser.

    Args:
        port: the port that it listens on.
    """
    hosts = [f"{name}:{port}" for name in (HOST, "localhost")]
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=MAX_BODY_BYTES,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=hosts,
            allowed_origins=[f"http://{host}" for host in hosts],
        ),
        host=HOST,
    )
    return TokenGuard(app, token)


class TokenGuard:
    """Passes on only requests with the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = Headers(scope=scope).get("authorization", "").encode("latin-1", "replace")
            # Takes the same time wherever the first difference is.
            if not hmac.compare_digest(given, self._expected):
                refused = JSONResponse(
                    {"error": "Unauthorized: send the header Authorization: Bearer TOKEN."},
                    status_code=401,
                    headers={"WWW-Authenticate": "Bearer"},
                )
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)
