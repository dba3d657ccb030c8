"""The merchant's monthly payouts."""

from collections import defaultdict
from decimal import Decimal

from refersion_dagster.sandbox.account import NEW_PAYMENT, Account
from refersion_dagster.sandbox.clock import DAY, months_start, next_month
from refersion_dagster.sandbox.model import ACTIVE, Affiliate, Conversion, Payment

PAYDAY = 14 * DAY + 15 * 3_600
FORGOTTEN = 0.08


class Payouts:
    """Monthly payouts: on the 15th the merchant pays what was approved before the month began.

    Refersion pays nothing automatically. Each payment covers all due rows of one affiliate and currency, including
    negative ones. Affiliates that are not active, have no PayPal e-mail or are below the minimum payout wait;
    occasionally one is forgotten.
    """

    def __init__(self, account: Account) -> None:
        self._account = account

    def begin(self) -> None:
        self._account.clock.schedule(next_month(self._account.world.start) + PAYDAY, self._payday)

    def _payday(self) -> None:
        account, now = self._account, self._account.now
        before = months_start(now)
        groups: dict[tuple[int, str], list[Conversion]] = defaultdict(list)
        for row in account.due.values():
            if row.approved is not None and row.approved < before:
                groups[row.affiliate_id, row.currency].append(row)
        payments: list[Payment] = []
        for (affiliate_id, currency), rows in sorted(groups.items()):
            amount = sum((row.commission_total for row in rows), Decimal("0.00"))
            if self._is_payable(account.affiliates.get(affiliate_id), amount):
                payments.append(self._payment(affiliate_id, currency, amount, rows))
                account.pay(rows, payments[-1])
        if payments:
            account.announce(NEW_PAYMENT, payments)
        account.clock.schedule(next_month(now) + PAYDAY, self._payday)

    def _is_payable(self, affiliate: Affiliate | None, amount: Decimal) -> bool:
        if affiliate is None or affiliate.status != ACTIVE or not affiliate.paypal_email:
            return False
        if amount < max(self._account.settings.minimum_payout, Decimal("0.01")):
            return False
        return self._account.world.rng("forgotten", self._account.now, affiliate.id).random() >= FORGOTTEN

    def _payment(self, affiliate_id: int, currency: str, amount: Decimal, rows: list[Conversion]) -> Payment:
        return Payment(
            id=self._account.new_id("payment"),
            created=self._account.now,
            affiliate_id=affiliate_id,
            currency=currency,
            commission_total=amount,
            total=sum((row.total for row in rows), Decimal("0.00")),
            total_conversions=len(rows),
            payment_method="PAYPAL" if affiliate_id % 5 else "MARK_AS_PAID",
            note="" if affiliate_id % 3 else "Thank you, see you next month",
        )
