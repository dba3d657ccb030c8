"""The HTTP application: routing and faults."""

import asyncio
from collections.abc import Callable
from email.utils import formatdate

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from refersion_dagster.sandbox.api.graphql import GraphQLApi
from refersion_dagster.sandbox.api.reports import SavedReports
from refersion_dagster.sandbox.api.rest import RestApi
from refersion_dagster.sandbox.faults import (
    AFTER_THE_WORK,
    EMPTY_PAGE,
    LATENCY,
    RESET,
    TRUNCATED,
    TRUNCATED_JSON,
    Fault,
)
from refersion_dagster.sandbox.lifecycle.concurrent_activity import ConcurrentActivity
from refersion_dagster.sandbox.response import SandboxResponse
from refersion_dagster.sandbox.sandbox import Sandbox
from refersion_dagster.sandbox.server.control_api import control_routes
from refersion_dagster.sandbox.server.protocol import reset, send_answer, send_truncated

Work = Callable[[bool], SandboxResponse]


def build_app(sandbox: Sandbox, stopping: asyncio.Event) -> Starlette:
    """REST v2 under /v2, GraphQL at /graphql, report files, the status page, and the control API.

    `stopping` ends latencies.
    """
    front = PublicApi(sandbox, stopping)
    return Starlette(
        routes=[
            *control_routes(sandbox),
            Mount("/v2", front.rest),
            Route("/graphql", _Endpoint(front.graphql)),
            Route("/status/api/v2/summary.json", _Endpoint(front.status)),
            Route("/api/reporting/download/{account}/{shop}/{key}", _Endpoint(front.report)),
        ],
        middleware=[Middleware(_DateHeader, sandbox=sandbox)],
    )


class _DateHeader:
    """Sets the Date header to the sandbox's own time."""

    def __init__(self, app: ASGIApp, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self._sandbox.account.now, usegmt=True)
                message["headers"] = [*message.get("headers", []), (b"date", date.encode())]
            await send(message)

        await self._app(scope, receive, dated)


class _Endpoint:
    """Lets Starlette route to an ASGI application. Starlette would call a function with a Request."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)


class PublicApi:
    """The public interfaces of the account: REST v2, GraphQL and report files."""

    def __init__(self, sandbox: Sandbox, stopping: asyncio.Event) -> None:
        self._sandbox = sandbox
        self._stopping = stopping
        self._reports = SavedReports(sandbox.account)
        self._rest = RestApi(sandbox.account, self._reports)
        self._graphql = GraphQLApi(sandbox.account)
        self._going_on = ConcurrentActivity(sandbox.account)

    async def rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        path = scope["path"].removeprefix(scope.get("root_path", ""))

        def work(_empty_page: bool) -> SandboxResponse:
            refusal = self._rest.refusal(path, request.headers)
            if refusal is not None:
                return refusal
            if request.method != "POST":
                return SandboxResponse.json(405, {"message": "Method Not Allowed"})
            site = str(request.base_url.replace(path="")).rstrip("/")
            return self._rest.answer(path, request.headers.get("content-type", ""), body, site)

        await self._serve([f"rest:{path}"], work, scope, receive, send)

    async def graphql(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        if request.method != "POST":
            answer = SandboxResponse.json(405, {"errors": [{"message": "GraphQL is asked by POST."}]})
            await send_answer(answer, scope, receive, send)
            return
        asked = self._graphql.read(request.headers.get("content-type", ""), body)
        routes = [] if isinstance(asked, SandboxResponse) else [f"graphql:{name}" for name in asked.root_fields()]

        def work(empty_page: bool) -> SandboxResponse:
            account = self._sandbox.account
            if request.headers.get("x-refersion-key") != account.keys.graphql_token:
                return SandboxResponse.json(
                    account.switches.bad_token_status, {"errors": [{"message": "Invalid X-Refersion-Key."}]}
                )
            if isinstance(asked, SandboxResponse):
                return asked
            asked.empty_page = empty_page
            return asked.answer()

        await self._serve(routes or ["graphql:invalid"], work, scope, receive, send)

    async def report(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = scope["path_params"]["key"]
        await self._serve(["report"], lambda _empty_page: self._reports.download(key), scope, receive, send)

    async def status(self, scope: Scope, receive: Receive, send: Send) -> None:
        def work(_empty_page: bool) -> SandboxResponse:
            return SandboxResponse.json(200, self._sandbox.status.summary(self._sandbox.account.now))

        await self._serve(["status"], work, scope, receive, send)

    async def _serve(self, routes: list[str], work: Work, scope: Scope, receive: Receive, send: Send) -> None:
        self._going_on.before_request(routes)
        fault: Fault | None = None
        for met in self._sandbox.faults.meet(routes):
            if met.kind == LATENCY:
                await self._wait(met.seconds)
            else:
                fault = met
        if fault is None:
            await send_answer(work(False), scope, receive, send)
            return
        answer = None
        if fault.applied or fault.kind in AFTER_THE_WORK:
            answer = work(fault.kind == EMPTY_PAGE)
        if fault.kind == RESET:
            await reset(scope, receive)
        elif answer is not None and fault.kind == TRUNCATED:
            await send_truncated(answer, scope, receive)
        elif answer is not None and fault.kind == TRUNCATED_JSON:
            half = SandboxResponse(
                answer.status, answer.body[: len(answer.body) // 2], answer.media_type, answer.headers
            )
            await send_answer(half, scope, receive, send)
        elif answer is not None and fault.kind == EMPTY_PAGE:
            await send_answer(answer, scope, receive, send)
        else:
            await send_answer(fault.answer(), scope, receive, send)

    async def _wait(self, seconds: float) -> None:
        """Delay this request only. Stopping the server ends the delay."""
        waiting = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([waiting], timeout=seconds)
        waiting.cancel()
