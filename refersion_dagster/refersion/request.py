"""What one run is asked to read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from refersion_dagster.refersion.extract.incremental import SpanRequest
from refersion_dagster.refersion.windows import Window, parse_moment


@dataclass(frozen=True)
class LoadRequest:
    """What to read beyond what the settings say. Left alone, a run continues where the last one ended.

    Args:
        lookback_days: days before the last run to read again, instead of those of the settings.
        read_from, read_to: an explicit span of `created`, half-open, which leaves the high-water mark alone.
        windows: exactly these, instead of read_from and read_to.
        earlier_windows: of conversions, windows from before the look-back to read with it, in order.
        full_reload: read everything from the start date again.
        all_details: read the details of every affiliate, not only of new and changed ones.
        details_of: affiliates whose details are read in any case, by id as the list has it: not every detail shows in
            the list.
        all_payments: read every payment from the start date again: few rows, of which one may be undone at any time.
        older_totals: read control totals of months before the look-back too, where those of their year changed.
        totals_currencies: read control totals of each of these, on accounts where /conversion/totals accepts a field
            `currency`, which is not documented.

    Raises ValueError for what contradicts itself.
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
            raise ValueError(f"read_from ({_shown(self.read_from)}) has to be before read_to ({_shown(self.read_to)})")
        if self.full_reload and (self.read_from or self.read_to):
            raise ValueError("full_reload reads everything, read_from and read_to read one range; use only one of them")

    @classmethod
    def of_texts(
        cls,
        read_from: str | None,
        read_to: str | None,
        *,
        lookback_days: int | None = None,
        full_reload: bool = False,
        all_details: bool = False,
    ) -> LoadRequest:
        """The request of a person, whose moments are texts. Raises ValueError, also for those that are none."""
        return cls(
            lookback_days=lookback_days,
            read_from=parse_moment(read_from) if read_from else None,
            read_to=parse_moment(read_to) if read_to else None,
            full_reload=full_reload,
            all_details=all_details,
        )

    @property
    def looks_back(self) -> bool:
        """Whether the run reads from a look-back on, its own or that of the settings, not just a configured range."""
        return self.read_from is None and self.read_to is None and not self.full_reload

    def lookback(self, days: int) -> timedelta:
        """How far to look back, where the settings say so many days."""
        return timedelta(days=days if self.lookback_days is None else self.lookback_days)

    def span(self, start: datetime, lookback_days: int) -> SpanRequest:
        """What to read of tables that have windows, given what the settings say."""
        span = SpanRequest(
            start=start,
            lookback=self.lookback(lookback_days),
            read_from=self.read_from,
            read_to=self.read_to,
            full=self.full_reload,
            also=self.earlier_windows,
        )
        return span.for_windows(self.windows) if self.windows else span

    def of_windows(self, windows: Iterable[Window]) -> LoadRequest:
        """The same request, but for exactly these windows."""
        return replace(self, windows=tuple(windows), all_payments=False)


def _shown(moment: datetime) -> str:
    is_date = moment == moment.replace(hour=0, minute=0, second=0)
    return f"{moment:%Y-%m-%d}" if is_date else f"{moment:%Y-%m-%dT%H:%M:%SZ}"
