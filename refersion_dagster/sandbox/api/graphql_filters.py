"""Filtering and ordering of the rows that a query selects."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from refersion_dagster.sandbox.account import FOREVER, Account
from refersion_dagster.sandbox.model import Affiliate, Click, Conversion, Offer, Payment


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Arguments that select rows. Bounds are Unix seconds on `created`; None means no restriction."""

    created_from: int | None = None
    created_to: int | None = None
    status: str | None = None
    payment_status: str | None = None
    affiliate_id: int | None = None
    offer_id: int | None = None
    email: str | None = None
    id: int | None = None


class RowSelection:
    """The rows of an account by filter, cached until the account changes."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._kept: dict[tuple[str, RowFilter], list[Any]] = {}
        self._kept_for: tuple[int, Any] = (-1, None)
        self._requests = 0

    def conversions(self, window: RowFilter) -> list[Conversion]:
        return self._select_ordered("conversions", window, self._conversions)

    def payments(self, window: RowFilter) -> list[Payment]:
        return self._select_ordered("payments", window, self._payments)

    def clicks(self, window: RowFilter) -> list[Click]:
        return self._select_ordered("clicks", window, self._clicks)

    def affiliates(self, window: RowFilter) -> list[Affiliate]:
        """Affiliates ordered by id, the same order as the REST v2 list."""
        return self._keep("affiliates", window, self._affiliates)

    def offers(self) -> list[Offer]:
        return sorted(self.account.offers.values(), key=lambda offer: offer.id)

    def _keep(self, name: str, window: RowFilter, choose: Callable[[RowFilter], list[Any]]) -> list[Any]:
        state = (self.account.version, self.account.switches)
        if self._kept_for[0] != state[0] or self._kept_for[1] is not state[1] or len(self._kept) > 64:
            self._kept, self._kept_for = {}, state
        rows = self._kept.get((name, window))
        if rows is None:
            rows = self._kept[name, window] = choose(window)
        return rows

    def _select_ordered(self, name: str, window: RowFilter, choose: Callable[[RowFilter], list[Any]]) -> list[Any]:
        rows = self._keep(name, window, choose)
        if self.account.switches.order != "unstable_ties":
            return rows
        self._requests += 1
        rng = self.account.world.rng("ties", self._requests)
        shuffled: list[Any] = []
        for _, ties in groupby(rows, key=lambda row: row.created):
            group = list(ties)
            rng.shuffle(group)
            shuffled += group
        return shuffled

    def _bounds(self, window: RowFilter) -> tuple[int, int]:
        """The filter's time range as half-open bounds in seconds, adjusted for the switches for inclusive bounds."""
        switches = self.account.switches
        low = -FOREVER if window.created_from is None else window.created_from + (not switches.created_from_inclusive)
        high = FOREVER if window.created_to is None else window.created_to + switches.created_to_inclusive
        return low, high

    def _apply_direction(self, rows: list[Any]) -> list[Any]:
        """The rows in the configured direction. `rows` are oldest first, ties by id; newest first is its reverse."""
        return rows if self.account.switches.order == "oldest_first" else rows[::-1]

    def _conversions(self, window: RowFilter) -> list[Conversion]:
        rows = self.account.conversions_between(*self._bounds(window), window.affiliate_id)
        if window.status is not None:
            rows = [row for row in rows if row.status == window.status]
        if window.payment_status is not None:
            rows = [row for row in rows if row.payment_status == window.payment_status]
        return self._apply_direction(rows)

    def _payments(self, window: RowFilter) -> list[Payment]:
        low, high = self._bounds(window)
        rows = [row for row in self.account.payments.values() if low <= row.created < high]
        return self._apply_direction(sorted(rows, key=lambda row: (row.created, row.id)))

    def _clicks(self, window: RowFilter) -> list[Click]:
        low, high = self._bounds(window)
        offers = {row.id: row.offer_id for row in self.account.affiliates.values()}
        rows = [
            row
            for row in self.account.clicks
            if low <= row.created < high
            and window.affiliate_id in (None, row.affiliate_id)
            and window.offer_id in (None, offers.get(row.affiliate_id))
        ]
        return self._apply_direction(sorted(rows, key=lambda row: (row.created, row.id)))

    def _affiliates(self, window: RowFilter) -> list[Affiliate]:
        rows = sorted(self.account.affiliates.values(), key=lambda row: row.id)
        if window.id is not None:
            rows = [row for row in rows if row.id == window.id]
        if window.email is not None:
            wanted = window.email.casefold()
            rows = [row for row in rows if row.email.casefold() == wanted]
        return rows
