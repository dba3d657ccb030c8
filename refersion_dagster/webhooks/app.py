"""The receiver: accepts Refersion's events over HTTP, verifies them and stores them in the inbox before it responds.

| | |
|---|---|
| POST /webhooks | an event; 200 means that it is on disk, now or since an earlier delivery |
| GET /healthz | counts of waiting and refused events, as JSON; 503 if nothing can be stored |
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from refersion_dagster.webhooks.group_commit import GroupCommit
from refersion_dagster.webhooks.inbox import Inbox, InboxState, ReceivedEvent
from refersion_dagster.webhooks.inbox_file import InboxError
from refersion_dagster.webhooks.refusals import STATUS, Refusal, Refusals
from refersion_dagster.webhooks.signature import is_genuine

logger = logging.getLogger(__name__)

PATH = "/webhooks"
HEALTH_PATH = "/healthz"
TOPIC_HEADER, SIGNATURE_HEADER = "refersion-topic", "refersion-signature"
# About the size of a payment to some thousand affiliates.
MAX_BODY_BYTES = 2_000_000
# Total size of all bodies that are being received.
MAX_HELD_BYTES = 64_000_000
RECEIVE_SECONDS = 10.0
MAX_TOPIC = 100
# Deepest nesting that a run can parse.
MAX_LEVELS = 50
COUNT_SECONDS = 1.0


@dataclass(frozen=True)
class ReceiverLimits:
    """Limits on incoming requests.

    Args:
        body_bytes: maximum size of one event.
        held_bytes: maximum total size of all events that are being received.
        receive_seconds: maximum time to receive the body of one event.
    """

    body_bytes: int = MAX_BODY_BYTES
    held_bytes: int = MAX_HELD_BYTES
    receive_seconds: float = RECEIVE_SECONDS


class EventRefused(Exception):
    """The request is not an acceptable event."""

    def __init__(self, kind: Refusal, detail: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail


def build_app(
    inbox: Inbox, secrets: Sequence[str], refusals: Refusals, limits: ReceiverLimits | None = None
) -> Starlette:
    """Creates the application. It closes the inbox when it shuts down.

    Args:
        secrets: the signing secrets, one of which must match.
        refusals: counts refused requests.
    """
    receiver = Receiver(GroupCommit(inbox), secrets, refusals, limits or ReceiverLimits())
    app = Starlette(
        routes=[
            Route(PATH, receiver.receive, methods=["POST"]),
            Route(HEALTH_PATH, receiver.health, methods=["GET"]),
        ],
        exception_handlers={HTTPException: receiver.elsewhere},
        lifespan=receiver.lifespan,
    )
    app.router.redirect_slashes = False
    return app


class Receiver:
    """The endpoints of one inbox."""

    def __init__(
        self, commits: GroupCommit, secrets: Sequence[str], refusals: Refusals, limits: ReceiverLimits
    ) -> None:
        self._commits = commits
        self._secrets = secrets
        self._refusals = refusals
        self._limits = limits
        self._held = 0

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        counting = asyncio.create_task(self._keep_counting())
        try:
            yield
        finally:
            counting.cancel()
            await self._move_counts()
            await self._commits.close()

    async def receive(self, request: Request) -> Response:
        """Receives one event."""
        try:
            signature = request.headers.get(SIGNATURE_HEADER)
            if not signature:
                raise EventRefused(Refusal.NO_SIGNATURE)
            body = await self._body(request)
            if not is_genuine(body, signature, self._secrets):
                raise EventRefused(Refusal.WRONG_SIGNATURE)
            topic = request.headers.get(TOPIC_HEADER, "").strip()
            check_topic(topic)
            check_json(body)
            try:
                new = await self._commits.add(ReceivedEvent(topic, body, datetime.now(UTC)))
            except InboxError as error:
                raise EventRefused(Refusal.NO_ROOM, str(error)) from error
        except EventRefused as refused:
            self._refusals.add(refused.kind, refused.detail)
            return _refusal(refused.kind)
        except ClientDisconnect:
            self._refusals.add(Refusal.CUT_OFF)
            return _refusal(Refusal.CUT_OFF)  # never read by the client
        return JSONResponse({"status": "stored" if new else "repeated"})

    async def health(self, _request: Request) -> Response:
        try:
            state = await self._commits.call(Inbox.state)
        except InboxError as error:
            logger.warning("%s", error)
            return JSONResponse({"status": "failing"}, 503)
        told = self._build_status(state)
        return JSONResponse(told, 503 if told["status"] == "failing" else 200)

    async def elsewhere(self, request: Request, error: Exception) -> Response:
        """Refuses another path or method."""
        kind = Refusal.WRONG_METHOD if getattr(error, "status_code", 404) == 405 else Refusal.WRONG_PATH
        self._refusals.add(kind)
        return _refusal(kind)

    async def _body(self, request: Request) -> bytes:
        """The raw body.

        Raises:
            EventRefused: it is too large, which ends the read; it takes too long; or too many bodies are being
            received.
        """
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._limits.body_bytes:
            raise EventRefused(Refusal.TOO_LARGE)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.receive_seconds):
                async for part in request.stream():
                    size += len(part)
                    self._held += len(part)
                    if size > self._limits.body_bytes:
                        raise EventRefused(Refusal.TOO_LARGE)
                    if self._held > self._limits.held_bytes:
                        raise EventRefused(Refusal.BUSY)
                    parts.append(part)
        except TimeoutError:
            raise EventRefused(Refusal.TOO_SLOW) from None
        finally:
            self._held -= size
        return b"".join(parts)

    def _build_status(self, state: InboxState) -> dict[str, Any]:
        counts = dict(state.counts)
        for kind, count in self._refusals.counts().items():
            counts[kind] = counts.get(kind, 0) + count
        waited = (datetime.now(UTC) - state.oldest_at).total_seconds() if state.oldest_at else 0
        return {
            "status": "failing" if self._commits.failing else "ok",
            "waiting": state.waiting,
            "oldest_waits_seconds": round(waited, 1),
            "stored": counts.pop("stored", 0),
            "repeated": counts.pop("repeated", 0),
            "refused": counts,
        }

    async def _keep_counting(self) -> None:
        while True:
            await asyncio.sleep(COUNT_SECONDS)
            await self._move_counts()

    async def _move_counts(self) -> None:
        """Moves counts of refusals to the inbox, which all processes share, in intervals instead of one by one."""
        counts = self._refusals.counts()
        if not counts:
            return
        try:
            await self._commits.call(lambda inbox: inbox.count(counts))
        except InboxError as error:
            logger.debug("%s", error)  # the next attempt follows soon, and /healthz includes them meanwhile
        else:
            self._refusals.subtract(counts)


def check_topic(topic: str) -> None:
    """Raises EventRefused for an invalid topic. An event without a topic is accepted: its body shows what it is."""
    if len(topic) > MAX_TOPIC or not (topic.isascii() and (topic.isprintable() or not topic)):
        raise EventRefused(Refusal.BAD_TOPIC)


def check_json(body: bytes) -> None:
    """Raises EventRefused for anything but a JSON object or list, and for excessive nesting."""
    try:
        value = json.loads(body.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise EventRefused(Refusal.NOT_JSON) from None
    deep = body.count(b"{") + body.count(b"[") > MAX_LEVELS and _levels(value, MAX_LEVELS) > MAX_LEVELS
    if not isinstance(value, dict | list) or deep:
        raise EventRefused(Refusal.NOT_JSON)


def _no_number(name: str) -> float:
    raise ValueError(name)  # NaN and Infinity are not JSON


def _levels(value: Any, most: int) -> int:
    """How deeply a value is nested, up to `most` + 1 levels."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if most < 0:
        return 0
    return 1 + max((_levels(item, most - 1) for item in inner if isinstance(item, dict | list)), default=0)


def _refusal(kind: Refusal) -> Response:
    # Do not wait for the rest of a slow body.
    headers = {"Connection": "close"} if kind is Refusal.TOO_SLOW else None
    return JSONResponse({"status": "refused", "reason": kind.value}, STATUS[kind], headers)
