"""The clock: what happens in ninety days, independently of the size of the steps."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest

from refersion_dagster.sandbox import SandboxSettings
from refersion_dagster.sandbox.sandbox import Sandbox
from refersion_dagster_tests.sandbox.client import Client
from refersion_dagster_tests.sandbox.test_generator import dump

SETTINGS = SandboxSettings(affiliates=40, orders=400)


def test_one_step_of_ninety_days_is_ninety_steps_of_one_day() -> None:
    leaping, walking, trudging = (Sandbox(SETTINGS) for _ in range(3))
    leaping.advance(days=90)
    for _ in range(90):
        walking.advance(days=1)
    for _ in range(450):
        trudging.advance(seconds=17_280)
    assert dump(leaping.account) == dump(walking.account) == dump(trudging.account)
    assert leaping.account.now == SETTINGS.now.timestamp() + 90 * 86_400


def test_steps_do_not_matter_after_writes_either() -> None:
    one, two = Sandbox(SETTINGS), Sandbox(SETTINGS)
    for sandbox in (one, two):
        pending = [row for row in sandbox.account.conversions.values() if row.status == "PENDING"]
        sandbox.account.set_status(pending[0], "DENIED")
        sandbox.insert_conversion(total="90.00", commission_total="9.00")
    one.advance(days=60)
    for _ in range(60):
        two.advance(days=1)
    assert dump(one.account) == dump(two.account)


def test_ninety_days_bring_everything_that_a_scheduled_run_meets() -> None:
    sandbox = Sandbox(replace(SETTINGS, orders=1_000))
    account = sandbox.account
    before = {key: (row.status, row.payment_status, row.updated) for key, row in account.conversions.items()}
    payments, affiliates, then = set(account.payments), set(account.affiliates), account.now
    sandbox.advance(days=90)
    moves: Counter[tuple[str, str]] = Counter()
    for key, (status, payment_status, updated) in before.items():
        row = account.conversions[key]
        moves[status, row.status] += status != row.status
        moves[payment_status, row.payment_status] += payment_status != row.payment_status
        if (status, payment_status) != (row.status, row.payment_status):
            assert row.updated > max(then, updated)
        else:
            assert row.updated == updated
    assert moves["PENDING", "APPROVED"]
    assert moves["PENDING", "DENIED"]
    assert moves["UNPAID", "PAID"]
    assert not moves["PAID", "UNPAID"]
    arrived = [row for key, row in account.conversions.items() if key not in before]
    assert any(row.total > 0 for row in arrived)
    assert any(row.type.startswith("CANCELLATION_") for row in arrived)
    assert all(row.created > then for row in arrived)
    assert {account.payments[key].created > then for key in set(account.payments) - payments} == {True}
    assert set(account.affiliates) > affiliates


def test_affiliates_made_by_the_api_sell_from_then_on(client: Client) -> None:
    made = client.done(
        "/affiliate/new",
        {
            "first_name": "Bill",
            "last_name": "Smith",
            "email": "bill@example.com",
            "password": "Secure!Pass1",
            "status": "ACTIVE",
        },
    )
    affiliate = client.sandbox.account.affiliate_by_code(made["id"])
    assert affiliate is not None
    affiliate.popularity = 100_000
    client.sandbox.advance(days=15)
    assert client.sandbox.account.by_affiliate[affiliate.id]


def test_the_clock_is_moved_by_a_call(client: Client) -> None:
    assert client.control("GET", "/clock").json()["now"] == "2026-07-01T00:00:00Z"
    assert client.control("POST", "/clock", {"advance_days": 1}).json()["now"] == "2026-07-02T00:00:00Z"
    assert client.control("POST", "/clock", {"advance_seconds": 30}).json()["now"] == "2026-07-02T00:00:30Z"
    moved = client.control("POST", "/clock", {"to": "2026-08-01T00:00:00Z"}).json()
    assert moved == {"now": "2026-08-01T00:00:00Z", "unix": 1_785_542_400}


@pytest.mark.parametrize(
    "body", [{"to": "2026-01-01T00:00:00Z"}, {"to": "soon"}, {"advance_days": -1}, {"advance_weeks": 1}, {}]
)
def test_what_the_clock_cannot_do_is_refused(client: Client, body: dict[str, object]) -> None:
    refused = client.control("POST", "/clock", body)
    assert refused.status_code == 400
    assert refused.json()["error"]
    assert client.control("GET", "/clock").json()["now"] == "2026-07-01T00:00:00Z"


def test_answers_are_dated_by_the_sandboxs_clock(client: Client) -> None:
    before = client.rest("/affiliate/list", {"limit": "1"}).headers["Date"]
    client.sandbox.advance(days=1)
    after = client.rest("/affiliate/list", {"limit": "1"}).headers["Date"]
    assert parsedate_to_datetime(after) - parsedate_to_datetime(before) == timedelta(days=1)
    assert parsedate_to_datetime(after) == client.sandbox.now
