"""The life of an order: credit, decision, cancellation, renewal."""

from dataclasses import replace

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.amounts import amount_of, commission_of
from refersion_dagster.sandbox.clock import DAY
from refersion_dagster.sandbox.lifecycle import adjustments, visitors
from refersion_dagster.sandbox.model import (
    ACTIVE,
    APPROVED,
    COUPON,
    DENIED,
    LINK,
    PENDING,
    UNPAID,
    UNQUALIFIED,
    Affiliate,
    Conversion,
    Customer,
)
from refersion_dagster.sandbox.seed import fixtures
from refersion_dagster.sandbox.seed.plans import OrderPlan

RENEWAL_EVERY = 30 * DAY
RENEWALS = 9


class Orders:
    """Places incoming orders and schedules the events that follow from them."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.clock = account.clock
        self._coupons: tuple[int, dict[int, str]] = (-1, {})

    def place(self, plan: OrderPlan) -> None:
        """Place an order. Only an active affiliate is credited."""
        account = self.account
        affiliate = account.affiliates.get(plan.affiliate_id)
        if affiliate is None or affiliate.status != ACTIVE:
            return
        row = self._order_row(plan, affiliate)
        account.add_conversion(row)
        if plan.case in ("duplicate", "double_credit"):
            self._second_credit(plan, row)
        if plan.case == "subscription":
            self.clock.schedule(row.created + RENEWAL_EVERY, self._renew, row.id, 1, plan.decide_after)
        if plan.case == "ip_burst":
            for extra in range(5):
                again = replace(
                    plan, case="burst", when=plan.when + 240 * (extra + 1), number=plan.number + 20_000_000 + extra
                )
                self.clock.schedule(again.when, self.place, again)
        self._await_decision(row, plan)

    def _order_row(self, plan: OrderPlan, affiliate: Affiliate) -> Conversion:
        account, now = self.account, self.clock.now
        offer = account.offers[affiliate.offer_id]
        coupon = self._coupon_of(affiliate)
        kind = LINK if plan.kind == COUPON and not coupon else plan.kind
        currency = affiliate.currency if plan.home_currency else self._other_currency(plan.number)
        total = amount_of(0 if plan.case == "free" else plan.cents, currency)
        commissionable = total - amount_of(plan.shipping, currency) if total else total
        if plan.case == "no_commission":
            commissionable = amount_of(0, currency)
        customer = visitors.customer(plan.customer, plan.ip)
        row = Conversion(
            id=account.new_id("conversion"),
            created=now,
            updated=now,
            affiliate_id=affiliate.id,
            offer_id=offer.id,
            type=kind,
            status=PENDING,
            order_id=f"R-{plan.number:06d}/EU" if plan.number % 50 == 13 else str(450_000_000 + 7 * plan.number),
            total=total,
            commissionable_total=commissionable,
            commission_total=commission_of(offer, commissionable, currency),
            currency=currency,
            total_items=plan.items,
            is_test_conversion=plan.case == "test",
            coupon_code=coupon if kind == COUPON else "",
            source="API" if plan.number % 17 == 0 else "SHOPIFY",
            customer=customer,
            click=visitors.click(account, affiliate, now - plan.click_before, plan.ip) if kind == LINK else None,
        )
        if plan.case.startswith("self_referral"):
            row.customer = Customer(customer.name, visitors.own_address(affiliate, plan.number), customer.ip)
        if plan.case == "self_referral_caught":
            row.status, row.reason = UNQUALIFIED, "Self-referral"
        elif plan.case == "outside_cookie":
            row.status, row.reason = UNQUALIFIED, "Outside of the offer's cookie days"
        elif plan.case == "subscription":
            row.subscription_id = f"sub_{plan.number + 88_000}"
        return row

    def _second_credit(self, plan: OrderPlan, row: Conversion) -> None:
        """Credit the same order to another affiliate through a coupon: usually UNQUALIFIED, at times credited twice."""
        account = self.account
        others = [plan.second_affiliate_id, *account.affiliates]
        second = next((account.affiliates[key] for key in others if self._can_use_coupon(key, row)), None)
        if second is None:
            return
        again = replace(
            row,
            id=account.new_id("conversion"),
            affiliate_id=second.id,
            offer_id=second.offer_id,
            type=COUPON,
            commission_total=commission_of(account.offers[second.offer_id], row.commissionable_total, row.currency),
            coupon_code=self._coupon_of(second),
            click=None,
        )
        if plan.case == "duplicate":
            again.status, again.reason = UNQUALIFIED, "Duplicate attribution"
        account.add_conversion(again)
        self._await_decision(again, plan)

    def _can_use_coupon(self, affiliate_id: int, row: Conversion) -> bool:
        affiliate = self.account.affiliates.get(affiliate_id)
        if affiliate is None or affiliate_id == row.affiliate_id:
            return False
        return affiliate.status == ACTIVE and bool(self._coupon_of(affiliate))

    def _await_decision(self, row: Conversion, plan: OrderPlan) -> None:
        if row.status != PENDING:
            return
        denied = plan.case in ("denied", "late_denied")
        if plan.decide_after:
            self.clock.schedule(
                row.created + plan.decide_after, self._decide, row.id, DENIED if denied else APPROVED, plan.number
            )
        else:
            self.account.auto_approve_later(row)
        if plan.cancel_after:
            self.clock.schedule(row.created + plan.cancel_after, self._cancel, row.id)
        if plan.case == "flipped_by_support":
            self.clock.schedule(row.created + plan.decide_after + 2 * DAY, self._flip, row.id)

    def _decide(self, conversion_id: int, status: str, number: int) -> None:
        """Approve or deny a pending row and its cancellations, as the merchant does."""
        account = self.account
        row = account.conversions.get(conversion_id)
        if row is None or row.status != PENDING:
            return
        if status == DENIED:
            row.denied_reason_code, row.reason = fixtures.DENIALS[number % len(fixtures.DENIALS)]
        account.set_status(row, status)
        for reversal_id in account.reversals.get(conversion_id, ()):
            reversal = account.conversions.get(reversal_id)
            if reversal is not None and reversal.status == PENDING:
                account.set_status(reversal, status)

    def _flip(self, conversion_id: int) -> None:
        """Reverse the decision on an approved, unpaid row, as Refersion's support does."""
        row = self.account.conversions.get(conversion_id)
        if row is not None and row.status == APPROVED and row.payment_status == UNPAID:
            row.denied_reason_code, row.reason = "OTHER", "Denied by support on request"
            self.account.set_status(row, DENIED)

    def _cancel(self, conversion_id: int) -> None:
        row = self.account.conversions.get(conversion_id)
        if row is not None and row.status in (PENDING, APPROVED) and conversion_id not in self.account.cancelled:
            adjustments.cancel(self.account, row, -row.total, -row.commissionable_total, -row.commission_total)

    def _renew(self, conversion_id: int, count: int, decide_after: int) -> None:
        """Renew a subscription: the same order_id until it ends; UNQUALIFIED beyond the offer's limit."""
        account = self.account
        first = account.conversions.get(conversion_id)
        if first is None or conversion_id in account.cancelled:
            return
        offer = account.offers[first.offer_id]
        over = count > offer.renewal_limit
        row = replace(
            first,
            id=account.new_id("conversion"),
            created=self.clock.now,
            updated=self.clock.now,
            status=UNQUALIFIED if over else PENDING,
            reason="Over the offer's renewal limit" if over else "",
            denied_reason_code="",
            payment_status=UNPAID,
            payment_id=None,
            approved=None,
            is_recurring=True,
            click=None,
            raw=None,
        )
        account.add_conversion(row)
        if not over:
            self.clock.schedule(row.created + decide_after, self._decide, row.id, APPROVED, count)
        if count < RENEWALS:
            self.clock.schedule(self.clock.now + RENEWAL_EVERY, self._renew, conversion_id, count + 1, decide_after)

    def _coupon_of(self, affiliate: Affiliate) -> str:
        if self._coupons[0] != len(self.account.triggers):
            self._coupons = (len(self.account.triggers), self.account.coupons())
        return self._coupons[1].get(affiliate.id, "")

    def _other_currency(self, number: int) -> str:
        currencies = self.account.settings.currencies
        return currencies[number % len(currencies)]
