"""An account whose events are all known, changed in every way that Refersion's support and merchants can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.sandbox.model import APPROVED, DENIED, PAID, PENDING, Conversion

CURRENCIES = ("USD", "EUR", "GBP", "JPY")
DAY = 86_400
Act = Callable[["Life", Conversion], object]
Fits = Callable[["Life", Conversion], bool]


def is_due(_life: Life, row: Conversion) -> bool:
    return row.status == APPROVED and row.payment_id is None


def is_paid(_life: Life, row: Conversion) -> bool:
    return row.status == APPROVED and row.payment_id is not None


def is_due_order(life: Life, row: Conversion) -> bool:
    return is_due(life, row) and row.total > 0


def can_be_cancelled(life: Life, row: Conversion) -> bool:
    return row.total > 2 and row.status in (APPROVED, PENDING) and row.id not in life.sandbox.account.reversals


def half(row: Conversion) -> str:
    """Half of the row's total, in whole units."""
    return f"{max(1, int(row.total / 2))}"


def pay(life: Life, row: Conversion) -> None:
    """Pay a single row, which no payday does."""
    life.sandbox.enter_payment([row.id])


def undo(life: Life, row: Conversion) -> None:
    assert row.payment_id is not None
    life.sandbox.undo_payment(row.payment_id)


def undo_and_enter_again(life: Life, row: Conversion) -> None:
    """Enter the payment again under another id and with its earlier date."""
    assert row.payment_id is not None
    created = life.sandbox.account.payments[row.payment_id].created
    rows = life.sandbox.undo_payment(row.payment_id)
    paid = [number for number in rows if number in life.sandbox.account.due]
    life.sandbox.advance(seconds=3_600)
    one = {(of.affiliate_id, of.currency) for number in paid for of in (life.sandbox.account.conversions[number],)}
    if len(one) == 1:
        life.sandbox.enter_payment(paid, created=created)


def move(life: Life, row: Conversion) -> None:
    others = [key for key in life.sandbox.account.affiliates if key != row.affiliate_id]
    life.sandbox.change_conversion(row.id, affiliate_id=life.random.choice(others))


def date_anew(life: Life, row: Conversion) -> None:
    """Move the row's date out of the look-back window or into it."""
    account = life.sandbox.account
    old = account.now - row.created > life.lookback_days * DAY
    to = account.now - (life.lookback_days // 2 if old else life.lookback_days + 50) * DAY
    life.sandbox.change_conversion(row.id, created=to)


# The changes: the rows that each applies to, and the action.
CHANGES: dict[str, tuple[Fits, Act]] = {
    "approved late": (
        lambda _life, row: row.status == DENIED and row.payment_id is None,
        lambda life, row: life.sandbox.change_conversion(row.id, status=APPROVED),
    ),
    "denied late": (is_due_order, lambda life, row: life.sandbox.change_conversion(row.id, status=DENIED)),
    "denied after it was paid": (is_paid, lambda life, row: life.sandbox.change_conversion(row.id, status=DENIED)),
    "put back to pending": (is_due_order, lambda life, row: life.sandbox.change_conversion(row.id, status=PENDING)),
    "corrected": (
        lambda life, row: is_due_order(life, row) and row.commission_total > 1,
        lambda life, row: life.sandbox.change_conversion(
            row.id, commission_total=str(row.commission_total + life.random.choice((-1, 3)))
        ),
    ),
    "moved": (is_due, move),
    "cancelled in part": (
        can_be_cancelled,
        lambda life, row: life.sandbox.cancel_part(row.id, total=half(row)),
    ),
    "dated anew": (is_due, date_anew),
    "deleted": (is_due, lambda life, row: life.sandbox.delete_conversion(row.id)),
    "deleted while pending": (
        lambda _life, row: row.status == PENDING,
        lambda life, row: life.sandbox.delete_conversion(row.id),
    ),
    "paid": (lambda life, row: is_due(life, row) and row.commission_total > 0, pay),
    "payment undone": (is_paid, undo),
    "payment entered again": (is_paid, undo_and_enter_again),
}


@dataclass
class Life:
    """Changes made to an account in addition to its own activity: one after another, in each currency in turn.

    Args:
        sandbox: a sandbox with its event log.
        lookback_days: the look-back window of the account's reader.
        without: changes that are not made.
    """

    sandbox: SandboxServer
    lookback_days: int
    without: frozenset[str] = frozenset()
    done: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = Random(11)
        turns = [(change, currency) for change in CHANGES for currency in CURRENCIES]
        self.random.shuffle(turns)
        self._turns = [turn for turn in turns if turn[0] not in self.without]

    def go_on_to(self, moment: datetime, changes: int = 2, *, old: bool | None = None) -> None:
        """Advance the clock, and make changes at times in between.

        Args:
            old: whether to change rows from before the look-back window (True) or others (False); None for any.
        """
        now = self.sandbox.now
        steps = sorted(self.random.random() for _ in range(changes))
        for step in steps:
            self.sandbox.advance(to=max(self.sandbox.now, now + (moment - now) * step))
            self.change(old)
        self.sandbox.advance(to=max(self.sandbox.now, moment))

    def change(self, old: bool | None) -> None:
        """Make the change that was least recently used and that fits a row."""
        for place, (change, currency) in enumerate(self._turns):
            fits, act = CHANGES[change]
            rows = [row for row in self._rows(currency, old) if fits(self, row)]
            if rows:
                act(self, self.random.choice(rows))
                self.done[change, currency] += 1
                self._turns.append(self._turns.pop(place))
                return

    def _rows(self, currency: str, old: bool | None) -> list[Conversion]:
        account = self.sandbox.account
        begin = account.now - self.lookback_days * DAY
        return [
            row
            for row in sorted(account.conversions.values(), key=lambda row: row.id)
            if row.currency == currency
            and not row.is_test_conversion
            and (row.payment_status == PAID) == (row.payment_id is not None)
            and (old is None or (self._first_made(row) < begin - DAY) == old)
        ]

    def _first_made(self, row: Conversion) -> int:
        """When the row was created, or the earliest of those paid together with it."""
        if row.payment_id is None:
            return row.created
        together = self.sandbox.account.by_affiliate[row.affiliate_id]
        return min(one.created for one in together if one.payment_id == row.payment_id)
