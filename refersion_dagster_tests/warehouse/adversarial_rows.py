"""Conversions with values that databases treat differently. All databases must still produce the same figures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

# Quotes, special characters of CSV, COPY and LIKE, line ends, empty text, NUL, and case and sort order of other
# scripts.
TEXTS = (
    *("", " ", "plain", "'", '"', "\\", "\\N", "NULL", "a,b;c\td", "two\nlines", "two\r\nlines\r", "%_100%"),
    *("$1 ${x} %s", "{}", "[]", '{"a": "b"}'),
    *("nul\x00byte", "\u202eabc", "x" * 1_000_000, "10", "9", "-1", "1e5", "a", "B", "b", "A", "ä"),
    *("Émile", "émile", "ÉMILE", "İstanbul", "STRASSE", "straße", "Ωμέγα", "株式会社", "👩\u200d🚀", "e\u0301"),
)
AMOUNTS = ("0", "0.0001", "0.005", "19.9950", "0.3333", "2874.85", "1000", "99999999.9999", "33.3350", "12.5")
SHARES = ("0", "0.1", "0.0333", "-0.05", "0.125", "1")
MOMENTS = tuple(
    int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    for text in (
        *("2025-03-09 06:59:59", "2025-03-09 07:00:00", "2025-03-30 00:59:59", "2025-03-30 01:00:00"),
        *("2025-04-30 23:59:59", "2025-05-01 00:00:00", "2025-05-01 03:59:59", "2025-05-01 04:00:00"),
        *("2025-02-28 12:00:00", "2025-06-15 18:30:00", "2025-06-30 23:59:59"),
    )
)
TYPES = (
    *("AFFILIATE_SITE_CONVERSION", "CONVERSION_TRIGGER_COUPON", "MANUAL_CREDIT_BY_CLIENT", "AUTO_CREDIT_AFFILIATE_ID"),
    *("CANCELLATION_AFFILIATE_SITE_CONVERSION", "", "something new"),
)


def adversarial_conversions(count: int, seed: int = 4) -> Iterator[dict[str, Any]]:
    """Values for SandboxServer.insert_conversion. Each text occurs at least once if `count` is large enough."""
    choose = Random(seed)
    for number in range(count):
        text = TEXTS[number % len(TEXTS)]
        total = choose.choice(AMOUNTS)
        sign = choose.choice(("", "", "", "-"))
        commission = f"{float(total) * float(choose.choice(SHARES)):.4f}"
        short = text[:50]
        yield {
            "total": f"{sign}{total}",
            "commission_total": f"{sign}{commission}".replace("--", ""),
            "currency": choose.choice(("USD", "USD", "EUR", "JPY")),
            "status": choose.choice(("PENDING", "APPROVED", "APPROVED", "DENIED", "UNQUALIFIED")),
            "type": choose.choice(TYPES),
            "order_id": choose.choice((short, "order-1", "Order-1", f"order-{number // 3}")),
            "created": choose.choice(MOMENTS),
            "updated": choose.choice(MOMENTS),
            "coupon_code": choose.choice((short, short.upper(), short.lower(), "SAVE10", "save10")),
            "notes": text,
            "reason": short,
            "is_recurring": choose.random() < 0.2,
            "customer": {"name": short, "email": f"{short}@example.com", "browser_ip": "198.51.100.7"},
        }
