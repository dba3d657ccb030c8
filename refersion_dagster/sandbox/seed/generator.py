"""The seeded data: offers, creatives, affiliates, and what customers do each day.

Everything is a function of the settings and the day. Each purpose has its own random generator, so a day is the same no
matter how and when the clock reaches it.
"""

import random
from bisect import bisect_right
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import accumulate

from refersion_dagster.sandbox.clock import DAY
from refersion_dagster.sandbox.model import (
    ACTIVE,
    AUTO_CREDIT,
    COUPON,
    DENIED,
    EMAIL,
    FLAT_RATE,
    LINK,
    PENDING,
    PERCENT_OF_SALE,
    SKU,
    Affiliate,
    Creative,
    CustomField,
    Offer,
)
from refersion_dagster.sandbox.seed import fixtures
from refersion_dagster.sandbox.seed.plans import AffiliatePlan, OrderPlan
from refersion_dagster.sandbox.settings import SandboxSettings

# Special properties of orders, dealt from a shuffled deck of 200, so that even a small account contains each case.
CASES: dict[str, int] = {
    "test": 2,
    "self_referral_caught": 1,
    "self_referral_passed": 2,
    "duplicate": 5,
    "double_credit": 1,
    "outside_cookie": 3,
    "subscription": 8,
    "no_commission": 2,
    "free": 1,
    "cancelled_pending": 5,
    "cancelled_approved": 4,
    "cancelled_paid": 4,
    "denied": 10,
    "late": 16,
    "late_denied": 3,
    "quick_click": 2,
    "ip_burst": 1,
    "flipped_by_support": 1,
}
DECK = 200


