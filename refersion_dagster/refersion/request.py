"""What one run should read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from refersion_dagster.refersion.extract.incremental import SpanRequest
from refersion_dagster.refersion.windows import Window, parse_moment


@dataclass(frozen=True)
class LoadRequest:
    """What to read beyond the settings. By default, a run continues where the last one ended.

    Args:
        lookback_days: days before the last run to read again, instead of the configured number.
        read_from, read_to: an explicit half-open span of `created`, which leaves the high-water mark unchanged.
        windows: exactly these, instead of read_from and read_to.
        earlier_windows: windows of conversions before the look-back to read as well, in order.
        full_reload: read everything from the start date again.
        all_details: read the details of every affiliate, not only of new and changed ones.
        details_of: ids (as in the list) of affiliates whose details are always read, because the list does not show
        every change.
        all_payments: read every payment from the start date again: there are few, and any of them may be undone at any
        time.
        older_totals: also read control totals of months before the look-back, for years whose totals changed.
        totals_currencies: read control totals in each of these, on accounts where /conversion/totals accepts a field
        `currency`, which is not documented.

    Raises ValueError for contradictory arguments.
    """

    lookback_days: int | None = None
    read_from: datetime | None = None
    read_to: datetime | None = None
    windows: tuple[Window, ...] = ()
    earlier_windows: tuple[Window, ...] = ()
    full_reload: bool = False
    all_details: bool = False
    details_of: frozenset[str] = frozenset()
    all_payments: bool = False
    older_totals: bool = False
    totals_currencies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.read_from and self.read_to and self.read_from >= self.read_to:
            raise ValueError(
                f"read_from ({_format_moment(self.read_from)}) has to be before "
                f"read_to ({_format_moment(self.read_to)})"
            )
        if self.full_reload and (self.read_from or self.read_to):
            raise ValueError("full_reload reads everything, read_from and read_to read one range; use only one of them")

    @classmethod
    def from_texts(
        cls,
        read_from: str | None,
        read_to: str | None,
        *,
        lookback_days: int | None = None,
        full_reload: bool = False,
        all_details: bool = False,
    ) -> LoadRequest:
        """The request of a user, with times as text. Raises ValueError, also for text that is not a time."""
        return cls(
            lookback_days=lookback_days,
            read_from=parse_moment(read_from) if read_from else None,
            read_to=parse_moment(read_to) if read_to else None,
            full_reload=full_reload,
            all_details=all_details,
        )

    @property
    def looks_back(self) -> bool:
        """Whether the run uses a look-back, its own or the configured one, rather than an explicit range."""
        return self.read_from is None and self.read_to is None and not self.full_reload

    def lookback(self, days: int) -> timedelta:
        """The look-back, given the configured number of days."""
        return timedelta(days=days if self.lookback_days is None else self.lookback_days)

    def span(self, start: datetime, lookback_days: int) -> SpanRequest:
        """What to read of tables with windows, given the settings."""
        span = SpanRequest(
            start=start,
            lookback=self.lookback(lookback_days),
            read_from=self.read_from,
            read_to=self.read_to,
            full=self.full_reload,
            also=self.earlier_windows,
        )
        return span.with_windows(self.windows) if self.windows else span

    def with_windows(self, windows: Iterable[Window]) -> LoadRequest:
        """The same request for exactly these windows."""
        return replace(self, windows=tuple(windows), all_payments=False)


def _format_moment(moment: datetime) -> str:
    is_date = moment == moment.replace(hour=0, minute=0, second=0)
    return f"{moment:%Y-%m-%d}" if is_date else f"{moment:%Y-%m-%dT%H:%M:%SZ}"
