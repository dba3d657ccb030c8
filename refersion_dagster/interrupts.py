"""Handles Ctrl-C and SIGTERM while Dagster runs a job in this process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, TypeVar

import psutil

Result = TypeVar("Result")
SECONDS = 0.2


@contextmanager
def end_on_interrupt(say: Callable[[], None]) -> Iterator[None]:
    """Within the context, SIGINT ends this process and its children immediately, with exit code 130.

    Dagster treats an interrupt as a failed step and continues with steps that do not depend on it. Modules that start
    threads have to be imported inside: a signal is delivered to any thread that does not block it. Processes started
    inside do not receive it.

    Args:
        say: prints a last message.
    """
    ending = (signal.SIGINT,)
    done = threading.Event()

    def await_signal() -> None:
        number = signal.sigwait(ending)
        if not done.is_set():
            _end(say, number)

    # Blocked in this thread and in the threads and processes that it starts, so that only the waiter receives it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    waiter = threading.Thread(target=await_signal, name="interrupt")
    waiter.start()
    try:
        yield
    finally:
        done.set()
        assert waiter.ident  # noqa: S101 - it was started
        signal.pthread_kill(waiter.ident, signal.SIGINT)
        waiter.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_until_termination(work: Callable[[], Result], say: Callable[[], None]) -> Result:
    """Runs `work`. Meanwhile, SIGTERM ends this process and its children immediately, with exit code 143.

    The signal is not blocked, because child processes would not receive it either, and Dagster waits half a minute for
    each of its own that it terminates. `work` runs in another thread, where Dagster does not replace signal handlers.

    Args:
        say: prints a last message.
    """

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        _end(say, number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with ThreadPoolExecutor(1, "work") as pool:
            future = pool.submit(work)
            # The handler runs in this thread, between two waits if another thread received the signal.
            while not future.done():
                wait([future], SECONDS)
            return future.result()
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(say: Callable[[], None], number: int) -> NoReturn:
    try:
        say()
    finally:
        end_children()
        os._exit(128 + number)


def end_children() -> None:
    """Kills the child processes, such as those that Dagster uses to capture a run's output."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
