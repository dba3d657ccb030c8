"""Which month's statements are generated, for whom, and from which reading."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from refersion_dagster.report.merchant import NOT_NAMED, Merchant
from refersion_dagster.report.page import month
from refersion_dagster.report.statements.errors import MonthNotThere
from refersion_dagster.report.statements.figures import LastReading

MONTH = re.compile(r"([1-9]\d{3})-(0[1-9]|1[0-2])")
REFRESH = "Run refersion_refresh"


@dataclass(frozen=True)
class StatementRequest:
    """A request for statements.

    Args:
        month: its first day.
        reading: reading that they are based on.
        affiliate: id of the only affiliate; None for all.
        merchant: sender of the statements.
    """

    month: date
    reading: LastReading
    affiliate: str | None = None
    merchant: Merchant = NOT_NAMED

    @property
    def is_complete(self) -> bool:
        """Whether the month had ended when Refersion was last read."""
        return self.month < self.reading.month

    @property
    def name(self) -> str:
        """The month as a folder name, such as 2026-10."""
        return f"{self.month:%Y-%m}"

    @property
    def title(self) -> str:
        """The month in words, such as October 2026."""
        return month(self.month)

    @property
    def until(self) -> date:
        """Last day of the month, or the day of the reading if the month had not ended."""
        return min((self.month + timedelta(days=31)).replace(day=1) - timedelta(days=1), self.reading.today)

    @property
    def read_at(self) -> datetime:
        """When Refersion was last read, in the reporting time zone."""
        return self.reading.as_of.astimezone(ZoneInfo(self.reading.timezone))


def choose_month(text: str | None, reading: LastReading, first: date | None, unfinished: bool) -> date:
    """Returns the first day of the chosen month; by default the last month that had ended at the reading.

    Args:
        text: YYYY-MM, or None.
        first: first month with figures; None if there are none.
        unfinished: whether a month that has not ended is allowed.

    Raises MonthNotThere.
    """
    if text is None:
        chosen = (reading.month - timedelta(days=1)).replace(day=1)
    elif found := MONTH.fullmatch(text.strip()):
        chosen = date(int(found[1]), int(found[2]), 1)
    else:
        raise MonthNotThere(
            f"Run configuration: month is {text!r}; it has to be YYYY-MM, such as {reading.month:%Y-%m}."
        )
    read = f"Refersion was last read on {reading.today:%Y-%m-%d} ({reading.timezone})"
    if chosen > reading.month:
        raise MonthNotThere(f"{read}, before {chosen:%Y-%m} began. {REFRESH} after that, or choose another month.")
    if chosen == reading.month and not unfinished:
        raise MonthNotThere(
            f"{read}, before {chosen:%Y-%m} had ended, so its statements would still change. {REFRESH} when it "
            "has ended, or set `unfinished` for preliminary statements, which say so."
        )
    if first and chosen < first:
        raise MonthNotThere(f"There is no data for {chosen:%Y-%m}: the first conversion is from {first:%Y-%m}.")
    return chosen
