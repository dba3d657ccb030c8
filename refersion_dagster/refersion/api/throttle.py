"""How many requests may run in parallel: up to the user's limit, fewer when the server asks for fewer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class PauseTooLong(Exception):
    """The server asked for a pause longer than the caller is willing to wait; `seconds` of it are left."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"a pause of {seconds:.0f} s was asked for")
        self.seconds = seconds


class Throttle:
    """An adaptive limit shared by all workers of one API.

    A 429 halves the limit (once for all requests that were running in parallel). Each success raises it by a fraction
    of one, never above `limit`. A pause that the server asks for (Retry-After, X-Quota-Reset) holds every worker back.

    Args:
        limit: maximum number of parallel requests (REFERSION_MAX_CONCURRENCY).
    """

    def __init__(self, limit: int) -> None:
        self.limit = max(1, limit)
        self.allowed = float(self.limit)
        self._in_flight = 0
        self._paused_until = 0.0
        self._halved_at = float("-inf")
        self._turn = threading.Condition()

    @contextmanager
    def wait_for_slot(self, patience: float = float("inf")) -> Iterator[float]:
        """Waits for a free slot and yields its start time (monotonic seconds).

        Raises PauseTooLong if the server's pause lasts longer than `patience` seconds.
        """
        with self._turn:
            while True:
                now = time.monotonic()
                if self._paused_until - now > patience:
                    raise PauseTooLong(self._paused_until - now)
                if now < self._paused_until:
                    self._turn.wait(self._paused_until - now)
                elif self._in_flight >= int(self.allowed):
                    self._turn.wait()
                else:
                    break
            self._in_flight += 1
        try:
            yield time.monotonic()
        finally:
            with self._turn:
                self._in_flight -= 1
                self._turn.notify_all()

    def record_refusal(self, began: float, pause: float) -> None:
        """Records a 429 for the request that began at `began`. No request is sent for `pause` seconds."""
        with self._turn:
            now = time.monotonic()
            self._paused_until = max(self._paused_until, now + pause)
            if began >= self._halved_at:
                self.allowed = max(1.0, self.allowed / 2)
                self._halved_at = now
            self._turn.notify_all()

    def record_success(self) -> None:
        """Records a success. The limit grows by about one for each full round of requests."""
        with self._turn:
            if self.allowed < self.limit:
                self.allowed = min(float(self.limit), self.allowed + 1 / self.allowed)
                self._turn.notify_all()
