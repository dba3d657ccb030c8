"""The sandbox as a local server in its own thread."""

import asyncio
import contextlib
import socket
import threading
from types import TracebackType

import uvicorn

from refersion_dagster.sandbox.sandbox import Sandbox
from refersion_dagster.sandbox.server.app import build_app
from refersion_dagster.sandbox.server.protocol import SandboxProtocol
from refersion_dagster.sandbox.settings import SandboxSettings

LOOPBACK = "127.0.0.1"


class SandboxServer(Sandbox):
    """A local Refersion over HTTP, from `__enter__` to `__exit__`.

        with SandboxServer(SandboxSettings(orders=800)) as sandbox:
            requests.post(f"{sandbox.rest_url}/affiliate/list", ...)

    `port=0` selects a free port. `__init__` binds the port, so an OSError (port in use) is raised immediately.
    """

    def __init__(self, settings: SandboxSettings | None = None, *, host: str = LOOPBACK, port: int = 0) -> None:
        self._socket = _listen(host, port)
        try:
            super().__init__(settings or SandboxSettings())
        except BaseException:
            self._socket.close()
            raise
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._thread: threading.Thread | None = None
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def rest_url(self) -> str:
        return f"{self.url}/v2"

    @property
    def graphql_url(self) -> str:
        return f"{self.url}/graphql"

    @property
    def status_url(self) -> str:
        return f"{self.url}/status"

    @property
    def public_key(self) -> str:
        return self.account.keys.public_key

    @property
    def secret_key(self) -> str:
        return self.account.keys.secret_key

    @property
    def graphql_token(self) -> str:
        return self.account.keys.graphql_token

    def environment(self) -> dict[str, str]:
        """Environment variables that connect a code location to this sandbox."""
        return {
            "REFERSION_PUBLIC_KEY": self.public_key,
            "REFERSION_SECRET_KEY": self.secret_key,
            "REFERSION_GRAPHQL_TOKEN": self.graphql_token,
            "REFERSION_REST_URL": self.rest_url,
            "REFERSION_GRAPHQL_URL": self.graphql_url,
            "REFERSION_STATUS_URL": self.status_url,
            "REFERSION_START_DATE": self.start.strftime("%Y-%m-%d"),
        }

    def __enter__(self) -> "SandboxServer":
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="refersion-sandbox")
        self._thread.start()
        self._server.ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.webhooks.close()
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
        self._socket.close()


class _Server(uvicorn.Server):
    """uvicorn without logs. It signals when it is ready, and it ends all latencies when it stops."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.ready = threading.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(
            uvicorn.Config(
                build_app(sandbox, self._stopping),
                http=SandboxProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,  # set from the sandbox's own clock, see app.py
                timeout_keep_alive=75,
                timeout_graceful_shutdown=2,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """uvicorn's main loop, except that it ends immediately when the sandbox stops."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), timeout=0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish responses in progress, then close every connection immediately.

        uvicorn's own shutdown sleeps for a tenth of a second each time, and again while a client keeps a connection
        open. With hundreds of sandboxes in one test suite that adds up to a minute.
        """
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            _, late = await asyncio.wait(self.server_state.tasks, timeout=self.config.timeout_graceful_shutdown)
            for task in late:
                task.cancel()
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + (self.config.timeout_graceful_shutdown or 0), 0.0
        while self.server_state.connections and loop.time() < deadline:
            await asyncio.sleep(pause)  # an idle connection is gone in the loop's next iteration
            pause = 0.01

    def stop(self) -> None:
        # Do all of it in the loop. The loop could otherwise see only the first half and be closed before the second.
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self.should_exit = True
        self._stopping.set()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol left at 0, asyncio does not set TCP_NODELAY, and each response waits 40 ms for a delayed ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener
