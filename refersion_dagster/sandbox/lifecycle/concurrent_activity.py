"""Activity in the shop while a client reads (see the switch `meanwhile`)."""

from collections.abc import Sequence

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.lifecycle import mutations
from refersion_dagster.sandbox.model import APPROVED, PENDING


class ConcurrentActivity:
    """Changes made to an account before requests of one route."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._requests = 0
        self._done = 0

    def before_request(self, routes: Sequence[str]) -> None:
        meanwhile = self._account.switches.meanwhile
        if meanwhile is None:
            self._requests = self._done = 0
            return
        if meanwhile.route not in routes:
            return
        self._requests += 1
        if self._requests % meanwhile.every or (meanwhile.limit is not None and self._done >= meanwhile.limit):
            return
        self._done += 1
        with self._account.lock:
            if meanwhile.seconds:
                self._account.clock.move_to(self._account.now + meanwhile.seconds)
            getattr(self, f"_{meanwhile.what}")()

    def _order(self) -> None:
        mutations.insert_conversion(self._account, {})

    def _approval(self) -> None:
        """Approve the newest pending order in the account's base currency."""
        waiting = [
            row
            for row in self._account.conversions.values()
            if row.status == PENDING and row.currency == self._account.settings.base and not row.is_test_conversion
        ]
        newest = max(waiting, key=lambda row: (row.created, row.id), default=None)
        if newest:
            mutations.change_conversion(self._account, newest.id, {"status": APPROVED})

    def _payment(self) -> None:
        """Pay the newest conversion that is due."""
        newest = max(self._account.due.values(), key=lambda row: (row.created, row.id), default=None)
        if newest:
            mutations.enter_payment(self._account, [newest.id])
