"""What the statements of this process cost, as far as engines say so or time shows it."""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Usage:
    """The cost of some statements.

    Args:
        statements: number of statements.
        priced: how many of them have a price by bytes that the engine reported.
        bytes_billed: bytes that these are billed for.
        slot_milliseconds: processor time that the engine reported for these.
        timed: how many of them keep a warehouse running that is billed by time.
        seconds: how long these took, seen from here.
        unpriced: number of statements, or of loads, whose bytes the engine did not report.
    """

    statements: int = 0
    priced: int = 0
    bytes_billed: int = 0
    slot_milliseconds: int = 0
    timed: int = 0
    seconds: float = 0.0
    unpriced: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(operator.add, astuple(self), astuple(other)))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*map(operator.sub, astuple(self), astuple(other)))


class Meter:
    """Adds up usage, from any thread."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._sum = Usage()

    def add(self, usage: Usage) -> None:
        with self._turn:
            self._sum += usage

    def read(self) -> Usage:
        """The sum since the process started."""
        return self._sum

    @contextmanager
    def statement(self, *, is_timed: bool) -> Iterator[None]:
        """Counts one statement, which may fail.

        Args:
            is_timed: whether its seconds are billed.
        """
        began = time.monotonic()
        try:
            yield
        finally:
            taken = time.monotonic() - began
            self.add(Usage(statements=1, timed=1, seconds=taken) if is_timed else Usage(statements=1))

    def results(self, items: Iterator[Item], *, is_timed: bool) -> Iterator[Item]:
        """The results of one statement. Only the time that the reader waits for them counts."""
        self.add(Usage(statements=1, timed=int(is_timed)))
        while True:
            began = time.monotonic()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                if is_timed:
                    self.add(Usage(seconds=time.monotonic() - began))
            yield item


# Of all sessions of the process, because a lease sends statements from a thread of its own.
METER = Meter()
NOTHING = Usage()
