"""The state of one account, its indexes and its ground truth."""

import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from refersion_dagster.sandbox.clock import DAY, Clock, from_iso
from refersion_dagster.sandbox.event_log import AFFILIATE, CONVERSION, PAYMENT, EventLog
from refersion_dagster.sandbox.model import (
    ACTIVE,
    APPROVED,
    DENIED,
    PAID,
    PENDING,
    UNPAID,
    Affiliate,
    Click,
    Conversion,
    Creative,
    Offer,
    Payment,
    Shop,
    Trigger,
)
from refersion_dagster.sandbox.seed.generator import ActivityGenerator
from refersion_dagster.sandbox.settings import SandboxSettings, Switches
from refersion_dagster.sandbox.truth import Movements, Truth, movements, movements_by_affiliate

FOREVER = 2**62

# Webhook topics. APPROVED_CONVERSION and AFFILIATE_DETAILS_CHANGE have been observed; the other names are inferred.
NEW_CONVERSION = "NEW_CONVERSION"
APPROVED_CONVERSION = "APPROVED_CONVERSION"
DENIED_CONVERSION = "DENIED_CONVERSION"
NEW_PAYMENT = "NEW_PAYMENT"
NEW_AFFILIATE = "NEW_AFFILIATE"
AFFILIATE_STATUS_CHANGE = "AFFILIATE_STATUS_CHANGE"
AFFILIATE_DETAILS_CHANGE = "AFFILIATE_DETAILS_CHANGE"
NEW_CONVERSION_TRIGGER = "NEW_CONVERSION_TRIGGER"
BONUS_TIER_MOVEMENT = "BONUS_TIER_MOVEMENT"
TOPICS = (
    NEW_CONVERSION,
    APPROVED_CONVERSION,
    DENIED_CONVERSION,
    NEW_PAYMENT,
    NEW_AFFILIATE,
    AFFILIATE_STATUS_CHANGE,
    AFFILIATE_DETAILS_CHANGE,
    NEW_CONVERSION_TRIGGER,
    BONUS_TIER_MOVEMENT,
)
_DECISIONS = {APPROVED: APPROVED_CONVERSION, DENIED: DENIED_CONVERSION}

# Called for every change that has a webhook topic, with the topic and the current row (for payments: a list).
Listener = Callable[[str, Any], None]


