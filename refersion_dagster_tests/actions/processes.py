"""Runs work in separate processes that are killed or compete."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def started(work: Callable[[], Any], watch: Callable[[FrameType, str, Any], None] | None = None) -> int:
    """Starts the work in a separate process. Returns its pid."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.setprofile(watch)
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """Waits for a process. Returns its exit code, or the negative number of the signal that ended it."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def killed(work: Callable[[], Any], function: str, event: str, time: int = 1) -> None:
    """Runs the work in a process that is killed with SIGKILL when a function is called or returns.

    The program is not changed: a profile function of the process detects the call.

    Args:
        function: module and name of the function, or the end of these.
        event: call or return.
        time: which occurrence; 1 is the first.
    """
    met = 0

    def watch(frame: FrameType, what: str, _value: Any) -> None:
        nonlocal met
        if what == event and f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}".endswith(f".{function}"):
            met += 1
            if met == time:
                os.kill(os.getpid(), signal.SIGKILL)

    assert ended(started(work, watch)) == -signal.SIGKILL, f"{function} was not met {time} times"
