"""Forty questions with known answers: of a sandbox account by its own books, and of a small shop by hand.

Nothing here reads a summary or runs the assistant's SQL: what is expected is added up from the sandbox's objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.sandbox.model import Conversion, Payment
from refersion_dagster.sandbox.truth import Truth, commission_state, kind_of
from refersion_dagster_tests.assistant.conversation import Call, Conversation, Reply, converse
from refersion_dagster_tests.assistant.published_account import publish_account
from refersion_dagster_tests.location import NOW, SMALL

pytestmark = [pytest.mark.processes, pytest.mark.exhaustive]

CURRENCIES = ("EUR", "GBP", "USD")


class BooksOfSandbox:
    """What the sandbox itself says about its account."""

    def __init__(self, sandbox: SandboxServer) -> None:
        account = sandbox.account
        self.truth: Truth = account.truth(NOW)
        self.rows: dict[int, Conversion] = dict(account.conversions)
        self.payments: dict[int, Payment] = dict(account.payments)
        self.affiliates = dict(account.affiliates)
        self.sums = self.truth.by_currency()
        self.due = self.truth.by_affiliate()
        self.states = {id_: row for id_, row in self.truth.conversions.items() if not row.is_test_conversion}

    @property
    def largest_payment(self) -> Payment:
        return max(self.payments.values(), key=lambda one: (one.total_conversions, one.commission_total, one.id))

    def any_row(self, state: str, kind: str = "order") -> int:
        """The first conversion in a state, whose order nobody else has."""
        orders = [row.order_id for row in self.states.values()]
        return min(
            id_
            for id_, row in self.states.items()
            if commission_state(row) == state and kind_of(row) == kind and orders.count(row.order_id) == 1
        )

    @property
    def cancelled_order(self) -> str:
        """An order with a cancellation."""
        return min(row.order_id for row in self.states.values() if kind_of(row) == "cancellation" and row.order_id)

    def most_due(self, currency: str) -> tuple[int, Decimal]:
        return max(((id_, amount) for (id_, of), amount in self.due.items() if of == currency), key=lambda one: one[1])

    def not_payable(self) -> set[str]:
        """Affiliates with something due, without a PayPal e-mail, who were never paid in another way."""
        methods: dict[int, str] = {}
        for payment in sorted(self.payments.values(), key=lambda one: one.created):
            methods[payment.affiliate_id] = payment.payment_method
        return {
            str(id_)
            for (id_, _), due in self.due.items()
            if due and not self.affiliates[id_].paypal_email and methods.get(id_, "PAYPAL") == "PAYPAL"
        }


class Question(NamedTuple):
    """A question: the call that answers it, what to look at in the reply, and the answer."""

    text: str
    call: Call
    look: Callable[[Reply], Any]
    expected: Any


def text(amount: Decimal) -> str:
    """An amount as assistants see it; all currencies here have two decimals, and no row has more."""
    return f"{amount:.2f}"


def of_currency(rows: list[dict[str, Any]], currency: str) -> dict[str, Any]:
    (row,) = (one for one in rows if one["currency"] == currency)
    return row


def owed(currency: str, name: str) -> Callable[[Reply], Any]:
    return lambda reply: of_currency(reply.answer["owed"], currency)[name]


def questions_of_account(books: BooksOfSandbox) -> list[Question]:
    payment, paid = books.largest_payment, books.any_row("paid")
    members = {str(id_) for id_, row in books.states.items() if row.payment_id == payment.id}
    pending, denied = books.any_row("pending"), books.any_row("denied")
    cancelled = [row for row in books.states.values() if row.order_id == books.cancelled_order]
    of_paid = books.states[paid]
    assert of_paid.payment_id is not None
    some_currency = payment.currency
    by_state = {
        state: sum(
            (
                row.commission_total
                for row in books.states.values()
                if row.currency == "EUR" and commission_state(row) == state
            ),
            Decimal(0),
        )
        for state in ("paid", "denied")
    }
    return [
        *(
            Question(f"What do we owe in {one}?", ("what_do_we_owe", {}), owed(one, "due"), text(books.sums[one].due))
            for one in CURRENCIES
        ),
        *(
            Question(
                f"What is pending in {one}?",
                ("what_do_we_owe", {"currency": one}),
                owed(one, "pending"),
                text(books.sums[one].pending),
            )
            for one in CURRENCIES
        ),
        *(
            Question(
                f"To whom do we owe most in {one}?",
                ("what_do_we_owe", {"currency": one, "most": 1}),
                lambda reply, one=one: [
                    (row["affiliate_id"], row["due"])
                    for row in of_currency(reply.answer["owed"], one)["largest_balances"]
                ],
                [(str(books.most_due(one)[0]), text(books.most_due(one)[1]))],
            )
            for one in CURRENCIES
        ),
        *(
            Question(
                f"How many affiliates do we owe something in {one}?",
                ("what_do_we_owe", {"currency": one}),
                owed(one, "affiliates"),
                len([1 for (_, of), due in books.due.items() if of == one and due]),
            )
            for one in CURRENCIES
        ),
        Question(
            "What do we owe to one affiliate?",
            ("what_do_we_owe", {"affiliate_id": str(books.most_due("USD")[0]), "currency": "USD"}),
            owed("USD", "due"),
            text(books.most_due("USD")[1]),
        ),
        Question(
            "How much was a payment?",
            ("explain_payment", {"payment_id": str(payment.id)}),
            lambda reply: [(one["amount"], one["currency"], one["proof"]) for one in reply.answer["payments"]],
            [(text(payment.commission_total), some_currency, "agrees")],
        ),
        Question(
            "Which conversions did it pay?",
            ("explain_payment", {"payment_id": str(payment.id), "most": 100}),
            lambda reply: {one["conversion_id"] for one in reply.answer["conversions"]},
            members,
        ),
        Question(
            "How many?",
            ("explain_payment", {"payment_id": str(payment.id), "most": 1}),
            lambda reply: (reply.answer["number_of_conversions"], len(reply.answer["conversions"])),
            (payment.total_conversions, 1),
        ),
        Question(
            "Who got it?",
            ("explain_payment", {"payment_id": str(payment.id)}),
            lambda reply: reply.answer["payments"][0]["affiliate_id"],
            str(payment.affiliate_id),
        ),
        Question(
            "Was this order paid, and by which payment?",
            ("find_order", {"order": of_paid.order_id}),
            lambda reply: [
                (one["commission_state"], one["payment_id"], one["commission"]) for one in reply.answer["conversions"]
            ],
            [("paid", str(of_paid.payment_id), text(of_paid.commission_total))],
        ),
        Question(
            "And this one, by its conversion id?",
            ("find_order", {"order": str(pending)}),
            lambda reply: [(one["commission_state"], one["payment_id"]) for one in reply.answer["conversions"]],
            [("pending", None)],
        ),
        Question(
            "What happened to a denied order?",
            ("find_order", {"order": str(denied)}),
            lambda reply: [
                (one["commission_state"], one["total"], one["currency"]) for one in reply.answer["conversions"]
            ],
            [("denied", text(books.states[denied].total), books.states[denied].currency)],
        ),
        Question(
            "What is left of a cancelled order?",
            ("find_order", {"order": books.cancelled_order}),
            lambda reply: sorted((one["conversion_kind"], one["commission"]) for one in reply.answer["conversions"]),
            sorted((kind_of(row), text(row.commission_total)) for row in cancelled),
        ),
        Question(
            "Is there an order that does not exist?",
            ("find_order", {"order": "no-such-order"}),
            lambda reply: "No conversion has the order id" in reply.error,
            True,
        ),
        Question(
            "Who cannot be paid?",
            ("who_is_held_back", {"most": 100}),
            lambda reply: {row["affiliate_id"] for one in reply.answer["payout"] for row in one["held"]},
            books.not_payable(),
        ),
        *(
            Question(
                f"Do what is payable and what is held back make what is due in {one}?",
                ("who_is_held_back", {"currency": one}),
                lambda reply: (
                    Decimal(reply.answer["payout"][0]["payable_now"]) + Decimal(reply.answer["payout"][0]["held_back"])
                ),
                books.sums[one].due,
            )
            for one in CURRENCIES
        ),
        Question(
            "How many conversions are there in each currency?",
            ("query", {"sql": "SELECT currency, count(*) AS n FROM conversions GROUP BY currency ORDER BY currency"}),
            lambda reply: reply.answer["rows"],
            [[one, len([1 for row in books.states.values() if row.currency == one])] for one in CURRENCIES],
        ),
        Question(
            "What was paid in EUR in all?",
            (
                "query",
                {
                    "sql": "SELECT sum(commission) AS c FROM conversions "
                    "WHERE currency = 'EUR' AND commission_state = 'paid'"
                },
            ),
            lambda reply: (reply.answer["rows"], reply.answer["columns"][0]["amounts_in"]),
            ([[text(by_state["paid"])]], "EUR"),
        ),
        Question(
            "What was denied in EUR?",
            (
                "query",
                {
                    "sql": "SELECT currency, sum(commission) AS c FROM conversions "
                    "WHERE commission_state = 'denied' GROUP BY currency"
                },
            ),
            lambda reply: dict(reply.answer["rows"])["EUR"],
            text(by_state["denied"]),
        ),
        Question(
            "What did payments amount to?",
            ("query", {"sql": "SELECT currency, sum(amount) AS a FROM payments GROUP BY currency ORDER BY currency"}),
            lambda reply: reply.answer["rows"],
            [
                [one, text(sum((p.commission_total for p in books.payments.values() if p.currency == one), Decimal(0)))]
                for one in CURRENCIES
                if any(p.currency == one for p in books.payments.values())
            ],
        ),
        Question(
            "What do we owe in all?",
            ("query", {"sql": "SELECT sum(due) AS due FROM commission_liability"}),
            lambda reply: "Amounts of different currencies are never added" in reply.error,
            True,
        ),
        Question(
            "Can the figures be relied on?",
            ("health", {}),
            lambda reply: (
                {one["result"] for one in reply.answer["checks"]},
                reply.answer["as_of"],
                reply.answer["is_late"],
            ),
            ({"passed"}, "2025-07-01T00:00:00+00:00", False),
        ),
        Question(
            "Who vouches for what we owe?",
            ("what_do_we_owe", {}),
            lambda reply: (
                reply.first,
                "closing_is_the_liability of summaries/commission_roll_forward" in reply.answer["vouched_for_by"],
            ),
            ([], True),
        ),
        Question(
            "What did we owe before anybody looked?",
            ("why_did_it_change", {"month": "2025-06", "currency": "USD"}),
            lambda reply: [(one["closing_due"], one["closing_not_known_because"]) for one in reply.answer["changes"]],
            [(None, "before the first reading")],
        ),
        Question(
            "What does accrued mean?",
            ("define", {"term": "accrued"}),
            lambda reply: "liability + pending x the approval rate" in reply.answer["definitions"][0]["text"],
            True,
        ),
        Question(
            "What does commission_liability.due mean?",
            ("define", {"term": "commission_liability.due"}),
            lambda reply: [one["name"] for one in reply.answer["definitions"]],
            ["commission_liability.due"],
        ),
    ]


def of_march(name: str) -> Callable[[Reply], Any]:
    return lambda reply: of_currency(reply.answer["changes"], "USD")[name]


MARCH: Call = ("why_did_it_change", {"month": "2025-03", "currency": "usd"})
OF_SHOP = [
    Question("What did we owe when March began?", MARCH, of_march("opening_due"), "30.25"),
    Question("What was newly due?", MARCH, of_march("newly_due"), "30.00"),
    Question("What was credited?", MARCH, of_march("manual_credits"), "7.00"),
    Question("What was paid?", MARCH, of_march("paid"), "10.25"),
    Question("What was reversed?", MARCH, of_march("reversed"), "5.00"),
    Question("What did we owe when it ended?", MARCH, of_march("closing_due"), "52.00"),
    Question("Does it tie?", MARCH, of_march("difference"), "0.00"),
    Question(
        "Because of whom?",
        MARCH,
        lambda reply: [
            (one["movement"], one["affiliate_id"], one["amount"])
            for one in of_currency(reply.answer["changes"], "USD")["largest_movements"]
        ],
        [("approved", "2", "37.00"), ("paid", "1", "-10.25"), ("approved", "1", "-5.00")],
    ),
    Question("What is owed in EUR, to the last digit?", ("what_do_we_owe", {}), owed("EUR", "due"), "100.0125"),
    Question(
        "What is below the minimum payout?",
        ("who_is_held_back", {"currency": "EUR"}),
        lambda reply: [(row["held_back"], row["missing_to_minimum"]) for row in reply.answer["payout"][0]["held"]],
        [("100.0125", "99.9875")],
    ),
]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> tuple[BooksOfSandbox, Path]:
    with SandboxServer(replace(SMALL, event_log=True)) as sandbox:
        published = publish_account(sandbox, tmp_path_factory.mktemp("account"))
        return BooksOfSandbox(sandbox), published


def wrong_answers(questions: list[Question], talk: Conversation) -> list[str]:
    wrong = []
    for question, reply in zip(questions, talk.replies, strict=True):
        try:
            found = question.look(reply)
        except (KeyError, ValueError, IndexError) as error:
            found = f"{error!r} in {reply.error or reply.answer}"
        if found != question.expected:
            wrong.append(f"{question.text} {found!r} and not {question.expected!r}")
    return wrong


def test_are_answered_without_a_model(books: tuple[BooksOfSandbox, Path], shop: Path, tmp_path: Path) -> None:
    of_sandbox, published = books
    questions = questions_of_account(of_sandbox)
    assert len(questions) + len(OF_SHOP) >= 40
    of_account = converse(published, [one.call for one in questions], tmp_path)
    of_shop = converse(shop, [one.call for one in OF_SHOP], tmp_path)
    assert wrong_answers(questions, of_account) + wrong_answers(OF_SHOP, of_shop) == []
