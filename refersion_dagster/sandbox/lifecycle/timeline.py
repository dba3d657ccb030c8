"""Everything that happens in the account over time, including its history."""

import gc
from collections.abc import Sequence

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.amounts import amount_of
from refersion_dagster.sandbox.clock import DAY
from refersion_dagster.sandbox.lifecycle import adjustments, visitors
from refersion_dagster.sandbox.lifecycle.orders import Orders
from refersion_dagster.sandbox.lifecycle.payouts import Payouts
from refersion_dagster.sandbox.model import ACTIVE, APPROVED, DISABLED, PENDING, Affiliate
from refersion_dagster.sandbox.seed import fixtures
from refersion_dagster.sandbox.seed.plans import AffiliatePlan, OrderPlan

ORDERS_PER_MANUAL_CREDIT = 40


class Timeline:
    """The account's life as events on its clock. To run it, advance the clock."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.world = account.world
        self.clock = account.clock
        self.orders = Orders(account)
        self.payouts = Payouts(account)

    def begin(self) -> None:
        """Generate the history, up to the settings' `now`.

        The garbage collector is off meanwhile: hundreds of thousands of rows are created and none is freed, and
        scanning them repeatedly takes longer than creating them.
        """
        for plan in self.world.affiliates():
            self._expect(plan)
        self.clock.schedule(self.world.start, self._day, 0)
        self.payouts.begin()
        collecting = gc.isenabled()
        gc.disable()
        try:
            self.clock.move_to(self.world.end)
        finally:
            if collecting:
                gc.enable()

    def _expect(self, plan: AffiliatePlan) -> None:
        self.account.new_affiliate_index()
        self.clock.schedule(plan.affiliate.joined, self._join, plan)

    def _join(self, plan: AffiliatePlan) -> None:
        affiliate = plan.affiliate
        self.account.add_affiliate(affiliate)
        if plan.coupon:
            self.account.add_trigger(affiliate, "COUPON", plan.coupon)
        if plan.decision != PENDING:
            self.clock.schedule(plan.decided, self._decide_affiliate, affiliate, PENDING, plan.decision)
        if plan.disabled is not None and plan.decision == ACTIVE:
            self.clock.schedule(
                max(plan.disabled, plan.decided + 1), self._decide_affiliate, affiliate, ACTIVE, DISABLED
            )

    def _decide_affiliate(self, affiliate: Affiliate, expected: str, status: str) -> None:
        if affiliate.status == expected and affiliate.id in self.account.affiliates:
            self.account.set_affiliate_status(affiliate, status)

    def _day(self, day: int) -> None:
        """Run in the first second of a day: schedules everything that will happen that day."""
        begin = self.world.start + day * DAY
        affiliates = self.account.active_affiliates()
        if day:
            self._idle_clicks(day - 1, affiliates)
        plans = self.world.orders_on(day, affiliates)
        for plan in plans:
            self.clock.schedule(plan.when, self.orders.place, plan)
            if plan.number % ORDERS_PER_MANUAL_CREDIT == 7:
                self.clock.schedule(plan.when + 600, self._manual_credit, plan)
        for joined in self.world.draw_application_times(day):
            self.clock.schedule(joined, self._apply)
        self.clock.schedule(begin + DAY, self._day, day + 1)

    def _apply(self) -> None:
        self._join(self.world.affiliate(self.account.new_affiliate_index(), self.clock.now))

    def _idle_clicks(self, day: int, affiliates: Sequence[Affiliate]) -> None:
        """Add the clicks of a day that led to no order."""
        rng = self.world.rng("clicks", day)
        count = self.account.settings.clicks_per_order * self.account.settings.orders // self.account.settings.days
        begin, account = self.world.start + day * DAY, self.account
        for created in sorted(begin + int(rng.random() * DAY) for _ in range(count if affiliates else 0)):
            affiliate = affiliates[int(rng.random() ** 2 * len(affiliates))]
            visitors.click(account, affiliate, created, int(rng.random() * 4_000_000))
        account.record_change()

    def _manual_credit(self, plan: OrderPlan) -> None:
        """Occasionally grant or take back a commission without an order, as the merchant does."""
        account, turn = self.account, plan.number // ORDERS_PER_MANUAL_CREDIT
        affiliate = account.affiliates.get(plan.affiliate_id)
        if affiliate is None:
            return
        amount = amount_of((25_00, -7_50, 10_00, -12_34, 150_00)[turn % 5], affiliate.currency)
        status = PENDING if turn % 4 == 3 else APPROVED
        adjustments.credit_manually(
            account, affiliate, amount, affiliate.currency, status, fixtures.MANUAL_NOTES[turn % 4]
        )
