"""A Refersion GraphQL endpoint that is far cheaper than any client: all rows are serialised before the first request.

Two simplifications keep it fast. A conversions query returns every field regardless of its selection, under the fields'
own names (no aliases, no validation), and ignores filters on status. Any other query (introspection, the other root
fields, which are empty) is executed by graphql-core. The key header is ignored.
"""

import argparse
import asyncio
import gc
import json
import os
import re
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, cast

import httptools
import orjson
import uvloop
from graphql import graphql_sync

from benchmarks.contract import PAGE_SIZE, SCHEMA
from benchmarks.rows import SPAN_END, Rows, generate

_LIST = re.compile(r"\bconversions\s*(?:\(([^)]*)\)\s*)?\{")
_ARGUMENT = re.compile(r'\b(created_from|created_to|first|offset)\s*:\s*(?:\$(\w+)|"?(-?\d+)"?)')
_DEFAULT = re.compile(r"\$(\w+)\s*:\s*[\w!]+\s*=\s*(-?\d+)")
_SEND_BUFFER_BYTES = 1 << 20
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found"}


@dataclass(frozen=True)
class _Selection:
    """The arguments of one conversions query: numbers, and the variables that stand for numbers."""

    literals: dict[str, int]
    variables: dict[str, str]
    defaults: dict[str, int]

    def value(self, argument: str, variables: dict[str, Any]) -> int | None:
        name = self.variables.get(argument)
        if name is None:
            return self.literals.get(argument)
        value = variables.get(name)
        return self.defaults.get(name) if value is None else int(value)


@lru_cache(maxsize=256)
def _selection(query: str) -> _Selection | None:
    """The selection of a conversions query. None if the query does not select conversions."""
    found = _LIST.search(query)
    if found is None:
        return None
    literals: dict[str, int] = {}
    variables: dict[str, str] = {}
    for argument, variable, literal in _ARGUMENT.findall(found[1] or ""):
        if variable:
            variables[argument] = variable
        else:
            literals[argument] = int(literal)
    return _Selection(literals, variables, {name: int(value) for name, value in _DEFAULT.findall(query)})


@lru_cache(maxsize=1)
def _date(seconds: int) -> bytes:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True).encode()


class Desk:
    """The rows, the responses built from them, and the counters that all connections share."""

    def __init__(self, rows: Rows, latency_ms: float) -> None:
        self.rows = rows
        self.latency_ms = latency_ms
        # The clock starts at the end of the rows, so that reading up to now takes the same requests on any day.
        self.opened = time.monotonic()
        self.connections = 0
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        self.requests = 0
        self.peak_in_flight = self.in_flight
        self.peak_connections = self.connections

    def answer(self, method: bytes, path: bytes, body: bytes) -> tuple[int, list[bytes | memoryview]]:
        """Status and body parts of one request."""
        try:
            if path == b"/graphql" and method == b"POST":
                request = orjson.loads(body)
                return 200, self._graphql(request["query"], request.get("variables") or {})
            if path == b"/stats" and method == b"GET":
                return 200, [orjson.dumps(self.stats())]
            if path == b"/settings" and method == b"PUT":
                self.latency_ms = float(orjson.loads(body)["latency_ms"])
                self.reset()
                return 200, [orjson.dumps(self.stats())]
        except (KeyError, TypeError, ValueError) as problem:
            return 400, [orjson.dumps({"errors": [{"message": f"Cannot read the request: {problem!r}"}]})]
        return 404, [orjson.dumps({"errors": [{"message": "POST /graphql, GET /stats or PUT /settings"}]})]

    def stats(self) -> dict[str, Any]:
        """Counters since the last change of settings. In flight means received completely and not yet answered."""
        return {
            "requests": self.requests,
            "peak_in_flight": self.peak_in_flight,
            "peak_connections": self.peak_connections,
            "latency_ms": self.latency_ms,
        }

    def _graphql(self, query: str, variables: dict[str, Any]) -> list[bytes | memoryview]:
        selection = _selection(query)
        if selection is None:
            root = {
                "affiliates": [],
                "payments": [],
                "offers": [],
                "pageInfo": {"total_results": {"conversions": len(self.rows)}},
            }
            return [orjson.dumps(graphql_sync(SCHEMA, query, root, variable_values=variables).formatted)]
        window = self.rows.window(selection.value("created_from", variables), selection.value("created_to", variables))
        first = selection.value("first", variables)
        offset = selection.value("offset", variables) or 0
        page = window[offset : offset + min(PAGE_SIZE if first is None else first, PAGE_SIZE)]
        return [
            b'{"data":{"conversions":[',
            self.rows.page(page),
            b'],"pageInfo":{"total_results":{"conversions":%d}}}}' % len(window),
        ]


class Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection; latency is a timer, so that connections do not wait for each other."""

    transport: asyncio.Transport

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.path = b""
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES)
        self.desk.connections += 1
        self.desk.peak_connections = max(self.desk.peak_connections, self.desk.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        self.desk.connections -= 1

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as problem:
            sys.stderr.write(f"not HTTP/1.1: {problem!r}\n")
            self.transport.close()

    def on_message_begin(self) -> None:
        self.path = b""
        self.body = b""

    def on_url(self, url: bytes) -> None:
        self.path += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        desk = self.desk
        request = (self.parser.get_method(), self.path, self.body, self.parser.should_keep_alive())
        if self.path != b"/graphql":
            self._reply(*request)
            return
        desk.requests += 1
        desk.in_flight += 1
        desk.peak_in_flight = max(desk.peak_in_flight, desk.in_flight)
        self.loop.call_later(desk.latency_ms / 1000, self._reply_in_turn, *request)

    def _reply_in_turn(self, method: bytes, path: bytes, body: bytes, keep_alive: bool) -> None:
        self.desk.in_flight -= 1
        self._reply(method, path, body, keep_alive)

    def _reply(self, method: bytes, path: bytes, body: bytes, keep_alive: bool) -> None:
        if self.transport.is_closing():
            return
        status, parts = self.desk.answer(method, path, body)
        head = b"HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n" % (
            status,
            _REASONS[status].encode(),
            _date(SPAN_END + int(time.monotonic() - self.desk.opened)),
            sum(map(len, parts)),
            b"" if keep_alive else b"Connection: close\r\n",
        )
        self.transport.writelines([head, *parts])
        if not keep_alive:
            self.transport.close()


async def serve(desk: Desk, port: int, until_stdin_closes: bool, started: float) -> None:
    """Listen on the loopback interface; write one line of JSON with the address once requests are accepted."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(desk), "127.0.0.1", port)
    address = {
        "url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
        "rows": len(desk.rows),
        "megabytes": round(len(desk.rows.buffer) / 1e6),
        "commission_total": str(desk.rows.commission_total),
        "seconds_to_start": round(time.perf_counter() - started, 2),
    }
    sys.stdout.write(json.dumps(address) + "\n")
    sys.stdout.flush()
    stopped = asyncio.Event()
    if until_stdin_closes:
        loop.add_reader(sys.stdin.fileno(), lambda: os.read(sys.stdin.fileno(), 1024) or stopped.set())
    async with server:
        await stopped.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--latency-ms", type=float, default=0, help="milliseconds before each response")
    parser.add_argument("--port", type=int, default=0, help="0 uses a free port")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when the parent process has ended")
    options = parser.parse_args()
    started = time.perf_counter()
    desk = Desk(generate(options.rows), options.latency_ms)
    gc.freeze()
    uvloop.run(serve(desk, options.port, options.until_stdin_closes, started))


if __name__ == "__main__":
    main()
