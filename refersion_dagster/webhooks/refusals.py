"""What was refused and why: counted by kind, and logged at a limited rate."""

from __future__ import annotations

import logging
import time
from collections import Counter
from enum import StrEnum

logger = logging.getLogger(__name__)

# Minimum interval between log messages of one kind.
TELL_SECONDS = 60


class Refusal(StrEnum):
    """Why a request was not accepted as an event."""

    NO_SIGNATURE = "no_signature"
    WRONG_SIGNATURE = "wrong_signature"
    NOT_JSON = "not_json"
    BAD_TOPIC = "bad_topic"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    CUT_OFF = "cut_off"
    WRONG_METHOD = "wrong_method"
    WRONG_PATH = "wrong_path"
    BUSY = "busy"
    NO_ROOM = "no_room"


STATUS = {
    Refusal.NO_SIGNATURE: 401,
    Refusal.WRONG_SIGNATURE: 401,
    Refusal.NOT_JSON: 400,
    Refusal.BAD_TOPIC: 400,
    Refusal.TOO_LARGE: 413,
    Refusal.TOO_SLOW: 408,
    Refusal.CUT_OFF: 400,
    Refusal.WRONG_METHOD: 405,
    Refusal.WRONG_PATH: 404,
    Refusal.BUSY: 503,
    Refusal.NO_ROOM: 503,
}

WORDS = {
    Refusal.NO_SIGNATURE: "a request without Refersion-Signature; it is not from Refersion",
    Refusal.WRONG_SIGNATURE: "an event whose signature is wrong; either it is not from Refersion, or "
    "REFERSION_WEBHOOK_SECRET is not the signing secret shown under Account > Settings > Webhooks",
    Refusal.NOT_JSON: "an event that is signed but not a JSON object or list",
    Refusal.BAD_TOPIC: "an event whose Refersion-Topic is not a valid name",
    Refusal.TOO_LARGE: "an event that is too large",
    Refusal.TOO_SLOW: "an event that took too long to arrive",
    Refusal.CUT_OFF: "an event that ended before its announced length",
    Refusal.WRONG_METHOD: "a request with a method other than POST",
    Refusal.WRONG_PATH: "a request for another path",
    Refusal.BUSY: "an event, because too many requests are arriving",
    Refusal.NO_ROOM: "an event that could not be stored",
}


class Refusals:
    """Counts refusals until they are moved to the inbox, which all processes share."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._told: dict[Refusal, float] = {}
        self._untold: Counter[Refusal] = Counter()

    def add(self, kind: Refusal, detail: str = "") -> None:
        """Counts a refusal. `detail` is for the log and contains nothing of the request."""
        self._counts[kind.value] += 1
        self._untold[kind] += 1
        now = time.monotonic()
        if now - self._told.get(kind, -TELL_SECONDS) >= TELL_SECONDS:
            more = f" ({self._untold[kind]} since the last message)" if self._untold[kind] > 1 else ""
            logger.warning("Refused %s%s%s.", WORDS[kind], f": {detail.rstrip('.')}" if detail else "", more)
            self._told[kind], self._untold[kind] = now, 0

    def counts(self) -> dict[str, int]:
        """Counts that were not moved yet."""
        return dict(self._counts)

    def subtract(self, counts: dict[str, int]) -> None:
        """Subtracts counts that were moved."""
        self._counts.subtract(counts)
        self._counts = +self._counts