class ActivityGenerator:
    """The generator. It holds no account state."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.end = int(settings.now.timestamp())
        self.start = (self.end // DAY - settings.days) * DAY
        self._weights = list(accumulate(self._day_weight(day) for day in range(settings.days)))
        self._shift_of_ids, self._shift_of_codes = map(settings.number_for, ("affiliates", "codes"))
        self._decks: tuple[int, list[str]] = (-1, [])

    def rng(self, *purpose: object) -> random.Random:
        """A random generator for one purpose, identical in every process."""
        return random.Random(":".join(map(str, (self.settings.seed, *purpose))))

    def offers(self) -> list[Offer]:
        base = self.settings.base
        rows = (
            ("Standard 10 %", PERCENT_OF_SALE, "10", 30, 6),
            ("VIP 15 %", PERCENT_OF_SALE, "15", 60, 12),
            ("Flat five", FLAT_RATE, "5", 30, 1),
            ('Launch 12.5 %, "new" affiliates', PERCENT_OF_SALE, "12.5", 14, 3),
        )
        return [
            Offer(52_301 + 17 * index, name, kind, Decimal(commission), base, cookie, renewals, f"{name}, net 45 days")
            for index, (name, kind, commission, cookie, renewals) in enumerate(rows)
        ]

    def creatives(self) -> list[Creative]:
        kinds = ("BANNER", "TEXT_LINK", "IMAGE", "VIDEO")
        return [
            Creative(8_110 + index, f"Creative {index + 1}", kinds[index % 4], f"https://shop.example.com/c/{index}")
            for index in range(6)
        ]

    def affiliates(self) -> list[AffiliatePlan]:
        """The affiliates of the account's history. Half of them joined before its first day."""
        count, rng = self.settings.affiliates, self.rng("joined")
        early = (count + 1) // 2
        days = [0] * early + sorted(rng.randrange(self.settings.days) for _ in range(count - early))
        plans = []
        for index, day in enumerate(days):
            joined = self.start - 90 * DAY + index if index < early else self.start + day * DAY + rng.randrange(DAY)
            plans.append(self.affiliate(index, joined))
        return plans

    def affiliate(self, index: int, joined: int) -> AffiliatePlan:
        """The `index`-th affiliate. Odd ones have names that break careless software."""
        rng = self.rng("affiliate", index)
        pool = fixtures.NASTY_NAMES if index % 2 else fixtures.PLAIN_NAMES
        first, last = pool[index // 2 % len(pool)]
        number = 37_560_000 + 613 * index + (rng.randrange(600) + self._shift_of_ids) % 600
        mail = f"affiliate{index + 1}@{rng.choice(fixtures.MAIL_HOSTS)}"
        fields = [
            CustomField(901, "What is your web site?", f'https://affiliate{index + 1}.example.com/?a=1&b="2"'),
            CustomField(902, "Audience, in thousands", str(rng.randrange(1, 900))),
        ]
        before = joined < self.start
        decision = {5: PENDING, 9: DENIED}.get(index % 12, ACTIVE)
        ends = index % 12 == 11
        affiliate = Affiliate(
            id=number,
            code=self.code(index),
            joined=joined,
            status=PENDING,
            offer_id=self.offers()[(0, 0, 1, 0, 2, 3)[index % 6]].id,
            first_name=first,
            last_name=last,
            email=mail,
            paypal_email="" if index % 7 == 3 else f"pay.{mail}" if index % 5 == 0 else mail,
            company=("", "Acme, Inc.", "", "Öko & Söhne GmbH", "株式会社ハーバー")[index % 5],
            city="Port Haven",
            zip=f"{rng.randrange(100_000):05d}",
            country=fixtures.COUNTRIES[index % len(fixtures.COUNTRIES)],
            custom_fields=[] if index % 4 == 2 else fields[: 1 + index % 2],
            popularity=max(1, 1_000 // (index % 40 + 1)),
            currency=self.settings.currencies[rng.randrange(len(self.settings.currencies))],
        )
        return AffiliatePlan(
            affiliate=affiliate,
            coupon="" if index % 10 in (4, 7) else f"SAVE{number % 100_000}",
            decided=joined + 1 if before else joined + rng.randrange(DAY // 4, 4 * DAY),
            decision=decision,
            disabled=max(joined, self.start) + rng.randrange(30, 300) * DAY if ends else None,
        )

    def draw_application_times(self, day: int) -> list[int]:
        """Application times of new affiliates on a day after the history, at the rate of the history's second half."""
        if day < self.settings.days:
            return []
        rate, rng = self.settings.affiliates, self.rng("joins", day)
        span = 2 * self.settings.days
        count = rate * (day + 1) // span - rate * day // span
        return [self.start + day * DAY + rng.randrange(DAY) for _ in range(count)]

    def orders_on(self, day: int, affiliates: Sequence[Affiliate]) -> list[OrderPlan]:
        """The orders of one day among `affiliates`, the ones active in its first second."""
        if not affiliates:
            return []
        rng, begin = self.rng("orders", day), self.start + day * DAY
        shares = list(accumulate(affiliate.popularity for affiliate in affiliates))
        first = self._orders_before(day)
        plans = [
            self._order(rng, begin, number, self._case(number), affiliates, shares)
            for number in range(first, self._orders_before(day + 1))
        ]
        return plans + self._burst(rng, day, begin, max(8, len(plans) * 3), affiliates)

    def _order(
        self,
        rng: random.Random,
        begin: int,
        number: int,
        case: str,
        affiliates: Sequence[Affiliate],
        shares: list[int],
    ) -> OrderPlan:
        draw = rng.random
        affiliate = affiliates[bisect_right(shares, int(draw() * shares[-1]))]
        second = affiliates[bisect_right(shares, int(draw() * shares[-1]))]
        kind = draw()
        items = 1 + int(draw() * draw() * 5)
        products = fixtures.PRODUCTS
        cents = sum(products[int(draw() * len(products))][1] for _ in range(items))
        customer = int(draw() * max(1, self.settings.orders * 4 // 5))
        decide = int((7 + draw() * 25) * DAY)
        cancel = 0
        if case == "late":
            decide = 0
        elif case == "late_denied":
            decide = int((60 + draw() * 28) * DAY)
        elif case == "cancelled_pending":
            decide, cancel = int((12 + draw() * 20) * DAY), int((1 + draw() * 8) * DAY)
        elif case == "cancelled_approved":
            decide, cancel = int((7 + draw() * 5) * DAY), int((12.5 + draw()) * DAY)
        elif case == "cancelled_paid":
            cancel = int((80 + draw() * 30) * DAY)
        return OrderPlan(
            when=begin + int(draw() * DAY),
            case=case,
            affiliate_id=affiliate.id,
            second_affiliate_id=second.id,
            kind=LINK
            if kind < 0.7
            else COUPON
            if kind < 0.92
            else SKU
            if kind < 0.95
            else EMAIL
            if kind < 0.98
            else AUTO_CREDIT,
            number=number,
            cents=cents,
            shipping=495 if draw() < 0.2 else 0,
            items=items,
            customer=customer,
            ip=customer,
            click_before=20 + int(draw() * 30) if case == "quick_click" else 90 + int(draw() * draw() * 12 * DAY),
            decide_after=decide,
            cancel_after=cancel,
            home_currency=draw() < 0.7,
        )

    def _burst(
        self, rng: random.Random, day: int, begin: int, count: int, affiliates: Sequence[Affiliate]
    ) -> list[OrderPlan]:
        """A leaked coupon: for three days per third of the history, one affiliate's code is on every coupon site."""
        period = max(10, self.settings.days // 3)
        if not self.settings.orders or day % period not in range(period * 2 // 3, period * 2 // 3 + 3):
            return []
        leaking = affiliates[min(2, len(affiliates) - 1)]
        plans = []
        for item in range(count):
            plan = self._order(rng, begin, 0, "leaked_coupon", [leaking], [1])
            plan.kind, plan.number = COUPON, 10_000_000 + day * 1_000 + item
            plans.append(plan)
        return plans

    def _case(self, number: int) -> str:
        block, position = divmod(number, DECK)
        if self._decks[0] != block:
            deck = [case for case, count in CASES.items() for _ in range(count)]
            deck += ["normal"] * (DECK - len(deck))
            self.rng("deck", block).shuffle(deck)
            self._decks = (block, deck)
        return self._decks[1][position]

    def _orders_before(self, day: int) -> int:
        """Number of orders placed before `day`: exactly `orders` at the end of the history, then at the same rate."""
        weights = self._weights
        while len(weights) < day:
            weights.append(weights[-1] + self._day_weight(len(weights)))
        return self.settings.orders * (weights[day - 1] if day else 0) // weights[self.settings.days - 1]

    def _day_weight(self, day: int) -> int:
        """Seasonality: growth, a weekly rhythm, a busy November and December, and a peak on Black Friday."""
        number = self.start // DAY + day
        weight = 100 + 60 * day // self.settings.days
        weight = weight * (90, 85, 90, 100, 120, 130, 105)[(number + 3) % 7] // 100
        today = date.fromordinal(date(1970, 1, 1).toordinal() + number)
        if (today.month, today.day) >= (11, 10) and (today.month, today.day) <= (12, 18):
            weight *= 4 if today.month == 11 and 24 <= today.day <= 30 else 2
        return weight

    def code(self, index: int) -> str:
        """An affiliate code such as a3y7 or 694c. A few look like numbers: 0042, 12e5."""
        odd = {3: "0042", 6: "12e5", 10: "7310"}.get(index)
        if odd:
            return odd
        letters = "0123456789abcdefghijkmnpqrstuvwxyz"
        mixed = (index + 1) * 7_919 + 40_000 + self._shift_of_codes % 7_919
        code = ""
        while mixed:
            mixed, digit = divmod(mixed, len(letters))
            code = letters[digit] + code
        return code + letters[10 + index % 23]
