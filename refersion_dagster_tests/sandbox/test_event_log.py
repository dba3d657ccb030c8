"""The event log: the account's state at any point in time, and the movements of the commission due between two."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster.sandbox.sandbox import Sandbox
from refersion_dagster_tests.sandbox.client import Client

CURRENCIES = ("USD", "EUR", "GBP", "JPY")
SETTINGS = SandboxSettings(affiliates=12, orders=200, days=120, currencies=CURRENCIES, event_log=True)
DAY = 86_400


@pytest.fixture(scope="module")
def lived() -> Sandbox:
    """An account after its history and forty more days."""
    sandbox = Sandbox(SETTINGS)
    sandbox.advance(days=40)
    return sandbox


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(affiliates=3, orders=0, days=30, currencies=CURRENCIES, event_log=True)) as one:
        yield one


def test_the_present_is_what_the_account_says_of_itself(lived: Sandbox) -> None:
    account = lived.account
    truth = account.truth(account.now)
    assert set(truth.conversions) == set(account.conversions)
    assert set(truth.payments) == set(account.payments)
    assert {key: row.status for key, row in truth.affiliates.items()} == {
        key: row.status for key, row in account.affiliates.items()
    }
    said: dict[tuple[str, str], Decimal] = {}
    for group in lived.sums()["conversions"]:
        state = "due" if group["status"] == "APPROVED" else group["status"].lower()
        key = (group["currency"], "paid" if group["payment_status"] == "PAID" else state)
        said[key] = said.get(key, Decimal(0)) + Decimal(group["commission_total"])
    assert set(truth.by_currency()) == set(CURRENCIES)
    for currency, sums in truth.by_currency().items():
        for state in ("due", "paid", "pending", "denied", "unqualified"):
            assert getattr(sums, state) == said.get((currency, state), 0), (currency, state)
        assert sum(due for (_, of), due in truth.by_affiliate().items() if of == currency) == sums.due


def test_what_moved_is_the_difference_of_what_was_due(lived: Sandbox) -> None:
    account, step = lived.account, 7 * DAY
    begin = account.now - 160 * DAY
    seen = 0
    for after in range(begin, account.now, step):
        until = min(after + step, account.now)
        opening, closing = account.truth(after).by_currency(), account.truth(until).by_currency()
        moved = account.movements(after, until)
        for currency, sums in closing.items():
            before = opening[currency].due if currency in opening else Decimal(0)
            change = moved[currency].change if currency in moved else Decimal(0)
            assert before + change == sums.due, (currency, after)
            seen += change != 0
    assert seen > 40


def test_amounts_in_yen_are_whole(lived: Sandbox) -> None:
    yen = [row for row in lived.account.conversions.values() if row.currency == "JPY"]
    assert len(yen) > 20
    assert all(amount == int(amount) for row in yen for amount in (row.total, row.commission_total))
    assert max(row.total for row in yen) > 1_000


def test_a_log_does_not_change_the_account() -> None:
    one, two = (Sandbox(SandboxSettings(orders=100, days=60, event_log=log)) for log in (True, False))
    assert one.sums() == two.sums()
    with pytest.raises(ValueError, match="event_log=True"):
        two.account.truth(two.account.now)


def order(sandbox: SandboxServer, currency: str, commission: str, **more: Any) -> int:
    first = min(sandbox.account.affiliates)
    values = {"affiliate_id": first, "status": "APPROVED", "total": "100", "order_id": "A-1", **more}
    return sandbox.insert_conversion(currency=currency, commission_total=commission, **values)


def pay(sandbox: SandboxServer, number: int) -> int:
    return sandbox.enter_payment([number])


def undo_and_enter_again(sandbox: SandboxServer, number: int) -> None:
    payment = pay(sandbox, number)
    sandbox.advance(days=1)
    assert sandbox.undo_payment(payment) == [number]
    sandbox.advance(days=1)
    again = pay(sandbox, number)
    assert again != payment
    assert set(sandbox.account.payments) == {again}


def move(sandbox: SandboxServer, number: int) -> None:
    sandbox.change_conversion(number, affiliate_id=max(sandbox.account.affiliates))


# Changes to an approved row of 10, and the movements they cause in addition to the 10 that were newly due.
CHANGES: dict[str, tuple[Callable[[SandboxServer, int], object], dict[str, int], int]] = {
    "denied late": (lambda s, n: s.change_conversion(n, status="DENIED"), {"reversed": 10}, 0),
    "corrected down": (lambda s, n: s.change_conversion(n, commission_total="7"), {"reversed": 3}, 7),
    "corrected up": (lambda s, n: s.change_conversion(n, commission_total="12"), {"newly_due": 12}, 12),
    "deleted": (lambda s, n: s.delete_conversion(n), {"deleted": 10}, 0),
    "dated anew": (lambda s, n: s.change_conversion(n, created="2026-01-01T00:00:00Z"), {}, 10),
    "moved": (move, {}, 10),
    "part cancelled": (lambda s, n: s.cancel_part(n, total="30"), {"reversed": 3}, 7),
    "paid": (pay, {"paid": 10}, 0),
    "payment undone": (lambda s, n: s.undo_payment(pay(s, n)), {"paid": 10, "taken_back": 10}, 10),
    "payment entered again": (undo_and_enter_again, {"paid": 20, "taken_back": 10}, 0),
    "payment deleted": (lambda s, n: s.delete_payment(pay(s, n)), {"paid": 10}, 0),
    "denied after it was paid": (
        lambda s, n: (pay(s, n), s.change_conversion(n, status="DENIED")),
        {"paid": 10},
        0,
    ),
    "affiliate deleted": (lambda s, _n: s.delete_affiliate(min(s.account.affiliates)), {}, 10),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("currency", ["USD", "JPY"])
def test_each_change_moves_what_it_should(sandbox: SandboxServer, change: str, currency: str) -> None:
    act, lines, closing = CHANGES[change]
    before = sandbox.account.now
    sandbox.advance(days=1)
    number = order(sandbox, currency, "10")
    sandbox.advance(days=1)
    act(sandbox, number)
    moved = sandbox.account.movements(before, sandbox.account.now)
    assert {name: amount for name, amount in moved[currency]._asdict().items() if amount} == {"newly_due": 10} | lines
    sums = sandbox.account.truth(sandbox.account.now).by_currency()
    assert (sums[currency].due if sums else Decimal(0)) == closing == moved[currency].change
    assert sandbox.account.truth(before).by_currency() == {}


def test_a_moved_row_is_due_to_the_other_affiliate_from_then_on(sandbox: SandboxServer) -> None:
    number, before = order(sandbox, "EUR", "10"), sandbox.account.now
    first, last = min(sandbox.account.affiliates), max(sandbox.account.affiliates)
    sandbox.advance(days=1)
    move(sandbox, number)
    now = sandbox.account.now
    assert sandbox.account.truth(before).by_affiliate() == {(first, "EUR"): 10}
    assert sandbox.account.truth(now).by_affiliate() == {(last, "EUR"): 10}
    moved = sandbox.account.movements_by_affiliate(before, now)
    assert {key: lines.moved for key, lines in moved.items()} == {(first, "EUR"): -10, (last, "EUR"): 10}


def test_an_order_is_cancelled_part_by_part(sandbox: SandboxServer) -> None:
    number = order(sandbox, "GBP", "10", status="PENDING")
    parts = [sandbox.cancel_part(number, total="30"), sandbox.cancel_part(number, total="70", commission="6.99")]
    rows = sandbox.account.conversions
    assert [rows[part].commission_total for part in parts] == [Decimal("-3.00"), Decimal("-6.99")]
    with pytest.raises(ValueError, match="0 GBP are left"):
        sandbox.cancel_part(number, total="1")


def test_the_control_api_answers_what_was_true(sandbox: SandboxServer) -> None:
    client = Client(sandbox)
    first, last = min(sandbox.account.affiliates), max(sandbox.account.affiliates)
    begun = client.control("GET", "/clock").json()["now"]
    client.control("POST", "/clock", {"advance_days": 1})
    number = order(sandbox, "USD", "10.00")
    client.control("POST", "/clock", {"advance_days": 1})
    paid = client.control("POST", "/payments", {"conversion_ids": [number], "payment_id": 5}).json()["id"]
    at = client.control("GET", "/clock").json()["now"]
    client.control("POST", "/clock", {"advance_days": 1})
    assert client.control("POST", "/payments/5/undo").json() == {"ids": [number]}
    assert client.control("DELETE", "/payments/5").status_code == 404
    client.control("PATCH", f"/conversions/{number}", {"affiliate_id": last})
    client.control("POST", f"/conversions/{number}/cancellations", {"total": "50.00"})
    client.control("DELETE", f"/affiliates/{first}")
    now = client.control("GET", "/truth").json()
    assert now["due_by_affiliate"] == [{"affiliate_id": last, "currency": "USD", "due": "5.00"}]
    then = client.control("GET", f"/truth?at={at}&rows=true").json()
    assert then["by_currency"]["USD"]["paid"] == "10.00"
    assert then["conversions"][f"{number}"]["payment_id"] == paid == 5
    assert set(then["payments"]) == {"5"}
    assert f"{first}" in then["affiliates"]
    moved = client.control("GET", f"/movements?after={begun}").json()["USD"]
    assert {name: amount for name, amount in moved.items() if Decimal(amount)} == {
        "newly_due": "10.00", "paid": "10.00", "taken_back": "10.00", "reversed": "5.00",
    }  # fmt: skip
    events = client.control("GET", f"/events?after={begun}").json()
    assert [(event["kind"], event["changes"]) for event in events] == [
        ("conversion", ["created"]),
        ("conversion", ["payment_status", "payment_id"]),
        ("payment", ["created"]),
        ("conversion", ["payment_status", "payment_id"]),
        ("payment", ["deleted"]),
        ("conversion", ["affiliate_id"]),
        ("conversion", ["created"]),
        ("affiliate", ["deleted"]),
    ]
    shown = client.data("{affiliates(limit: 100) {id} conversions {id affiliate {id} affiliate_id} payments {id}}")
    assert first not in [row["id"] for row in shown["affiliates"]]
    assert {row["affiliate_id"] for row in shown["conversions"]} == {last}
    assert shown["payments"] == []
    client.close()


def test_life_goes_on_without_a_deleted_affiliate() -> None:
    sandbox = Sandbox(SETTINGS)
    for affiliate in sandbox.account.active_affiliates()[:3]:
        sandbox.advance(seconds=3_600)
        sandbox.delete_affiliate(affiliate.id)
    sandbox.advance(days=60)
    assert len(sandbox.account.payments) > 0