class Account:
    """Everything the account holds. Callers must hold `lock` to read or change it.

    Rows are changed through the methods of this class, which keep the indexes, `updated` and `version` consistent.
    `version` increases with each change, so a query result can be cached until the next one.
    """

    def __init__(self, settings: SandboxSettings) -> None:
        self.lock = threading.RLock()
        self.settings = settings
        self.keys = settings.keys
        self.switches = Switches()
        self.world = ActivityGenerator(settings)
        self.clock = Clock(self.world.start - 100 * DAY)
        self.shop = Shop("Harbour Goods", "https://shop.example.com", "harbour-goods.example.com", settings.base)
        self.offers: dict[int, Offer] = {offer.id: offer for offer in self.world.offers()}
        self.creatives: list[Creative] = self.world.creatives()
        self.affiliates: dict[int, Affiliate] = {}
        self.conversions: dict[int, Conversion] = {}
        self.payments: dict[int, Payment] = {}
        self.clicks: list[Click] = []
        self.triggers: dict[int, Trigger] = {}
        self.sku_commissions: dict[tuple[int, str], tuple[str, Decimal]] = {}
        self.timeline: list[tuple[int, int]] = []
        self.by_order: dict[str, list[Conversion]] = defaultdict(list)
        self.by_affiliate: dict[int, list[Conversion]] = defaultdict(list)
        self.cancelled: dict[int, int] = {}
        # Cancelled SKUs by conversion, and when orders that are being reprocessed will be complete.
        self.cancelled_skus: dict[int, set[str]] = {}
        self.reprocessing: dict[str, int] = {}
        self.reversals: dict[int, list[int]] = defaultdict(list)
        self.due: dict[int, Conversion] = {}
        self.version = 0
        self.log = EventLog() if settings.event_log else None
        self.announce: Listener = _ignore
        self._affiliates_made = 0
        self._ids = self.world.rng("ids", settings.number_for("ids"))
        self._last_ids = {"conversion": 11_900_000, "payment": 131_000, "click": 52_000_000, "trigger": 1_096}

    @property
    def now(self) -> int:
        return self.clock.now

    def new_id(self, kind: str) -> int:
        """The next id. Ids have gaps, because Refersion numbers records across all its customers."""
        self._last_ids[kind] += 1 + int(self._ids.random() * 7)
        return self._last_ids[kind]

    def new_affiliate_index(self) -> int:
        """The index of the next affiliate, however it is created."""
        self._affiliates_made += 1
        return self._affiliates_made - 1

    def add_affiliate(self, affiliate: Affiliate) -> None:
        self.affiliates[affiliate.id] = affiliate
        self.version += 1
        if self.log is not None:
            self.log.note_affiliate(self.now, affiliate)
        self.announce(NEW_AFFILIATE, affiliate)

    def affiliate_by_code(self, code: str) -> Affiliate | None:
        return next((affiliate for affiliate in self.affiliates.values() if affiliate.code == code), None)

    def affiliate_by_email(self, email: str) -> Affiliate | None:
        wanted = email.casefold()
        return next((row for row in self.affiliates.values() if row.email.casefold() == wanted), None)

    def active_affiliates(self) -> list[Affiliate]:
        return [affiliate for affiliate in self.affiliates.values() if affiliate.status == ACTIVE]

    def set_affiliate_status(self, affiliate: Affiliate, status: str) -> None:
        affiliate.status = status
        self.version += 1
        if self.log is not None:
            self.log.note_affiliate(self.now, affiliate)
        self.announce(AFFILIATE_STATUS_CHANGE, affiliate)

    def record_affiliate_change(self, affiliate: Affiliate) -> None:
        """Record that an affiliate's details were changed without using the methods of this class."""
        self.version += 1
        self.announce(AFFILIATE_DETAILS_CHANGE, affiliate)

    def delete_affiliate(self, affiliate: Affiliate) -> None:
        """Delete an affiliate and its triggers. Its conversions and payments stay and still refer to it."""
        del self.affiliates[affiliate.id]
        self.triggers = {key: row for key, row in self.triggers.items() if row.affiliate_id != affiliate.id}
        self.version += 1
        if self.log is not None:
            self.log.note_deletion(self.now, AFFILIATE, affiliate.id)

    def link(self, affiliate: Affiliate) -> str:
        """The referral link, which ends with the affiliate's code."""
        return f"{self.shop.url}/c/{affiliate.code}"

    def add_trigger(self, affiliate: Affiliate, kind: str, text: str) -> Trigger:
        """Add a trigger. Its text is stored in upper case, as the API returns it."""
        trigger = Trigger(self.new_id("trigger"), affiliate.id, kind, text.upper())
        self.triggers[trigger.id] = trigger
        self.version += 1
        self.announce(NEW_CONVERSION_TRIGGER, trigger)
        return trigger

    def find_trigger(self, kind: str, text: str) -> Trigger | None:
        return next((row for row in self.triggers.values() if (row.type, row.trigger) == (kind, text.upper())), None)

    def coupons(self) -> dict[int, str]:
        """The coupon of each affiliate that has one (the most recent)."""
        return {row.affiliate_id: row.trigger for row in self.triggers.values() if row.type == "COUPON"}

    def add_conversion(self, row: Conversion) -> Conversion:
        """Add a row. A row that is already approved counts as approved at its `created` time."""
        if row.status == APPROVED and row.approved is None:
            row.approved = row.created
        self.put_conversion(row)
        self.announce(NEW_CONVERSION, row)
        return row

    def put_conversion(self, row: Conversion) -> None:
        """Add a row to the indexes and its state to the event log."""
        self.conversions[row.id] = row
        insort(self.timeline, (row.created, row.id))
        self.by_order[row.order_id].append(row)
        self.by_affiliate[row.affiliate_id].append(row)
        self._record_change(row)

    def delete_conversion(self, row: Conversion) -> None:
        self.remove_conversion(row)
        if self.log is not None:
            self.log.note_deletion(self.now, CONVERSION, row.id)

    def remove_conversion(self, row: Conversion) -> None:
        """Remove a row from the indexes before it is changed and put back."""
        del self.conversions[row.id]
        self.timeline.remove((row.created, row.id))
        self.by_order[row.order_id].remove(row)
        self.by_affiliate[row.affiliate_id].remove(row)
        self.due.pop(row.id, None)
        self.version += 1

    def forget_id(self, row: Conversion, earlier: int) -> None:
        """Log the deletion of a row's earlier id if the row was put back under a different one."""
        if row.id != earlier and self.log is not None:
            self.log.note_deletion(self.now, CONVERSION, earlier)

    def conversions_between(self, low: int, high: int, affiliate_id: int | None = None) -> list[Conversion]:
        """Rows with low <= created < high, oldest first; rows of the same second are ordered by id."""
        if affiliate_id is not None:
            own = self.by_affiliate.get(affiliate_id, [])
            return sorted((row for row in own if low <= row.created < high), key=lambda row: (row.created, row.id))
        first, last = bisect_left(self.timeline, (low,)), bisect_left(self.timeline, (high,))
        return [self.conversions[key] for _, key in self.timeline[first:last]]

    def set_status(self, row: Conversion, status: str) -> None:
        """Change a status unconditionally. The caller checks whether the change is allowed."""
        before, row.status = row.status, status
        row.updated = self.now
        if status == APPROVED:
            row.approved = self.now
        elif status == PENDING:
            self.auto_approve_later(row)
        self._record_change(row)
        self.announce_decision(row, before)

    def announce_decision(self, row: Conversion, before: str) -> None:
        """Announce an approval or denial if the row's status differs from `before`."""
        if row.status != before and row.status in _DECISIONS:
            self.announce(_DECISIONS[row.status], row)

    def auto_approve_later(self, row: Conversion) -> None:
        """Schedule the automatic approval of a PENDING row after 90 days (documented for Enterprise accounts)."""
        self.clock.schedule(row.created + self.settings.auto_approval_days * DAY, self._auto_approve, row.id)

    def _auto_approve(self, conversion_id: int) -> None:
        row = self.conversions.get(conversion_id)
        if row is not None and row.status == PENDING:
            self.set_status(row, APPROVED)

    def pay(self, rows: Iterable[Conversion], payment: Payment) -> None:
        for row in rows:
            row.payment_status, row.payment_id, row.updated = PAID, payment.id, self.now
            self._record_change(row)
        self.payments[payment.id] = payment
        self.version += 1
        if self.log is not None:
            self.log.note_payment(self.now, payment)

    def delete_payment(self, payment: Payment) -> None:
        """Delete a payment. Its conversions do not change."""
        del self.payments[payment.id]
        self.version += 1
        if self.log is not None:
            self.log.note_deletion(self.now, PAYMENT, payment.id)

    def undo_payment(self, payment: Payment) -> list[Conversion]:
        """Delete a payment and mark its conversions as unpaid. Returns those conversions."""
        rows = [row for row in self.conversions.values() if row.payment_id == payment.id]
        for row in rows:
            row.payment_status, row.payment_id, row.updated = UNPAID, None, self.now
            self._record_change(row)
        self.delete_payment(payment)
        return rows

    def record_change(self) -> None:
        """Record a change made without using the methods of this class."""
        self.version += 1

    def truth(self, at: int | str | datetime) -> Truth:
        """The account's state at a point in time (Unix seconds or ISO 8601).

        Raises ValueError if the sandbox keeps no event log.
        """
        with self.lock:
            return Truth(self.get_log(), _seconds(at))

    def movements(self, after: int | str | datetime, until: int | str | datetime) -> dict[str, Movements]:
        """What changed the commission due after one point in time and up to another, by currency."""
        with self.lock:
            return movements(self.get_log(), _seconds(after), _seconds(until))

    def movements_by_affiliate(
        self, after: int | str | datetime, until: int | str | datetime
    ) -> dict[tuple[int, str], Movements]:
        with self.lock:
            return movements_by_affiliate(self.get_log(), _seconds(after), _seconds(until))

    def get_log(self) -> EventLog:
        if self.log is None:
            raise ValueError("this sandbox keeps no event log; start it with SandboxSettings(event_log=True)")
        return self.log

    def _record_change(self, row: Conversion) -> None:
        """Update the indexes and the event log after a row has changed."""
        self._index_due(row)
        self.version += 1
        if self.log is not None:
            self.log.note_conversion(self.now, row)

    def _index_due(self, row: Conversion) -> None:
        if row.status == APPROVED and row.payment_status == UNPAID and not row.is_test_conversion:
            self.due[row.id] = row
        else:
            self.due.pop(row.id, None)

    def sums(self) -> dict[str, Any]:
        """Row count, total and commission by status, payment status and currency; test conversions separately."""
        with self.lock:
            groups: dict[tuple[bool, str, str, str], tuple[int, Decimal, Decimal]] = {}
            for row in self.conversions.values():
                key = (row.is_test_conversion, row.status, row.payment_status, row.currency)
                count, total, commission = groups.get(key, (0, Decimal("0.00"), Decimal("0.00")))
                groups[key] = (count + 1, total + row.total, commission + row.commission_total)
            rows = [
                {
                    "is_test_conversion": test,
                    "status": status,
                    "payment_status": payment_status,
                    "currency": currency,
                    "count": count,
                    "total": str(total),
                    "commission_total": str(commission),
                }
                for (test, status, payment_status, currency), (count, total, commission) in sorted(groups.items())
            ]
            return {
                "conversions": [row for row in rows if not row["is_test_conversion"]],
                "test_conversions": [row for row in rows if row["is_test_conversion"]],
                "number_of_conversions": len(self.conversions),
                "affiliates": len(self.affiliates),
                "payments": len(self.payments),
                "offers": len(self.offers),
                "clicks": len(self.clicks),
                "creatives": len(self.creatives),
            }


def _seconds(moment: int | str | datetime) -> int:
    if isinstance(moment, datetime):
        return int(moment.timestamp())
    return from_iso(moment) if isinstance(moment, str) else moment


def _ignore(_topic: str, _row: Any) -> None:
    """The default listener, which does nothing."""
