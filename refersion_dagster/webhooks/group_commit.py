"""Group commit: events of many requests are written to disk together, each before its request is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from refersion_dagster.webhooks.inbox import Inbox, ReceivedEvent
from refersion_dagster.webhooks.inbox_file import InboxError

Result = TypeVar("Result")

EVENTS_PER_COMMIT = 1_000


class GroupCommit:
    """Adds events to an inbox from an event loop. Events that arrive during a commit go into the next one."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="refersion-inbox")
        self._waiting: list[tuple[ReceivedEvent, asyncio.Future[bool]]] = []
        self._committing: asyncio.Task[None] | None = None
        # Whether the last commit failed.
        self.failing = False

    async def add(self, event: ReceivedEvent) -> bool:
        """Stores an event on disk. Returns whether it is new. Raises InboxError if it was not stored."""
        added: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, added))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit())
        return await added

    async def call(self, use: Callable[[Inbox], Result]) -> Result:
        """Runs another operation on the inbox, between two commits."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, use, self._inbox)

    async def close(self) -> None:
        """Waits until everything is committed, then closes the inbox."""
        if self._committing is not None:
            await self._committing
        await self.call(Inbox.close)
        self._thread.shutdown()

    async def _commit(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:EVENTS_PER_COMMIT], self._waiting[EVENTS_PER_COMMIT:]
            events = [event for event, _ in group]
            try:
                new = await self.call(lambda inbox, events=events: inbox.add(events))
            except InboxError as error:
                self.failing = True
                for _, added in group:
                    _settle(added, error)
            except BaseException as error:
                for _, added in group:
                    _settle(added, InboxError(f"The commit failed: {error!r}"))
                raise
            else:
                self.failing = False
                for (_, added), is_new in zip(group, new, strict=True):
                    _settle(added, is_new)


def _settle(added: asyncio.Future[bool], result: bool | InboxError) -> None:
    """Notifies the waiting requests; a cancelled request no longer waits."""
    if added.done():
        return
    if isinstance(result, InboxError):
        added.set_exception(result)
    else:
        added.set_result(result)
