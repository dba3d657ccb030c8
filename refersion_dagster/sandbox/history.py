"""What happens in the account as time goes by: applications, orders, decisions, cancellations, payouts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from refersion_dagster.sandbox import names
from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.clock import DAY, months_start, next_month
from refersion_dagster.sandbox.data import AffiliatePlan, OrderPlan
from refersion_dagster.sandbox.model import (
    ACTIVE,
    APPROVED,
    AUTO_CREDIT,
    CANCELLATION_PREFIX,
    COUPON,
    DENIED,
    DISABLED,
    LINK,
    MANUAL_CREDIT,
    PENDING,
    UNPAID,
    UNQUALIFIED,
    Affiliate,
    Click,
    Conversion,
    Customer,
    Payment,
)

RENEWAL_EVERY = 30 * DAY
RENEWALS = 9
PAYDAY = 14 * DAY + 15 * 3_600
ORDERS_PER_MANUAL_CREDIT = 40


class History:
    """The account's life, as events on its clock. Moving the clock on is all it takes."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.world = account.world
        self.clock = account.clock
        self._joined = 0
        self._coupons: tuple[int, dict[int, str]] = (-1, {})

    def begin(self) -> None:
        """Live through the history, up to the settings' `now`."""
        for plan in self.world.affiliates():
            self._expect(plan)
        self.clock.at(self.world.start, self._day, 0)
        self.clock.at(next_month(self.world.start) + PAYDAY, self._payday)
        self.clock.move_to(self.world.end)

    def new_affiliate_index(self) -> int:
        """The number of the next affiliate, whoever makes it."""
        self._joined += 1
        return self._joined - 1

    def _expect(self, plan: AffiliatePlan) -> None:
        self.new_affiliate_index()
        self.clock.at(plan.affiliate.joined, self._join, plan)

    def _join(self, plan: AffiliatePlan) -> None:
        affiliate = plan.affiliate
        self.account.add_affiliate(affiliate)
        if plan.coupon:
            self.account.add_trigger(affiliate, "COUPON", plan.coupon)
        if plan.decision != PENDING:
            self.clock.at(plan.decided, self._decide_affiliate, affiliate, PENDING, plan.decision)
        if plan.disabled is not None and plan.decision == ACTIVE:
            self.clock.at(max(plan.disabled, plan.decided + 1), self._decide_affiliate, affiliate, ACTIVE, DISABLED)

    def _decide_affiliate(self, affiliate: Affiliate, expected: str, status: str) -> None:
        if affiliate.status == expected:
            self.account.set_affiliate_status(affiliate, status)

    def _day(self, day: int) -> None:
        """The first second of a day: everything that will happen in it is put on the clock."""
        begin = self.world.start + day * DAY
        affiliates = self.account.active_affiliates()
        if day:
            self._idle_clicks(day - 1, affiliates)
        plans = self.world.orders_on(day, affiliates)
        for plan in plans:
            self.clock.at(plan.when, self._order, plan)
            if plan.number % ORDERS_PER_MANUAL_CREDIT == 7:
                self.clock.at(plan.when + 600, self._manual_credit, plan)
        for joined in self.world.joining_on(day):
            self.clock.at(joined, self._apply)
        self.clock.at(begin + DAY, self._day, day + 1)

    def _apply(self) -> None:
        self._join(self.world.affiliate(self.new_affiliate_index(), self.clock.now))

    def _idle_clicks(self, day: int, affiliates: Sequence[Affiliate]) -> None:
        """The clicks of a day that led to no order."""
        rng = self.world.rng("clicks", day)
        count = self.account.settings.clicks_per_order * self.account.settings.orders // self.account.settings.days
        begin, account = self.world.start + day * DAY, self.account
        for created in sorted(begin + int(rng.random() * DAY) for _ in range(count if affiliates else 0)):
            affiliate = affiliates[int(rng.random() ** 2 * len(affiliates))]
            account.clicks.append(self._click(affiliate, created, int(rng.random() * 4_000_000)))
        account.touch()

    def _order(self, plan: OrderPlan) -> None:
        """An order comes in. Only an active affiliate is credited."""
        account = self.account
        affiliate = account.affiliates[plan.affiliate_id]
        if affiliate.status != ACTIVE:
            return
        row = self._order_row(plan, affiliate)
        account.add_conversion(row)
        if plan.case in ("duplicate", "double_credit"):
            self._second_credit(plan, row)
        if plan.case == "subscription":
            self.clock.at(row.created + RENEWAL_EVERY, self._renew, row.id, 1, plan.decide_after)
        if plan.case == "ip_burst":
            for extra in range(5):
                again = replace(
                    plan, case="burst", when=plan.when + 240 * (extra + 1), number=plan.number + 20_000_000 + extra
                )
                self.clock.at(again.when, self._order, again)
        self._await_decision(row, plan)

    def _order_row(self, plan: OrderPlan, affiliate: Affiliate) -> Conversion:
        account, now = self.account, self.clock.now
        offer = account.offers[affiliate.offer_id]
        coupon = self._coupon_of(affiliate)
        kind = LINK if plan.kind == COUPON and not coupon else plan.kind
        total = Decimal(0 if plan.case == "free" else plan.cents).scaleb(-2)
        commissionable = total - Decimal(plan.shipping).scaleb(-2) if total else total
        if plan.case == "no_commission":
            commissionable = Decimal("0.00")
        customer = self._customer(plan)
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
            commission_total=account.commission(offer, commissionable),
            currency=affiliate.currency if plan.home_currency else self._other_currency(plan.number),
            total_items=plan.items,
            is_test_conversion=plan.case == "test",
            coupon_code=coupon if kind == COUPON else "",
            source="API" if plan.number % 17 == 0 else "SHOPIFY",
            customer=customer,
            click=self._click(affiliate, now - plan.click_before, plan.ip) if kind == LINK else None,
        )
        if row.click is not None:
            account.clicks.append(row.click)
        if plan.case.startswith("self_referral"):
            row.customer = Customer(customer.name, self._own_address(plan, affiliate), customer.ip)
        if plan.case == "self_referral_caught":
            row.status, row.reason = UNQUALIFIED, "Self-referral"
        elif plan.case == "outside_cookie":
            row.status, row.reason = UNQUALIFIED, "Outside of the offer's cookie days"
        elif plan.case == "subscription":
            row.subscription_id = f"sub_{plan.number + 88_000}"
        return row

    def _second_credit(self, plan: OrderPlan, row: Conversion) -> None:
        """The same order by the coupon of another affiliate: as a rule UNQUALIFIED, sometimes credited twice."""
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
            commission_total=account.commission(account.offers[second.offer_id], row.commissionable_total),
            coupon_code=self._coupon_of(second),
            click=None,
        )
        if plan.case == "duplicate":
            again.status, again.reason = UNQUALIFIED, "Duplicate attribution"
        account.add_conversion(again)
        self._await_decision(again, plan)

    def _can_use_coupon(self, affiliate_id: int, row: Conversion) -> bool:
        affiliate = self.account.affiliates[affiliate_id]
        return affiliate_id != row.affiliate_id and affiliate.status == ACTIVE and bool(self._coupon_of(affiliate))

    def _await_decision(self, row: Conversion, plan: OrderPlan) -> None:
        if row.status != PENDING:
            return
        denied = plan.case in ("denied", "late_denied")
        if plan.decide_after:
            self.clock.at(
                row.created + plan.decide_after, self._decide, row.id, DENIED if denied else APPROVED, plan.number
            )
        else:
            self.account.auto_approve_later(row)
        if plan.cancel_after:
            self.clock.at(row.created + plan.cancel_after, self._cancel, row.id)
        if plan.case == "flipped_by_support":
            self.clock.at(row.created + plan.decide_after + 2 * DAY, self._flip, row.id)

    def _decide(self, conversion_id: int, status: str, number: int) -> None:
        """The merchant approves or denies a pending row, and its cancellation with it."""
        account = self.account
        row = account.conversions.get(conversion_id)
        if row is None or row.status != PENDING:
            return
        if status == DENIED:
            row.denied_reason_code, row.reason = names.DENIALS[number % len(names.DENIALS)]
        account.set_status(row, status)
        reversal = account.conversions.get(account.cancelled.get(conversion_id, 0))
        if reversal is not None and reversal.status == PENDING:
            account.set_status(reversal, status)

    def _flip(self, conversion_id: int) -> None:
        """Refersion's support turns an approved, unpaid row by hand."""
        row = self.account.conversions.get(conversion_id)
        if row is not None and row.status == APPROVED and row.payment_status == UNPAID:
            row.denied_reason_code, row.reason = "OTHER", "Denied by support on request"
            self.account.set_status(row, DENIED)

    def _cancel(self, conversion_id: int) -> None:
        row = self.account.conversions.get(conversion_id)
        if row is not None and row.status in (PENDING, APPROVED) and conversion_id not in self.account.cancelled:
            self.add_cancellation(row, -row.total, -row.commissionable_total, -row.commission_total)

    def add_cancellation(
        self, row: Conversion, total: Decimal, commissionable: Decimal, commission: Decimal
    ) -> Conversion:
        """A new row with negative amounts; `row` stays as it is, and both wait or are approved together."""
        account = self.account
        reversal = replace(
            row,
            id=account.new_id("conversion"),
            created=self.clock.now,
            updated=self.clock.now,
            type=row.type if row.type.startswith(CANCELLATION_PREFIX) else CANCELLATION_PREFIX + row.type,
            total=total,
            commissionable_total=commissionable,
            commission_total=commission,
            payment_status=UNPAID,
            payment_id=None,
            approved=None,
            notes="Order cancelled",
            raw=None,
        )
        account.cancelled[row.id] = reversal.id
        account.add_conversion(reversal)
        if reversal.status == PENDING:
            account.auto_approve_later(reversal)
        return reversal

    def _renew(self, conversion_id: int, count: int, decide_after: int) -> None:
        """A subscription is charged again: the same order_id, until it ends; over the offer's limit UNQUALIFIED."""
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
            self.clock.at(row.created + decide_after, self._decide, row.id, APPROVED, count)
        if count < RENEWALS:
            self.clock.at(self.clock.now + RENEWAL_EVERY, self._renew, conversion_id, count + 1, decide_after)

    def _manual_credit(self, plan: OrderPlan) -> None:
        """Now and then the merchant gives or takes back a commission without an order."""
        account, turn = self.account, plan.number // ORDERS_PER_MANUAL_CREDIT
        amount = Decimal((25_00, -7_50, 10_00, -12_34, 150_00)[turn % 5]).scaleb(-2)
        affiliate = account.affiliates[plan.affiliate_id]
        self.add_manual_credit(
            affiliate, amount, affiliate.currency, PENDING if turn % 4 == 3 else APPROVED, names.MANUAL_NOTES[turn % 4]
        )

    def add_manual_credit(
        self, affiliate: Affiliate, commission: Decimal, currency: str, status: str, notes: str
    ) -> Conversion:
        """A row with a zero total, credited by hand."""
        row = self.account.add_conversion(
            Conversion(
                id=self.account.new_id("conversion"),
                created=self.clock.now,
                updated=self.clock.now,
                affiliate_id=affiliate.id,
                offer_id=affiliate.offer_id,
                type=MANUAL_CREDIT,
                status=status,
                order_id="",
                total=Decimal("0.00"),
                commissionable_total=Decimal("0.00"),
                commission_total=commission,
                currency=currency,
                total_items=0,
                notes=notes,
                source="MERCHANT_PROFILE",
            )
        )
        if status == PENDING:
            self.account.auto_approve_later(row)
        return row

    def credit_order_again(self, first: Conversion, affiliate: Affiliate, status: str, notes: str) -> None:
        """The order of `first` processed anew for another affiliate, on that affiliate's offer."""
        account = self.account
        offer = account.offers[affiliate.offer_id]
        row = account.add_conversion(
            replace(
                first,
                id=account.new_id("conversion"),
                created=self.clock.now,
                updated=self.clock.now,
                affiliate_id=affiliate.id,
                offer_id=offer.id,
                type=AUTO_CREDIT,
                status=status,
                commission_total=account.commission(offer, first.commissionable_total),
                payment_status=UNPAID,
                payment_id=None,
                approved=None,
                coupon_code="",
                denied_reason_code="",
                reason="",
                notes=notes,
                source="MERCHANT_PROFILE",
                click=None,
                raw=None,
            )
        )
        if status == PENDING:
            account.auto_approve_later(row)

    def _payday(self) -> None:
        """In the middle of each month the merchant pays what was approved before it, to whom it can be paid."""
        account, now = self.account, self.clock.now
        groups: dict[tuple[int, str], list[Conversion]] = defaultdict(list)
        for row in account.due.values():
            if row.approved is not None and row.approved < months_start(now):
                groups[row.affiliate_id, row.currency].append(row)
        for (affiliate_id, currency), rows in sorted(groups.items()):
            affiliate = account.affiliates.get(affiliate_id)
            amount = sum((row.commission_total for row in rows), Decimal("0.00"))
            if affiliate is None or affiliate.status != ACTIVE or not affiliate.paypal_email:
                continue
            forgotten = self.world.rng("forgotten", now, affiliate_id).random() < 0.08
            if forgotten or amount < max(account.settings.minimum_payout, Decimal("0.01")):
                continue
            payment = Payment(
                id=account.new_id("payment"),
                created=now,
                affiliate_id=affiliate_id,
                currency=currency,
                commission_total=amount,
                total=sum((row.total for row in rows), Decimal("0.00")),
                total_conversions=len(rows),
                payment_method="PAYPAL" if affiliate_id % 5 else "MARK_AS_PAID",
                note="" if affiliate_id % 3 else "Thank you, see you next month",
            )
            account.pay(rows, payment)
        self.clock.at(next_month(now) + PAYDAY, self._payday)

    def _coupon_of(self, affiliate: Affiliate) -> str:
        if self._coupons[0] != len(self.account.triggers):
            self._coupons = (len(self.account.triggers), self.account.coupons())
        return self._coupons[1].get(affiliate.id, "")

    def _other_currency(self, number: int) -> str:
        currencies = self.account.settings.currencies
        return currencies[number % len(currencies)]

    def _customer(self, plan: OrderPlan) -> Customer:
        first, last = names.CUSTOMER_FIRST_NAMES, names.CUSTOMER_LAST_NAMES
        number = plan.customer
        host = names.MAIL_HOSTS[number % len(names.MAIL_HOSTS)]
        name = f"{first[number % len(first)]} {last[number // len(first) % len(last)]}"
        return Customer(name, f"customer{number}@{host}", self._ip(plan.ip))

    def _own_address(self, plan: OrderPlan, affiliate: Affiliate) -> str:
        """The affiliate buys by the own link: from the same address, in capitals, with a tag, or PayPal's."""
        user, _, host = affiliate.email.partition("@")
        return (
            affiliate.email,
            affiliate.email.upper(),
            f"{user}+shop@{host}",
            affiliate.paypal_email or affiliate.email,
        )[plan.number % 4]

    def _click(self, affiliate: Affiliate, created: int, number: int) -> Click:
        account = self.account
        return Click(
            id=account.new_id("click"),
            created=created,
            affiliate_id=affiliate.id,
            referer=names.REFERERS[number % len(names.REFERERS)],
            landed_url=f"{account.shop.url}/?rfsn={affiliate.id}.{affiliate.code}&n={number % 9}",
            ip=self._ip(number),
            sub_id=names.SUB_IDS[number % len(names.SUB_IDS)],
            creative_id=account.creatives[number % len(account.creatives)].id if number % 3 == 0 else None,
        )

    def _ip(self, number: int) -> str:
        """An address of the shared space 100.64.0.0/10, which is routed nowhere; every seventh is IPv6."""
        if number % 7 == 0:
            return f"2001:db8::{number & 0xFFFF:x}:{number >> 16:x}"
        return f"100.{64 + (number >> 16 & 63)}.{number >> 8 & 255}.{number & 255}"
