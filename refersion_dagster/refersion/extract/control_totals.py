"""The periods to request control totals for: those with conversions and, of the past, those that changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, MutableMapping, Sequence
from datetime import timedelta

from refersion_dagster.refersion.api.rest import RestClient
from refersion_dagster.refersion.tables.catalog import CONVERSION_STATUSES, PAYMENT_STATUSES
from refersion_dagster.refersion.windows import Window, years


def list_by_status(periods: Iterable[Window]) -> list[tuple[Window, str, str]]:
    """The arguments for RestClient.conversion_totals: each period by status and payment status."""
    return [
        (period, status, payment_status)
        for period in periods
        for status in CONVERSION_STATUSES
        for payment_status in PAYMENT_STATUSES
    ]


def years_with_conversions(
    rest: RestClient, window: Window, asked_before: Collection[str], currencies: Sequence[str] = ()
) -> Iterator[Window]:
    """Years of the window in which the account has conversions. The first load begins long before most accounts.

    Args:
        asked_before: years that once had conversions. They are included even if all of their conversions were deleted.
        currencies: see RestClient.conversion_totals.
    """
    for part in years(window):
        is_short = part.end - part.start < timedelta(days=200)
        if is_short or str(part.start.year) in asked_before or rest.conversion_count(part, currencies):
            yield part


def find_changed_years(
    rest: RestClient,
    window: Window,
    known: MutableMapping[str, str],
    asked_before: Collection[str],
    currencies: Sequence[str] = (),
) -> list[Window]:
    """Years of the window whose totals changed since they were last requested.

    A few requests per year show whether any of its months changed. They are sent before the requests for the months,
    so that a change in between shows the next time.

    Args:
        known: the previous result of each year; contains the new one afterwards.
        asked_before, currencies: as in years_with_conversions.
    """
    told: dict[str, str] = {}
    changed: list[Window] = []
    for year in years_with_conversions(rest, window, asked_before, currencies):
        answers = json.dumps(
            list(rest.conversion_totals(list_by_status([year]), currencies)), sort_keys=True, default=str
        )
        told[str(year)] = hashlib.blake2b(answers.encode(), digest_size=8).hexdigest()
        if known.get(str(year)) != told[str(year)]:
            changed.append(year)
    known.clear()
    known.update(told)
    return changed
