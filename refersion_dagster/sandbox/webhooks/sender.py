"""The webhooks of one sandbox: every event is signed and sent to one address in the background."""

import hashlib
import hmac
import random
import threading
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests

from refersion_dagster.sandbox.account import TOPICS, Account
from refersion_dagster.sandbox.response import json_bytes
from refersion_dagster.sandbox.webhooks.payloads import body

# Maximum number of queued events. Events beyond it are dropped and counted.
MOST_WAITING = 20_000
# With shuffled order, the next event sent is one of this many at the head of the queue.
SHUFFLED = 8
TIMEOUT_SECONDS = 10
PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Target:
    """The address and secret for events."""

    url: str
    secret: str
    topics: frozenset[str]


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    topic: str
    body: bytes


class Webhooks:
    """The sender.

    It counts the events `announced`, `delivered`, `failed` (permanently) and `dropped`, and the `requests` sent. Order,
    repetition and retries are not documented; see the switches webhook_order, webhook_duplicates and webhook_retries.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._target: Target | None = None
        self._waiting: deque[WebhookDelivery] = deque()
        self._sending = False
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._counts: Counter[str] = Counter()
        self._last_answer: str | None = None
        self._rng = random.Random(account.settings.seed)

    def send_to(self, url: str, secret: str, topics: Sequence[str] = TOPICS) -> None:
        """Send all further events. Raises ValueError for an invalid address, secret or topic."""
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no address of a receiver, e.g. http://127.0.0.1:8500/webhooks")
        if not secret:
            raise ValueError("'secret' is empty")
        if unknown := set(topics) - set(TOPICS):
            raise ValueError(f"there is no topic {', '.join(sorted(unknown))}; known are {', '.join(TOPICS)}")
        with self._account.lock, self._changed:
            self._target = Target(url, secret, frozenset(topics))
            self._account.announce = self._announce
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="refersion-sandbox-webhooks", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Stop sending, and discard queued events."""
        with self._changed:
            self._target = None
            self._waiting.clear()
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread without sending queued events."""
        self.stop()
        self._closing.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=TIMEOUT_SECONDS)

    def wait_until_sent(self, seconds: float = 30) -> bool:
        """Wait until the queue is empty. Returns whether that happened within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._sending, seconds)

    def state(self) -> dict[str, Any]:
        with self._changed:
            target = self._target
            return {
                "url": target.url if target else None,
                "topics": sorted(target.topics) if target else [],
                "waiting": len(self._waiting) + self._sending,
                "last_answer": self._last_answer,
                **{name: self._counts[name] for name in ("announced", "delivered", "failed", "dropped", "requests")},
            }

    def _announce(self, topic: str, row: Any) -> None:
        """Queue the current row for the thread. The caller holds the account's lock."""
        with self._changed:
            if self._target is None or topic not in self._target.topics:
                return
            self._counts["announced"] += 1
            if len(self._waiting) >= MOST_WAITING:
                self._counts["dropped"] += 1
                return
            self._waiting.append(WebhookDelivery(topic, json_bytes(body(self._account, row))))
            self._changed.notify_all()

    def _run(self) -> None:
        with requests.Session() as session:
            while (event := self._wait_for_next()) is not None:
                self._deliver(session, event)

    def _wait_for_next(self) -> WebhookDelivery | None:
        """The next event to send, waiting until there is one; None at the end."""
        with self._changed:
            self._sending = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set())
            if self._closing.is_set():
                return None
            self._sending = True
            if self._account.switches.webhook_order == "shuffled":
                at = self._rng.randrange(min(SHUFFLED, len(self._waiting)))
                self._waiting[0], self._waiting[at] = self._waiting[at], self._waiting[0]
            return self._waiting.popleft()

    def _deliver(self, session: requests.Session, event: WebhookDelivery) -> None:
        switches = self._account.switches
        delivered = self._attempt(session, event)
        for attempt in range(switches.webhook_retries):
            if delivered or self._closing.wait(PAUSE_SECONDS * 2**attempt):
                break
            delivered = self._attempt(session, event)
        with self._changed:
            self._counts["delivered" if delivered else "failed"] += 1
            every = switches.webhook_duplicates
            again = delivered and every > 0 and self._counts["delivered"] % every == 0
        if again:
            self._attempt(session, event)

    def _attempt(self, session: requests.Session, event: WebhookDelivery) -> bool:
        """Send an event once. Returns whether it was accepted."""
        target = self._target
        if target is None:
            return False
        signature = hmac.digest(target.secret.encode(), event.body, hashlib.sha256)
        headers = {
            "Content-Type": "application/json",
            "Refersion-Topic": event.topic,
            "Refersion-Signature": b64encode(signature).decode(),
            "User-Agent": "Refersion-Webhooks/sandbox",
        }
        try:
            answer = session.post(target.url, data=event.body, headers=headers, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            said, taken = type(error).__name__, False
        else:
            said, taken = str(answer.status_code), answer.ok
        with self._changed:
            self._counts["requests"] += 1
            self._last_answer = said
        return taken
