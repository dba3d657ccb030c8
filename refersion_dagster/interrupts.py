"""Ctrl-C, and the signal by which services are stopped, while Dagster runs a job in this process."""

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
def ended_by_interrupt(say: Callable[[], None]) -> Iterator[None]:
    """Meanwhile SIGINT ends this process and those that it started immediately, with exit code 130.

    Dagster treats an interrupt as a failed step and continues with steps that do not depend on it. What starts
    threads has to be imported within: a signal comes to any thread that does not block it. Processes that are started
    within do not hear it.

    Args:
        say: last words.
    """
    ending = (signal.SIGINT,)
    done = threading.Event()

    def await_signal() -> None:
        number = signal.sigwait(ending)
        if not done.is_set():
            _end(say, number)

    # Blocked in this thread and in those and the processes that it starts, so that it comes to nobody but the waiter.
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


def ended_by_termination(work: Callable[[], Result], say: Callable[[], None]) -> Result:
    """Does the work; meanwhile SIGTERM ends this process and those that it started immediately, with exit code 143.

    The signal is not blocked, as processes that are started meanwhile would not hear it either, and Dagster waits half
    a minute for each of its own that it ends by it. The work is done in another thread, where Dagster leaves the
    handlers of signals as they are.

    Args:
        say: last words.
    """

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        _end(say, number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with ThreadPoolExecutor(1, "work") as pool:
            future = pool.submit(work)
            # A handler runs in this thread, between two waits where the signal came to another.
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
    """Ends the processes that this one started, such as those by which Dagster follows what a run prints."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
