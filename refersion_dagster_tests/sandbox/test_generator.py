"""The seeded account: it follows the rules of the domain and contains every case that breaks careless software."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from refersion_dagster.sandbox import SandboxSettings
from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.model import CANCELLATION_PREFIX, Conversion
from refersion_dagster.sandbox.sandbox import Sandbox
from refersion_dagster_tests.marks import limit_cases

DAY = 86_400


@pytest.fixture(scope="module", params=[7, 1, 2026])
def account(request: pytest.FixtureRequest) -> Account:
    return Sandbox(SandboxSettings(seed=request.param, affiliates=40, orders=800)).account


def dump(account: Account) -> dict[str, object]:
    return {
        "conversions": [account.conversions[key] for _, key in account.timeline],
        "payments": account.payments,
        "affiliates": account.affiliates,
        "clicks": account.clicks,
        "triggers": account.triggers,
        "now": account.now,
    }


def orders(account: Account) -> list[Conversion]:
    return [row for row in account.conversions.values() if row.total > 0]


def test_each_payment_equals_its_conversions(account: Account) -> None:
    rows: dict[int, list[Conversion]] = defaultdict(list)
    for row in account.conversions.values():
        assert (row.payment_status == "PAID") == (row.payment_id is not None)
        if row.payment_id is not None:
            rows[row.payment_id].append(row)
    assert set(rows) == set(account.payments)
    assert len(rows) > 20
    for payment in account.payments.values():
        paid = rows[payment.id]
        assert sum(row.commission_total for row in paid) == payment.commission_total
        assert sum(row.total for row in paid) == payment.total
        assert len(paid) == payment.total_conversions
        assert {(row.affiliate_id, row.currency) for row in paid} == {(payment.affiliate_id, payment.currency)}
        assert payment.commission_total >= account.settings.minimum_payout
        assert all(row.created < payment.created <= account.now for row in paid)


def test_only_approved_rows_are_paid_and_never_test_conversions(account: Account) -> None:
    paid = [row for row in account.conversions.values() if row.payment_status == "PAID"]
    assert {row.status for row in paid} == {"APPROVED"}
    assert not any(row.is_test_conversion for row in paid)


def test_payday_is_the_middle_of_the_month_for_what_was_approved_before_it(account: Account) -> None:
    for row in account.conversions.values():
        if row.payment_id is not None:
            paid = datetime.fromtimestamp(account.payments[row.payment_id].created, UTC)
            assert (paid.day, paid.hour) == (15, 15)
            assert row.approved is not None
            assert datetime.fromtimestamp(row.approved, UTC) < paid.replace(day=1, hour=0)


def test_nobody_without_paypal_address_or_activity_is_paid(account: Account) -> None:
    for payment in account.payments.values():
        assert account.affiliates[payment.affiliate_id].paypal_email
    with_rows = {row.affiliate_id for row in account.due.values()}
    assert any(not account.affiliates[number].paypal_email for number in with_rows)


def test_ids_are_unique_and_grow_with_time(account: Account) -> None:
    ids = list(account.conversions)
    assert ids == sorted(set(ids))
    assert len({affiliate.code for affiliate in account.affiliates.values()}) == len(account.affiliates)
    assert all(key == row.id for key, row in account.conversions.items())


def test_no_row_is_of_the_future_and_updated_is_never_before_created(account: Account) -> None:
    for row in account.conversions.values():
        assert account.world.start <= row.created <= row.updated <= account.now
    assert all(click.created <= account.now for click in account.clicks)


def test_nothing_stays_pending_for_more_than_ninety_days(account: Account) -> None:
    pending = [row for row in account.conversions.values() if row.status == "PENDING"]
    assert pending
    assert min(row.created for row in pending) >= account.now - 90 * DAY
    late = [row for row in orders(account) if row.approved == row.created + 90 * DAY]
    assert len(late) > 10


def test_commission_follows_the_offer_to_the_cent(account: Account) -> None:
    seen = Counter()
    for row in orders(account):
        offer = account.offers[row.offer_id]
        expected = offer.commission
        if offer.type == "PERCENT_OF_SALE":
            expected = (row.commissionable_total * offer.commission / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert row.commission_total == (expected if row.commissionable_total else 0)
        seen[offer.type] += 1
    assert seen["PERCENT_OF_SALE"] > 100
    assert seen["FLAT_RATE"] > 10


def test_cancellations_are_new_negative_rows_before_and_after_payment(account: Account) -> None:
    reversals = [row for row in account.conversions.values() if row.type.startswith(CANCELLATION_PREFIX)]
    by_id = account.conversions
    assert all(row.total < 0 and row.commission_total <= 0 for row in reversals)
    originals = [(by_id[first], by_id[second]) for first, second in account.cancelled.items()]
    assert len(originals) == len(reversals)
    after_payment = before_payment = while_pending = 0
    for first, second in originals:
        assert (second.order_id, second.total, second.commission_total) == (
            first.order_id,
            -first.total,
            -first.commission_total,
        )
        assert second.type == CANCELLATION_PREFIX + first.type
        payment = account.payments.get(first.payment_id or 0)
        after_payment += payment is not None and payment.created < second.created
        before_payment += first.approved is not None and first.approved < second.created and payment is None
        while_pending += first.approved is not None and first.approved > second.created
    assert after_payment
    assert before_payment
    assert while_pending


def test_every_nasty_case_is_there(account: Account) -> None:
    rows = list(account.conversions.values())
    reasons = Counter(row.reason for row in rows)
    for reason in (
        "Self-referral",
        "Duplicate attribution",
        "Outside of the offer's cookie days",
        "Over the offer's renewal limit",
        "Denied by support on request",
    ):
        assert reasons[reason], reason
    credits = [row for row in rows if row.type == "MANUAL_CREDIT_BY_CLIENT"]
    assert {row.total for row in credits} == {Decimal(0)}
    assert any(row.commission_total > 0 for row in credits)
    assert any(row.commission_total < 0 for row in credits)
    assert any(row.is_test_conversion for row in rows)
    assert {row.currency for row in rows} == {"USD", "EUR", "GBP"}
    assert {row.status for row in rows} == {"PENDING", "APPROVED", "DENIED", "UNQUALIFIED"}
    assert any(row.total > 0 and row.commission_total == 0 and row.status == "APPROVED" for row in rows)
    assert any(row.total == 0 and row.customer is not None for row in rows)
    assert {row.type for row in rows} >= {
        "AFFILIATE_SITE_CONVERSION",
        "CONVERSION_TRIGGER_COUPON",
        "CONVERSION_TRIGGER_SKU",
        "CONVERSION_TRIGGER_EMAIL",
        "AUTO_CREDIT_AFFILIATE_ID",
    }


def test_one_order_is_claimed_by_link_and_coupon_of_two_affiliates(account: Account) -> None:
    unqualified = credited_twice = 0
    for rows in account.by_order.values():
        first = [row for row in rows if row.total > 0 and not row.is_recurring]
        if len({row.affiliate_id for row in first}) == 2:
            unqualified += any(row.status == "UNQUALIFIED" for row in first)
            credited_twice += all(row.status != "UNQUALIFIED" for row in first)
            assert len({row.created for row in first}) == 1
    assert unqualified
    assert credited_twice


def test_renewals_repeat_the_order_id_of_their_subscription(account: Account) -> None:
    renewals = [row for row in account.conversions.values() if row.is_recurring]
    assert len(renewals) > 10
    for row in renewals:
        family = [other for other in account.by_order[row.order_id] if other.subscription_id == row.subscription_id]
        assert row.subscription_id
        assert sum(not other.is_recurring and other.total > 0 for other in family) == 1


def test_some_affiliates_buy_by_their_own_link_and_get_through(account: Account) -> None:
    def plain(address: str) -> str:
        user, _, host = address.lower().partition("@")
        return f"{user.partition('+')[0]}@{host}"

    caught: Counter[str] = Counter()
    for row in orders(account):
        affiliate = account.affiliates[row.affiliate_id]
        own = {plain(affiliate.email), plain(affiliate.paypal_email)}
        if row.customer is not None and plain(row.customer.email) in own:
            caught[row.status] += 1
    assert caught["UNQUALIFIED"]
    assert caught["APPROVED"]


def test_a_leaked_coupon_shows_as_a_burst_without_clicks(account: Account) -> None:
    per_day = Counter((row.coupon_code, row.created // DAY) for row in orders(account) if row.coupon_code)
    (code, _), most = per_day.most_common(1)[0]
    usual = sorted(count for (other, _), count in per_day.items() if other == code)
    assert most >= 8
    assert most > 4 * usual[len(usual) // 2] or usual[len(usual) // 2] >= 8
    assert all(row.click is None for row in orders(account) if row.type == "CONVERSION_TRIGGER_COUPON")


def test_quick_clicks_and_bursts_from_one_address_are_there(account: Account) -> None:
    assert any(row.click and row.created - row.click.created < 60 for row in orders(account))
    per_address = Counter((row.customer.ip, row.created // DAY) for row in orders(account) if row.customer)
    assert max(per_address.values()) >= 4


def test_affiliates_have_every_status_and_gap(account: Account) -> None:
    affiliates = list(account.affiliates.values())
    assert {row.status for row in affiliates} == {"PENDING", "ACTIVE", "DENIED", "DISABLED"}
    assert any(not row.paypal_email for row in affiliates)
    assert any(not row.custom_fields for row in affiliates)
    names = " ".join(f"{row.first_name} {row.last_name}" for row in affiliates)
    for piece in ("<script>", "=HYPERLINK", '"Shane"', "O'Reilly", ", Ltd.", "佐藤", "Кузнецова", "عمر", "🎉"):
        assert piece in names, piece
    codes = {row.code for row in affiliates}
    assert {"0042", "12e5"} <= codes


def test_some_rows_share_a_second(account: Account) -> None:
    seconds = Counter(created for created, _ in account.timeline)
    assert seconds.most_common(1)[0][1] > 1


def test_sales_have_seasons(account: Account) -> None:
    months = Counter(datetime.fromtimestamp(row.created, UTC).month for row in orders(account))
    assert months[11] > 1.3 * months[2]


def test_equal_settings_make_equal_accounts_and_other_seeds_others() -> None:
    settings = SandboxSettings(affiliates=20, orders=150)
    assert dump(Sandbox(settings).account) == dump(Sandbox(settings).account)
    other = Sandbox(SandboxSettings(seed=8, affiliates=20, orders=150)).account
    assert dump(Sandbox(settings).account) != dump(other)


@pytest.mark.parametrize(
    "change",
    limit_cases(
        [
            {"seed": 8},
            {"affiliates": 21},
            {"orders": 151},
            {"days": 731},
            {"currencies": ("EUR", "USD", "GBP")},
            {"base_currency": "EUR"},
            {"now": datetime(2026, 7, 2, tzinfo=UTC)},
        ],
        2,
    ),
    ids=str,
)
def test_what_makes_other_data_makes_other_keys_and_other_ids(change: dict[str, Any]) -> None:
    settings = SandboxSettings(affiliates=20, orders=150)
    one, other = (Sandbox(settings).account, Sandbox(replace(settings, **change)).account)
    assert not set(one.settings.keys) & set(other.settings.keys)
    for mine, theirs in (
        (one.conversions, other.conversions),
        (one.affiliates, other.affiliates),
        ({row.code for row in one.affiliates.values()}, {row.code for row in other.affiliates.values()}),
    ):
        assert len(set(mine) & set(theirs)) * 2 < len(mine)


def test_later_on_the_same_day_it_is_the_same_account() -> None:
    settings = SandboxSettings(affiliates=5, orders=10, now=datetime(2026, 7, 1, tzinfo=UTC))
    later = replace(settings, now=datetime(2026, 7, 1, 17, 30, tzinfo=UTC), event_log=True)
    assert later.keys == settings.keys


def test_the_number_of_orders_is_what_was_asked_for() -> None:
    account = Sandbox(SandboxSettings(affiliates=20, orders=500, days=100)).account
    plain = [row for row in account.conversions.values() if row.click and not row.is_recurring and row.total > 0]
    assert 250 < len(plain) < 500
    assert Sandbox(SandboxSettings(affiliates=0, orders=500)).account.conversions == {}
    assert Sandbox(SandboxSettings(affiliates=20, orders=0)).account.conversions == {}


def test_currencies_and_length_can_be_chosen() -> None:
    account = Sandbox(SandboxSettings(affiliates=12, orders=100, days=45, currencies=("CHF",))).account
    assert {row.currency for row in account.conversions.values()} == {"CHF"}
    assert account.shop.currency == "CHF"
    assert min(account.timeline)[0] >= account.now - 45 * DAY
