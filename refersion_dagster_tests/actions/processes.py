"""Work done in processes of their own, to be killed or to compete."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def started(work: Callable[[], Any], watch: Callable[[FrameType, str, Any], None] | None = None) -> int:
    """Does the work in a process of its own; the process."""
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
    """The exit code of a process, or the signal that ended it, below 0."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def killed(work: Callable[[], Any], function: str, event: str, time: int = 1) -> None:
    """Does the work in a process that is killed with -9 when it calls a function, or when that returns.

    Nothing of the program knows of it: a trace function of the process meets the point.

    Args:
        function: its module and name, or the end of these.
        event: call or return.
        time: for the nth time.
    """
    met = 0

    def watch(frame: FrameType, what: str, _value: Any) -> None:
        nonlocal met
        if what == event and f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}".endswith(f".{function}"):
            met += 1
            if met == time:
                os.kill(os.getpid(), signal.SIGKILL)

    assert ended(started(work, watch)) == -signal.SIGKILL, f"{function} was not met {time} times"
