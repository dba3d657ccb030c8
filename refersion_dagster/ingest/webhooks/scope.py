"""What to read again after events: the affected tables and spans of `created`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.windows import Window
from refersion_dagster.resources import Warehouse
from refersion_dagster.webhooks.events import Subject, WebhookEvent

# Times in events have no time zone, so the day may be off by one.
SLACK = timedelta(days=1)
# Reading some days unnecessarily costs less than a separate load.
GAP = timedelta(days=3)
MOST_SPANS = 4
DAY = timedelta(days=1)

# A payment does not name its conversions. It may have paid any row of its affiliate and currency that was due before
# it, or of any affiliate if it does not name one.
DUE = f"""
SELECT DISTINCT CAST(created AS DATE) FROM {DATASET}.conversions
WHERE status = 'APPROVED' AND payment_status IS DISTINCT FROM 'PAID' AND vanished_at IS NULL AND created <= $paid
  AND ($affiliate IS NULL OR coalesce(affiliate_id, affiliate__id) = $affiliate)
  AND ($currency IS NULL OR currency = $currency)
"""  # noqa: S608 - names of ours


@dataclass(frozen=True)
class Reload:
    """Tables to read again. Those with windows are read for one span of `created`."""

    tables: tuple[str, ...]
    span: Window | None = None

    def __str__(self) -> str:
        return f"{', '.join(self.tables)} {self.span or 'whole'}"


@dataclass
class AffectedScope:
    """What events affect, collected while they are drained.

    Args:
        conversions, payments: days of their `created`, UTC.
        affiliates: numeric ids and codes of affiliates that changed.
    """

    conversions: set[date] = field(default_factory=set)
    payments: set[date] = field(default_factory=set)
    affiliates: set[str] = field(default_factory=set)

    def add(self, events: Iterable[WebhookEvent], warehouse: Warehouse) -> None:
        """Adds events. For payments, also adds the conversions in the warehouse that they may have paid."""
        paid: set[tuple[str | None, str | None, datetime]] = set()
        for event in events:
            self.affiliates.update(event.affiliate_ids())
            if event.subject is Subject.CONVERSION and event.created:
                self.conversions.add(event.created.date())
            for payment in event.payments():
                if payment.created:
                    self.payments.add(payment.created.date())
                    paid.add((payment.affiliate_id, payment.currency, payment.created + SLACK))
        for affiliate, currency, moment in paid:
            due = warehouse.query(DUE, affiliate=affiliate, currency=currency, paid=moment)
            self.conversions.update(day for (day,) in due)

    def readings(self) -> list[Reload]:
        """What to read again, in order.

        Control totals are not included, because they cover whole months up to now. A refresh reads them together with
        all conversions; until then, months with newer conversions are not compared.
        """
        affiliates = [Reload(("affiliate_list", "affiliate_get", "affiliates"))] if self.affiliates else []
        return [
            *affiliates,
            *(Reload(("payments",), span) for span in spans(self.payments)),
            *(Reload(("conversions",), span) for span in spans(self.conversions)),
        ]


def spans(days: Iterable[date]) -> list[Window]:
    """Spans that contain the days with some slack. Days close to each other share one."""
    found: list[Window] = []
    for day in sorted(days):
        begin = datetime.combine(day, time(), UTC)
        start, end = begin - SLACK, begin + DAY + SLACK
        if found and start - found[-1].end <= GAP:
            found[-1] = Window(found[-1].start, end)
        else:
            found.append(Window(start, end))
    while len(found) > MOST_SPANS:
        at = min(range(len(found) - 1), key=lambda at: found[at + 1].start - found[at].end)
        found[at : at + 2] = [Window(found[at].start, found[at + 1].end)]
    return found
