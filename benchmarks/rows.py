"""Conversions for the benchmark, serialised once: deterministic, newest first, evenly spread over two years."""

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from decimal import Decimal

SPAN_SECONDS = 730 * 86_400
SPAN_END = 1_767_225_600
"""2026-01-01T00:00:00Z in Unix seconds, exclusive: the newest row is one second older."""
SPAN_START = SPAN_END - SPAN_SECONDS
"""2024-01-02T00:00:00Z in Unix seconds, inclusive."""

_FIRST_ID = 40_000_000
_AFFILIATES = 500
_CURRENCIES = ("USD", "USD", "USD", "USD", "USD", "USD", "EUR", "GBP")
_STATUSES = ("APPROVED",) * 12 + ("PENDING",) * 2 + ("DENIED", "UNQUALIFIED")
_TYPES = (
    "AFFILIATE_SITE_CONVERSION",
    "AFFILIATE_SITE_CONVERSION",
    "CONVERSION_TRIGGER_COUPON",
    "CONVERSION_TRIGGER_SKU",
    "AUTO_CREDIT_AFFILIATE_ID",
)
_SOURCES = ("SHOPIFY", "SHOPIFY", "SHOPIFY", "API")


@dataclass(frozen=True)
class Rows:
    """All conversions as one buffer of JSON objects separated by commas, so that a page is one slice of it."""

    buffer: memoryview
    starts: "array[int]"
    """Byte position of each row, and one more for the end."""
    ages: "array[int]"
    """Negated `created`, so that newest first ascends."""
    commission_total: Decimal
    """Exact sum over all rows, in major units, currencies added up as they are: a checksum, not a figure."""

    def __len__(self) -> int:
        return len(self.ages)

    def window(self, created_from: int | None, created_to: int | None) -> range:
        """Positions of the rows between two Unix seconds, both inclusive. None leaves that side open."""
        start = 0 if created_to is None else bisect_left(self.ages, -created_to)
        stop = len(self.ages) if created_from is None else bisect_right(self.ages, -created_from)
        return range(start, max(start, stop))

    def page(self, positions: range) -> memoryview:
        """The JSON objects at `positions`, with commas between them and without brackets."""
        if not positions:
            return self.buffer[:0]
        return self.buffer[self.starts[positions.start] : self.starts[positions.stop] - 1]


def generate(count: int) -> Rows:
    """`count` conversions, about 900 bytes each."""
    buffer = bytearray()
    starts, ages = array("q"), array("q")
    cents = 0
    for position in range(count):
        created = SPAN_END - 1 - position * SPAN_SECONDS // count
        starts.append(len(buffer))
        ages.append(-created)
        row, commission_cents = _conversion(_FIRST_ID + count - position, created)
        buffer += row.encode("ascii")
        cents += commission_cents
    starts.append(len(buffer))
    return Rows(memoryview(buffer), starts, ages, Decimal(cents).scaleb(-2))


def _money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def _conversion(number: int, created: int) -> tuple[str, int]:
    """One conversion as a JSON object and a comma, and its commission in cents."""
    noise = number * 2_654_435_761 & 0xFFFF_FFFF
    affiliate = (noise >> 7) % _AFFILIATES
    offer = affiliate % 5
    cents = 500 + noise % 24_500
    kind = _TYPES[noise % 5]
    if noise % 97 == 0:
        kind, cents = f"CANCELLATION_{kind}", -cents
    rate = 5 + 5 * offer
    commission = cents * rate // 100
    status = _STATUSES[(noise >> 4) % 16]
    denied = '"Returned by the customer"' if status == "DENIED" else "null"
    if status == "APPROVED" and created < SPAN_END - 45 * 86_400:
        payment = 7_000 + (SPAN_END - created) // 2_592_000 * _AFFILIATES + affiliate
        paid_at = created - created % 2_592_000 + 3_888_000
        payment_fields = (
            f'"payment_status":"PAID","payment_id":{payment},"payment":{{"id":{payment},"created":"{paid_at}"}}'
        )
    else:
        payment_fields = '"payment_status":"UNPAID","payment_id":null,"payment":null'
    coupon = f'"SAVE{affiliate}"' if kind.endswith("COUPON") else "null"
    recurring = noise % 9 == 0
    subscription = f'"sub_{number % 30_000}"' if recurring else "null"
    affiliate_id = 37_000_000 + affiliate
    address = f"{11 + noise % 200}.{noise >> 8 & 255}.{noise >> 16 & 255}.{noise >> 24}"
    return (
        f'{{"id":{number},"status":"{status}","type":"{kind}","total":"{_money(cents)}",'
        f'"commission_total":"{_money(commission)}","currency":"{_CURRENCIES[noise >> 3 & 7]}",'
        f'"created":"{created}","updated":"{created + 3_600 + noise % 86_400}","order_id":"{number * 7}",'
        f'"affiliate_id":{affiliate_id},"affiliate":{{"id":{affiliate_id},"name":"Affiliate {affiliate}",'
        f'"email":"affiliate{affiliate}@example.com"}},"subscription_id":{subscription},"coupon_code":{coupon},'
        f'"is_test_conversion":false,"is_recurring":{"true" if recurring else "false"},"total_items":{1 + noise % 4},'
        f'"denied_reason_code":{denied},"reason":null,"notes":null,"source":"{_SOURCES[noise >> 5 & 3]}",'
        f'{payment_fields},"shop":{{"name":"benchmark-shop"}},"offer":{{"id":{1_200 + offer},'
        f'"name":"Tier {offer}","type":"PERCENT_OF_SALE","amount":"{rate}"}},'
        f'"customer":{{"name":"Customer {noise % 80_000}","email":"customer{noise % 80_000}@example.org",'
        f'"browser_ip":"{address}"}},"click":{{"created":"{created - 60 - noise % 600_000}",'
        f'"referer":"https://blog.example.com/post/{noise % 3_000}",'
        f'"landed_url":"https://shop.example.com/products/{noise % 900}?rfsn={affiliate_id}.{affiliate:x}",'
        f'"ip":"{address}","sub_id":"s{noise % 50}","creative_id":{noise % 40}}}}},',
        commission,
    )
