"""A process that sends events as Refersion does, and records the responses."""

import http.client
import json
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from refersion_dagster.webhooks.signature import sign

# Maximum number of parallel requests of one process.
THREADS = 16
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Sent:
    """One event after it was sent.

    Args:
        number: the number of the event.
        acknowledged_at: Unix time of the 200, None if there was none.
        answer_seconds: from the first byte of the last attempt to its response.
    """

    number: int
    acknowledged_at: float | None
    answer_seconds: float


def body_of(number: int) -> bytes:
    """A conversion of the size that Refersion sends."""
    conversion = {
        "id": number,
        "created": "2026-06-30 18:48:42",
        "updated": "2026-06-30 18:48:42",
        "status": "APPROVED",
        "payment_status": "UNPAID",
        "order_id": f"R-{number:08}",
        "total": f"{number % 900}.50",
        "commission_total": f"{number % 90}.05",
        "currency": "USD",
        "total_items": "1",
        "is_test_conversion": False,
        "affiliate": {
            "id": 37567438,
            "code": "a3y7",
            "first_name": "Chloé",
            "last_name": "Lefèvre",
            "email": "affiliate@example.com",
        },
        "offer": {"id": 52301, "name": "Standard 10 %", "type": "PERCENT_OF_SALE", "amount": "10"},
        "customer": {"name": "Ada Abbott", "email": "customer@example.net", "browser_ip": "100.64.7.9"},
        "click": {
            "created": "2026-06-29 11:02:13",
            "referer": "https://blog.example.org/reviews/the-best-of-the-year",
            "landed_url": "https://shop.example.com/?rfsn=37567438.a3y7",
            "ip": "100.64.7.9",
            "sub_id": "newsletter",
            "creative_id": 8113,
        },
        "notes": "",
        "source": "SHOPIFY",
    }
    return json.dumps(conversion).encode()


def send_events(port: int, secret: str, numbers: Sequence[int], rate: int, begin: float, patience: float) -> list[Sent]:
    """Send event n at `begin` + n / `rate`, and repeat it until it is acknowledged or `patience` seconds are over."""
    due: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    for number in (*numbers, *[None] * THREADS):
        due.put(number)
    sent: list[Sent] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        while (number := due.get()) is not None:
            when = begin + number / rate
            time.sleep(max(0.0, when - time.time()))
            sent.append(send(connection, number, secret, when + patience))
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sent


def send(connection: http.client.HTTPConnection, number: int, secret: str, until: float) -> Sent:
    """Send one event until it is acknowledged."""
    body = body_of(number)
    headers = {"Refersion-Topic": "APPROVED_CONVERSION", "Refersion-Signature": sign(body, secret)}
    while True:
        begin = time.perf_counter()
        try:
            connection.request("POST", "/webhooks", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                return Sent(number, time.time(), time.perf_counter() - begin)
        except (OSError, http.client.HTTPException):
            connection.close()  # the next attempt reopens it
        if time.time() > until:
            return Sent(number, None, time.perf_counter() - begin)
        time.sleep(PAUSE_SECONDS)
