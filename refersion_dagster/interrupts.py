"""Ctrl-C, and the signal by which services are stopped, while Dagster runs a job in this process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

import psutil


@contextmanager
def ended_by_interrupt(
    say: Callable[[], None], ending: Collection[signal.Signals] = (signal.SIGINT,)
) -> Iterator[None]:
    """Meanwhile signals end this process and those that it started immediately, with exit code 130 for SIGINT.

    Dagster takes an interrupt for a step that failed, and goes on with those that do not depend on it. What starts
    threads has to be imported within: a signal comes to any thread that does not block it.

    Args:
        say: last words.
        ending: the signals. Processes that are started within do not hear them.
    """
    done = threading.Event()

    def wait() -> None:
        number = signal.sigwait(ending)
        if done.is_set():
            return
        try:
            say()
        finally:
            end_children()
            os._exit(128 + number)

    # Blocked in this thread and in those and the processes that it starts, so that it comes to nobody but the waiter.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    waiter = threading.Thread(target=wait, name="interrupt")
    waiter.start()
    try:
        yield
    finally:
        done.set()
        assert waiter.ident  # noqa: S101 - it was started
        signal.pthread_kill(waiter.ident, next(iter(ending)))
        waiter.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_children() -> None:
    """Ends the processes that this one started, such as those by which Dagster follows what a run prints."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
